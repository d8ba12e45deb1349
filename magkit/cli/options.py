"""Declarations of options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from magkit.cli.parameters import merged_options, read_config
from magkit.options import key_values

Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; chosen by torch if unset.")
]
Precision = Annotated[
    Literal["auto", "full", "bf16"],
    typer.Option(
        "--precision",
        help="Autocast dtype of the networks; auto: bf16 where the device supports it well.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random draws.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Overwrite existing output.")]
OutputPath = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where to write the result.")
]
MagnifierName = Annotated[
    str, typer.Option("--magnifier", metavar="NAME", is_eager=True, help="The magnifier.")
]
WeightsFile = Annotated[
    str | None,
    typer.Option("--weights", metavar="NAME|FILE", help="Weights other than the included ones."),
]
Opt = Annotated[
    list[str] | None,
    typer.Option(
        "--opt",
        metavar="KEY=VALUE",
        callback=merged_options,
        help="An option of the chosen method, target or magnifier, listed below; may be given"
        " again.",
    ),
]

Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="SRC",
        help="Background images: a folder, zip, glob, text list or bucket; may be given again.",
    ),
]
Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--objects",
        metavar="SRC",
        help="Objects: a COCO instances file, or images with an alpha channel from any source"
        " that --images takes; may be given again.",
    ),
]
ObjectImages = Annotated[
    str | None,
    typer.Option(
        "--object-images",
        metavar="SRC",
        help="The images of the COCO file; searched beside it if unset.",
    ),
]
Procedural = Annotated[
    int,
    typer.Option(
        "--procedural",
        min=0,
        help="Number of procedural textures and objects to add; 2048 if no images are given.",
    ),
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print debug messages too.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=read_config,
        expose_value=False,
        help="Options from a file; flags and MAGKIT_<OPTION> variables override it.",
    ),
]

Probe = Annotated[
    Path | None,
    typer.Option(
        "--probe",
        metavar="DIR",
        help="Labelled pictures, a sub-folder for each class: how well do features tell classes?",
    ),
]
OwnBackbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="MODULE:FACTORY",
        help="The code of an encoder of your own, which is imported.",
    ),
]
MagnifierOfFile = Annotated[
    str | None,
    typer.Option(
        "--magnifier", metavar="NAME", help="Whose weights a file holds that doesn't say so."
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="RUN", help="Run folder; a new numbered one in runs/ if unset."
    ),
]
New = Annotated[bool, typer.Option("--new", help="Start a new run instead of resuming one.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--train",
        metavar="KEY=VALUE",
        callback=merged_options,
        help="Any other setting, such as warmup=200 or clip=0.5; may be given again.",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also log to TensorBoard, in RUN/tensorboard.")
]
Steps = Annotated[
    int | None,
    typer.Option(help="Optimiser steps; more steps than a finished run had extend that run."),
]
Devices = Annotated[
    int, typer.Option("--devices", min=1, help="Processes, each with a device of its own.")
]
TrainSeed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all random draws.")]


def given_settings(pairs: list[str] | None, **flags: Any) -> dict[str, Any]:
    """Return the settings of --train or --set by key; flags that are not None override them.

    Raises:
        UsageError: an item is not of the form KEY=VALUE.
    """
    return key_values(pairs or ()) | {key: v for key, v in flags.items() if v is not None}
