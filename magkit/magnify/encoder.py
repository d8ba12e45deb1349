"""Encoders of magnifiers: weights files, and loading them group by group."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.options import from_mapping
from magkit.runtime.weights import to_storable, write_tensors
from magkit.specs import EncoderSpec, MagnifierSpec
from magkit.training.run import Run, read_config
from magkit.version import __version__

KIND = "encoder"  # in a file's metadata
RUN = "pretrain"  # the kind of run whose result is an encoder
_HINT = "magkit pretrain writes encoders: name its run, or the model.safetensors in it"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInfo:
    """Metadata of an encoder's weights file.

    Attributes:
        magnifier: whose encoder it is; or the name of a backbone.
        config: the magnifier's configuration, of JSON's types.
        branches: those that were trained.
        method: that trained them.
        steps: of that training.
        magkit: the version that wrote it.
    """

    magnifier: str
    config: Mapping[str, Any]
    branches: tuple[str, ...]
    method: str
    steps: int
    magkit: str = __version__


def save_encoder(
    path: Path, state: Mapping[str, torch.Tensor], info: EncoderInfo, *, overwrite: bool = False
) -> None:
    """Write an encoder's weights, atomically; equal ones give equal bytes.

    Args:
        path: of the file.
        state: the state dict of a module that `EncoderSpec.build` made.
        info: the metadata.
        overwrite: whether an existing file is replaced.

    Raises:
        MagkitError: the file exists or can't be written, or a weight is not finite.
    """
    tensors = {key: to_storable(value) for key, value in state.items()}
    _check_finite(path, tensors)
    texts = {
        "kind": KIND,
        "magnifier": info.magnifier,
        "config": json.dumps(info.config, sort_keys=True),
        "branches": json.dumps(sorted(info.branches)),
        "method": info.method,
        "steps": str(info.steps),
        "magkit": info.magkit,
    }
    write_tensors(path, tensors, texts, overwrite=overwrite)


def encoder_file(path: Path) -> Path:
    """Return the file of an encoder: `path` itself, or the result of the run in that folder.

    Raises:
        MagkitError: there is none, or the run is of another kind or not finished.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise MagkitError(f"there is no encoder {path}", _HINT)
    run = Run(path, read_config(RUN, path))
    if not run.finished:
        raise MagkitError(f"the run {path} isn't finished", "the same command resumes it")
    return run.model


def is_encoder(path: Path) -> bool:
    """Return whether a file says that it holds an encoder; False for all that can't be read."""
    try:
        return _header(path)[0].get("kind") == KIND
    except MagkitError:
        return False


def read_info(path: Path) -> EncoderInfo:
    """Read the metadata of an encoder's weights file, but no weights.

    Raises:
        MagkitError: the file can't be read, is cut or damaged, or holds no encoder.
    """
    texts = _header(path)[0]
    if texts.get("kind") != KIND:
        of = f" but weights of '{texts['magnifier']}'" if "magnifier" in texts else ""
        raise MagkitError(f"{path} holds no encoder{of}", _HINT)
    try:
        config, branches = json.loads(texts["config"]), json.loads(texts["branches"])
        if not isinstance(config, dict) or not isinstance(branches, list):
            raise TypeError
        return EncoderInfo(
            magnifier=texts["magnifier"],
            config=config,
            branches=tuple(map(str, branches)),
            method=texts["method"],
            steps=int(texts["steps"]),
            magkit=texts["magkit"],
        )
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise MagkitError(f"{path} does not say what encoder it holds", _HINT) from error


def read_state(path: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read an encoder's weights once their names and shapes are those wanted.

    Raises:
        MagkitError: they are others, or not finite; or the file can't be read.
    """
    check_fit(path, wanted)
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key).to(wanted[key].dtype) for key in wanted}
    _check_finite(path, tensors)
    return tensors


def _header(path: Path) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Read a safetensors file's metadata, and its tensors' shapes by their names."""
    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            return file.metadata() or {}, shapes
    except SafetensorError as error:
        raise MagkitError(f"{path} is no safetensors file, or is cut or damaged", _HINT) from error
    except RuntimeError as error:  # the file is mapped into memory
        raise MagkitError(f"{path} is too large for an encoder: {error}", _HINT) from error
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror or error}") from error


def check_fit(path: Path, wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuse a file whose tensors have other names or shapes than those wanted.

    Raises:
        MagkitError: they differ, or the file can't be read.
    """
    shapes = _header(path)[1]
    problems = [f"{name} is missing" for name in wanted if name not in shapes]
    problems += [f"{name} is unknown" for name in shapes if name not in wanted]
    problems += [
        f"{name} is {_size(shapes[name])}, not {_size(tuple(value.shape))}"
        for name, value in wanted.items()
        if shapes.get(name, tuple(value.shape)) != tuple(value.shape)
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise MagkitError(
            f"the encoder {path} does not fit: {problems[0]}{more}",
            "--opt must be as it was when the encoder was trained",
        )


def _check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise MagkitError(f"the encoder {path} holds non-finite values, in {name}")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLoadReport:
    """Whether a group of tensors was loaded; `why` is "" where that is plain."""

    name: str
    tensors: int
    parameters: int
    loaded: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """The groups of tensors that were loaded into a magnifier, and those that were not."""

    path: Path
    info: EncoderInfo
    groups: tuple[GroupLoadReport, ...]

    @property
    def parameters(self) -> int:
        """Number of parameters that were loaded."""
        return sum(group.parameters for group in self.groups if group.loaded)

    def __str__(self) -> str:
        training = f"{self.info.method}, {self.info.steps} steps"
        names = ", ".join(group.name for group in self.groups if group.loaded)
        return f"loaded {self.parameters:,} parameters of {self.path} ({training}): {names}"

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, of JSON's types except for the path."""
        groups = [asdict(group) for group in self.groups]
        about = {**asdict(self.info), "branches": list(self.info.branches)}
        return {"path": self.path, **about, "parameters": self.parameters, "groups": groups}


def load_encoder(model: nn.Module, spec: MagnifierSpec[Any], path: Path, config: Any) -> LoadReport:
    """Load an encoder's trained groups into a magnifier, in place.

    A group is loaded if a branch that it belongs to was trained; other groups still have the random
    weights of that training.

    Args:
        model: the magnifier, made by `spec.build(config)`.
        spec: of the magnifier.
        path: the encoder's file, or the folder of its run.
        config: the magnifier's configuration.

    Raises:
        MagkitError: the file is no encoder, or doesn't fit; the run is another kind's, or stopped.
        UsageError: it is another magnifier's encoder, or `config` changes its maps.
    """
    path = encoder_file(path)
    recorded, encoder = encoder_config(spec, path), encoder_spec(spec)
    info, tensors = read_info(path), read_state(path, encoder_layout(encoder, config))
    _check_equal_maps(path, encoder, tensors, recorded, config)
    state, reports = model.state_dict(), []
    for name, members in grouped(encoder, list(tensors)).items():
        report = _report(name, [tensors[key] for key in members], info)
        reports.append(report)
        if report.loaded:
            state.update({key: tensors[key] for key in members})
    model.load_state_dict(state)
    rest = [value for key, value in state.items() if key not in tensors]
    size, why = sum(tensor.numel() for tensor in rest), "not part of the encoder"
    reports.append(
        GroupLoadReport(name="rest", tensors=len(rest), parameters=size, loaded=False, why=why)
    )
    return LoadReport(path=path, info=info, groups=tuple(reports))


def grouped(encoder: EncoderSpec[Any], names: Sequence[str]) -> dict[str, list[str]]:
    """Sort an encoder's tensors into its groups, by their names.

    Raises:
        MagkitError: one belongs to no group of the magnifier's `EncoderSpec`.
    """
    found: dict[str, list[str]] = {group: [] for group in encoder.groups}
    for name in names:
        fits = (g for g, ps in encoder.groups.items() if any(fnmatchcase(name, p) for p in ps))
        group = next(fits, None)
        if group is None:
            raise MagkitError(f"the tensor {name} of this encoder belongs to no group")
        found[group].append(name)
    return found


def _report(name: str, tensors: Sequence[torch.Tensor], info: EncoderInfo) -> GroupLoadReport:
    branches = name.split("+")
    untrained = [branch for branch in branches if branch not in (*info.branches, "trunk")]
    loaded = len(untrained) < len(branches)
    why = f"{' and '.join(untrained)} not trained in that run" if untrained else ""
    return GroupLoadReport(
        name=name,
        tensors=len(tensors),
        parameters=sum(tensor.numel() for tensor in tensors),
        loaded=loaded,
        why=f"its part of {why}" if untrained and loaded else why,
    )


def encoder_config(spec: MagnifierSpec[Any], path: Path) -> Any:
    """Return the magnifier's configuration that is recorded with an encoder.

    Raises:
        UsageError: it is another magnifier's, or its configuration is invalid.
        MagkitError: as `read_info`; or its tensors don't fit that configuration.
    """
    info = read_info(path)
    if info.magnifier != spec.name:
        raise UsageError(
            f"{path} holds an encoder of '{info.magnifier}', not of '{spec.name}'",
            f"add --magnifier {info.magnifier}",
        )
    config = from_mapping(spec.config, info.config, f"{path}: magnifier '{spec.name}'")
    check_fit(path, encoder_layout(encoder_spec(spec), config))
    return config


def encoder_spec(spec: MagnifierSpec[Any]) -> EncoderSpec[Any]:
    """Return the `EncoderSpec` of a magnifier.

    Raises:
        UsageError: it has none.
    """
    if spec.encoder is None:
        raise UsageError(f"the magnifier '{spec.name}' has no encoder that is trained by itself")
    return spec.encoder


def encoder_layout(encoder: EncoderSpec[Any], config: Any) -> dict[str, torch.Tensor]:
    """Return an encoder's state dict of meta tensors, which have shapes but no values.

    Raises:
        MagkitError: the network is too large for any computer.
    """
    try:
        with torch.device("meta"):
            return dict(encoder.build(config).state_dict())
    except (RuntimeError, TypeError, OverflowError) as error:  # of 2**62 channels, and of 2**64
        raise MagkitError(f"no encoder can be built of {config}: {error}") from error


def _check_equal_maps(
    path: Path,
    encoder: EncoderSpec[Any],
    tensors: Mapping[str, torch.Tensor],
    recorded: Any,
    wanted: Any,
) -> None:
    """Refuse options by which the same weights give other maps, as another range of frames."""
    differing = [k for k, v in asdict(recorded).items() if asdict(wanted).get(k) != v]
    if not differing:
        return
    frames = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = []
    for config in (recorded, wanted):
        module = encoder.build(config).eval()
        module.load_state_dict(dict(tensors))
        with torch.no_grad():
            maps.append(module(frames))
    if any(not torch.equal(maps[0][branch], maps[1][branch]) for branch in encoder.strides):
        raise UsageError(
            f"the encoder {path} was trained with another {' or '.join(differing)}",
            "leave out that --opt, or pretrain with it",
        )
