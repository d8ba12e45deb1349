"""`magkit embed`: the features that an encoder makes of frames, as a NumPy archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magkit.cli.options import Device, MagnifierOfFile, Overwrite, OwnBackbone, Threads
from magkit.cli.output import Output
from magkit.errors import MagkitError, UsageError


def embed(
    out: Output,
    encoder: Annotated[
        str,
        typer.Argument(
            metavar="NAME|RUN|FILE",
            help="A run of magkit pretrain or finetune, its result, weights that ship, or your own"
            " encoder as MODULE:FACTORY.",
        ),
    ],
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC...",
            help="Videos, images, folders, globs, zips, text lists, buckets or data sets.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.npz", help="Where to write the features."),
    ],
    dense: Annotated[
        bool, typer.Option("--dense", help="Whole feature maps instead of their means.")
    ] = False,
    size: Annotated[
        int,
        typer.Option(
            min=1, max=4096, help="Side in pixels that each frame's central square is scaled to."
        ),
    ] = 160,
    every: Annotated[int, typer.Option(min=1, help="Of videos, every N-th frame.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Batch size in frames.")] = 32,
    magnifier: MagnifierOfFile = None,
    backbone: OwnBackbone = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write the features of frames: a row for each frame, an array for each branch.

    Beside them stand the names of the files, and the number and time of each frame. Memory does
    not grow with the number of frames.
    """
    if output.suffix.lower() != ".npz":
        raise UsageError(f"{output} names no format that is known", "end it in .npz")
    if output.exists() and not overwrite:
        raise MagkitError(f"{output} exists", "--overwrite replaces it")

    from magkit.export.features import embed as write_features
    from magkit.export.networks import open_encoder
    from magkit.runtime.device import resolve_device, set_threads

    set_threads(threads)
    where = resolve_device(device)
    found = open_encoder(encoder, magnifier=magnifier, backbone=backbone)
    with out.progress("embedding") as progress:
        done = write_features(
            found,
            sources,
            output,
            size=size,
            dense=dense,
            every=every,
            batch=batch,
            device=where,
            overwrite=overwrite,
            progress=progress,
        )
    for branch, shape in done.shapes.items():
        out.show(f"{branch}: {' x '.join(map(str, shape))}")
    out.finish(
        {
            "output": output,
            "encoder": found.info.magnifier,
            "frames": done.frames,
            "sources": done.sources,
            "features": {branch: list(shape) for branch, shape in done.shapes.items()},
        },
        wrote=[output],
    )
