"""ONNX files of encoders and magnifiers, compared with torch by onnxruntime."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from magkit.errors import MagkitError, UsageError
from magkit.export.networks import TrainedEncoder, TrainedMagnifier
from magkit.runtime.files import atomic_path
from magkit.runtime.seeds import generator
from magkit.version import __version__

OPSET = 20  # the first whose GridSample is bicubic
NEEDED = ("onnx", "onnxscript")
RUNTIME = "onnxruntime"
INSTALL = "pip install 'magkit[onnx]'"
TOLERANCE = 1e-4  # of the largest difference to torch, over the largest value or 1
BATCH = 2  # pictures of the example: an exporter takes a batch of 1 as fixed
LEAST = 64  # pixels: sides of the example at least
CHECK = 13  # first part of the key of the frames that networks are compared on

Shape = tuple[int | str, ...]  # names are dimensions that are free


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxReport:
    """What an ONNX file holds.

    Attributes:
        kind: "encoder" or "magnifier".
        opset: of its operators.
        inputs: shapes by name; frames are float32, RGB in [0, 1].
        outputs: likewise.
        multiple: sides of frames must be multiples of it.
        difference: the largest to torch, over the largest value or 1; None: not compared.
    """

    kind: str
    opset: int
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    multiple: int
    difference: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, of JSON's types."""
        inputs = {name: list(shape) for name, shape in self.inputs.items()}
        outputs = {name: list(shape) for name, shape in self.outputs.items()}
        return {**asdict(self), "inputs": inputs, "outputs": outputs}


class EncoderGraph(nn.Module):
    """An encoder whose outputs are the maps of its branches, in their order."""

    def __init__(self, encoder: nn.Module, branches: Sequence[str]) -> None:
        super().__init__()
        self.encoder, self.branches = encoder, tuple(branches)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Encode frames (N, 3, H, W)."""
        maps = self.encoder(frames)
        return tuple(maps[branch] for branch in self.branches)


class MagnifierGraph(nn.Module):
    """A magnifier as one function of two frames and a factor."""

    def __init__(self, magnifier: Any) -> None:
        super().__init__()
        self.magnifier = magnifier

    def forward(self, reference: Tensor, frame: Tensor, factor: Tensor) -> tuple[Tensor]:
        """Magnify the motion from `reference` to `frame`, both (N, 3, H, W), by `factor` (N,)."""
        current = self.magnifier.encode(frame)
        motion = self.magnifier.motion(self.magnifier.encode(reference), current)
        return (self.magnifier.render(current, motion, factor).clamp(0, 1),)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """What is handed to the exporter, and what it is told about names and sizes."""

    kind: str
    network: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    multiple: int
    size: tuple[int, int] | None  # height and width; None: free
    about: Mapping[str, str]

    def frames(self, count: int, more: int = 0) -> tuple[Tensor, ...]:
        """Return inputs: textures, of free sizes that are `more` strides larger."""
        step = self.multiple
        least = -(-LEAST // step) * step
        height, width = self.size or (least + more * step, least + step + 2 * more * step)
        rough = torch.rand(count, 3, 16, 16, generator=generator(0, CHECK))
        wide = F.interpolate(rough, (height, width + 4), mode="bicubic").clamp(0, 1)
        frames = wide[..., 2:-2].contiguous()
        if self.kind == "encoder":
            return (frames,)
        # Displaced by a third of a pixel, and a part of them by four pixels.
        moved = frames * 2 / 3 + wide[..., 1:-3] / 3
        third = height // 3
        moved[..., third : 2 * third, :] = wide[..., third : 2 * third, :-4]
        return frames, moved, torch.linspace(2, 10, count)


def export_onnx(
    found: TrainedEncoder | TrainedMagnifier,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> OnnxReport:
    """Write an encoder or a magnifier as an ONNX file, once onnxruntime finds what torch does.

    Args:
        found: the network.
        path: of the file.
        size: height and width of the frames; None: free, which a magnifier's are not.
        overwrite: whether an existing file is replaced.

    Returns:
        What it holds; its `difference` is None if onnxruntime isn't installed.

    Raises:
        UsageError: the size doesn't suit, or is missing.
        MagkitError: packages are missing, the exporter can't handle the network, the results
            differ by more than 1e-4, or the file exists or can't be written.
    """
    require_onnx()
    graph = _graph(found, size)
    proto = _exported(graph)
    inputs, outputs = _shapes(proto.graph.input), _shapes(proto.graph.output)
    _describe(proto, {**graph.about, **_texts(inputs, outputs), "opset": str(OPSET)})
    content = proto.SerializeToString()
    difference = None if find_spec(RUNTIME) is None else largest_difference(content, graph)
    if difference is not None and not difference <= TOLERANCE:
        raise MagkitError(
            f"{path} is not written: onnxruntime and torch differ by {difference:.2g}",
            f"at most {TOLERANCE:g} is allowed: another version of torch or onnxruntime may do",
        )
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
    return OnnxReport(
        kind=graph.kind,
        opset=OPSET,
        inputs=inputs,
        outputs=outputs,
        multiple=graph.multiple,
        difference=difference,
    )


def require_onnx() -> None:
    """Check that the packages are there that write ONNX files.

    Raises:
        MagkitError: one is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MagkitError(f"an ONNX file needs {' and '.join(missing)} to be written", INSTALL)


def _graph(found: TrainedEncoder | TrainedMagnifier, size: tuple[int, int] | None) -> _Graph:
    about = {"magkit": __version__, "frames": "float32, RGB in [0, 1]"}
    if isinstance(found, TrainedEncoder):
        branches, step = tuple(found.strides), max(found.strides.values())
        about |= {"kind": "encoder", "network": found.info.magnifier}
        about |= {"config": json.dumps(found.info.config, sort_keys=True)}
        network: nn.Module = EncoderGraph(found.network, branches)
        names: tuple[tuple[str, ...], tuple[str, ...]] = (("frames",), branches)
    else:
        model: Any = found.network
        step = model.stride
        about |= {"kind": "magnifier", "network": found.spec.name}
        about |= {"config": json.dumps(asdict(found.config), sort_keys=True)}
        network = MagnifierGraph(model)
        names = (("reference", "frame", "factor"), ("magnified",))
        if size is None:
            raise UsageError(
                "the size of a magnifier's frames is fixed when it is exported",
                f"add --size HEIGHTxWIDTH, both multiples of {step}",
            )
    if size is not None and (size[0] % step or size[1] % step or min(size) < 1):
        raise UsageError(
            f"frames of {size[0]} x {size[1]} pixels don't suit {about['network']}",
            f"both must be multiples of {step}: pad frames to that, and crop the result",
        )
    return _Graph(
        kind=about["kind"],
        network=network.eval(),
        inputs=names[0],
        outputs=names[1],
        multiple=step,
        size=size,
        about=about | {"multiple": str(step)},
    )


def _exported(graph: _Graph) -> Any:
    """Return the model as onnx has it, with names for free dimensions and no paths in it."""
    free = {0: Dim.DYNAMIC} | ({} if graph.size else {2: Dim.DYNAMIC, 3: Dim.DYNAMIC})
    shapes = tuple(free if name != "factor" else {0: Dim.DYNAMIC} for name in graph.inputs)
    try:
        with _silence():
            program: Any = torch.onnx.export(
                graph.network,
                graph.frames(BATCH),
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=graph.inputs,
                output_names=graph.outputs,
                opset_version=OPSET,
                # Runtimes optimise when they load; the exporter takes minutes for large graphs.
                optimize=False,
                verbose=False,
            )
    except Exception as error:  # it may be the user's own network, and exporters raise anything
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise MagkitError(
            f"torch can't export {graph.about['network']} to ONNX: {reason}", _remedy(graph)
        ) from error
    proto = program.model_proto
    if found := {o.version for o in proto.opset_import if not o.domain} - {OPSET}:
        raise MagkitError(f"torch exported opset {found.pop()}, not {OPSET}", INSTALL)
    _name_dimensions(proto)
    for node in _nodes(proto):
        del node.metadata_props[:]  # the exporter's stack, with paths of this machine
        node.doc_string = ""
    return proto


def _remedy(graph: _Graph) -> str:
    if graph.kind == "magnifier":
        return "magnet and magnet-fast can be exported; --part encoder exports the encoder alone"
    return "" if graph.size else "--size HEIGHTxWIDTH fixes the size of frames, which may help"


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's warnings from users, who can do nothing about them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _nodes(proto: Any) -> Iterator[Any]:
    yield from proto.graph.node
    for values in (proto.graph.value_info, proto.graph.input, proto.graph.output):
        yield from values
    for function in proto.functions:
        yield from function.node


def _name_dimensions(proto: Any) -> None:
    """Replace the exporter's names of free dimensions, "s77", by what they are."""
    names: dict[str, str] = {}
    for value in proto.graph.input:
        for dimension, name in zip(
            value.type.tensor_type.shape.dim, ("batch", "channels", "height", "width"), strict=False
        ):
            if dimension.dim_param:
                names.setdefault(dimension.dim_param, name)
    pattern = re.compile("|".join(rf"\b{re.escape(old)}\b" for old in names) or "(?!)")
    for values in (proto.graph.input, proto.graph.output, proto.graph.value_info):
        for value in values:
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.dim_param:
                    dimension.dim_param = pattern.sub(
                        lambda match: names[match[0]], dimension.dim_param
                    )


def _shapes(values: Any) -> dict[str, Shape]:
    return {
        value.name: tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in values
    }


def _texts(inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> dict[str, str]:
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}


def _describe(proto: Any, texts: Mapping[str, str]) -> None:
    del proto.metadata_props[:]
    proto.producer_name, proto.producer_version = "magkit", __version__
    for key, value in sorted(texts.items()):
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value


def largest_difference(content: bytes, graph: _Graph) -> float:
    """Return the largest difference of an ONNX model to torch, over the largest value or 1.

    Frames are of another number than those of the export, and of another size if it is free.
    """
    runtime: Any = import_module(RUNTIME)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (1, 3):
        given = graph.frames(count, more=1)
        fed = {name: value.numpy() for name, value in zip(graph.inputs, given, strict=True)}
        with torch.no_grad():
            wanted = graph.network(*given)
        for one, other in zip(session.run(None, fed), wanted, strict=True):
            error = (torch.from_numpy(one) - other).abs().max() / other.abs().max().clamp(min=1)
            worst = max(worst, float(error) if error == error else float("inf"))
    return worst
