"""`magkit export`: a trained network as an ONNX file or a state dict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magkit.cli.options import MagnifierOfFile, Overwrite, OwnBackbone, Threads
from magkit.cli.output import Output
from magkit.errors import MagkitError, UsageError

if TYPE_CHECKING:
    from magkit.export.networks import TrainedEncoder, TrainedMagnifier
    from magkit.export.onnx_file import OnnxReport, Shape

SUFFIXES = (".onnx", ".safetensors", ".pt")
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")


def export(
    out: Output,
    network: Annotated[
        str,
        typer.Argument(
            metavar="NAME|RUN|FILE",
            help="A run of magkit pretrain or finetune, its result, weights that ship, or your own"
            " encoder as MODULE:FACTORY.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.onnx|safetensors|pt",
            help="Where to write the network; the suffix names the format.",
        ),
    ],
    part: Annotated[
        Literal["whole", "encoder"],
        typer.Option(help="Of a magnifier: all of it, or its encoder."),
    ] = "whole",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="ONNX: fixed height and width of frames. An encoder's are free if unset.",
        ),
    ] = None,
    magnifier: MagnifierOfFile = None,
    backbone: OwnBackbone = None,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Write an encoder or a magnifier for other programs: as ONNX, or as a plain state dict.

    An ONNX encoder maps frames to the maps of its branches; a magnifier maps a reference frame, a
    frame and a factor to the magnified frame. The batch size is free. Before the file is written,
    onnxruntime computes with it, and what it finds must equal what torch finds. Needs
    `pip install 'magkit[onnx]'`. A .pt file is for torch.load(FILE, weights_only=True).
    """
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{output} names no format that is known", f"end it in {_either(SUFFIXES)}"
        )
    if size is not None and suffix != ".onnx":
        raise UsageError("--size is for ONNX files: weights have no size of frames")
    if output.exists() and not overwrite:
        raise MagkitError(f"{output} exists", "--overwrite replaces it")
    shape = None if size is None else _parse_size(size)

    from magkit.export.networks import open_encoder, open_network
    from magkit.export.onnx_file import export_onnx, require_onnx
    from magkit.export.state import export_safetensors, export_torch
    from magkit.runtime.device import set_threads

    set_threads(threads)
    if suffix == ".onnx":
        require_onnx()
    opener = open_encoder if part == "encoder" else open_network
    found = opener(network, magnifier=magnifier, backbone=backbone)
    about: dict[str, Any] = {"output": output, "network": _name(found)}
    if suffix == ".onnx":
        report = export_onnx(found, output, size=shape, overwrite=overwrite)
        _show(out, report)
        about |= report.as_dict()
    else:
        writer = export_torch if suffix == ".pt" else export_safetensors
        writer(found, output, overwrite=overwrite)
    state = found.network.state_dict()
    about |= {"tensors": len(state), "parameters": sum(t.numel() for t in state.values())}
    out.show(f"{about['network']}: {about['parameters']:,} values in {len(state)} tensors")
    out.finish(about, wrote=[output])


def _parse_size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' is not a size", "HEIGHTxWIDTH in pixels, such as 360x640")
    return int(match[1]), int(match[2] or match[1])


def _name(found: TrainedEncoder | TrainedMagnifier) -> str:
    from magkit.export.networks import TrainedEncoder

    if isinstance(found, TrainedEncoder):
        return f"the encoder of {found.info.magnifier}"
    return f"the magnifier {found.spec.name}"


def _show(out: Output, report: OnnxReport) -> None:
    out.show(f"ONNX, opset {report.opset}; frames are float32, RGB in [0, 1]")
    for title, shapes in (("input", report.inputs), ("output", report.outputs)):
        for name, shape in shapes.items():
            out.show(f"{title} {name}: {_dimensions(shape)}")
    if "height" in str(report.inputs):
        out.show(f"height and width: multiples of {report.multiple}")
    if report.difference is None:
        out.warn("the file isn't compared with torch: onnxruntime is not installed")
    else:
        out.show(f"largest difference between onnxruntime and torch: {report.difference:.1e}")


def _dimensions(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
