"""Encoders into magnifiers: group by group, with a report of what was loaded and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.magnify.encoder_file import EncoderInfo, check_fit, encoder_file, read_info, read_state
from magkit.options import from_mapping
from magkit.specs import EncoderSpec, MagnifierSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReport:
    """What became of a group of tensors: why is "" where nothing need be said."""

    name: str
    tensors: int
    parameters: int
    loaded: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was loaded into a magnifier, and what was not."""

    path: Path
    info: EncoderInfo
    groups: tuple[GroupReport, ...]

    @property
    def parameters(self) -> int:
        """How many parameters were loaded."""
        return sum(group.parameters for group in self.groups if group.loaded)

    def __str__(self) -> str:
        made = f"{self.info.method}, {self.info.steps} steps"
        names = ", ".join(group.name for group in self.groups if group.loaded)
        return f"loaded {self.parameters:,} parameters of {self.path} ({made}): {names}"

    def as_dict(self) -> dict[str, Any]:
        """Return it all, of JSON's types but for the path."""
        groups = [asdict(group) for group in self.groups]
        about = {**asdict(self.info), "branches": list(self.info.branches)}
        return {"path": self.path, **about, "parameters": self.parameters, "groups": groups}


def load_encoder(model: nn.Module, spec: MagnifierSpec[Any], path: Path, config: Any) -> Report:
    """Load an encoder's trained groups into a magnifier, in place.

    A group is loaded if a branch that it belongs to was trained; what else the file holds is as
    it was drawn before that training.

    Args:
        model: the magnifier, made by `spec.build(config)`.
        spec: what it is.
        path: the encoder's file, or the folder of its run.
        config: the magnifier's configuration.

    Raises:
        MagkitError: the file is no encoder, or doesn't fit; the run is another kind's, or stopped.
        UsageError: it is another magnifier's encoder, or sees frames otherwise.
    """
    path = encoder_file(path)
    there, encoder = encoder_config(spec, path), encoder_spec(spec)
    info, tensors = read_info(path), read_state(path, encoder_layout(encoder, config))
    _check_alike(path, encoder, tensors, there, config)
    state, reports = model.state_dict(), []
    for name, members in grouped(encoder, list(tensors)).items():
        report = _report(name, [tensors[key] for key in members], info)
        reports.append(report)
        if report.loaded:
            state.update({key: tensors[key] for key in members})
    model.load_state_dict(state)
    rest = [value for key, value in state.items() if key not in tensors]
    return Report(path=path, info=info, groups=(*reports, _rest(rest)))


def grouped(encoder: EncoderSpec[Any], names: Sequence[str]) -> dict[str, list[str]]:
    """Sort an encoder's tensors into its groups, by their names.

    Raises:
        MagkitError: one belongs to no group: whoever wrote the magnifier left it out.
    """
    found: dict[str, list[str]] = {group: [] for group in encoder.groups}
    for name in names:
        fits = (g for g, ps in encoder.groups.items() if any(fnmatchcase(name, p) for p in ps))
        group = next(fits, None)
        if group is None:
            raise MagkitError(f"the tensor {name} of this encoder belongs to no group")
        found[group].append(name)
    return found


def _report(name: str, tensors: Sequence[torch.Tensor], info: EncoderInfo) -> GroupReport:
    branches = name.split("+")
    idle = [branch for branch in branches if branch not in (*info.branches, "trunk")]
    loaded = len(idle) < len(branches)
    why = f"{' and '.join(idle)} not trained in that run" if idle else ""
    return GroupReport(
        name=name,
        tensors=len(tensors),
        parameters=sum(tensor.numel() for tensor in tensors),
        loaded=loaded,
        why=f"its part of {why}" if idle and loaded else why,
    )


def _rest(tensors: Sequence[torch.Tensor]) -> GroupReport:
    count = sum(tensor.numel() for tensor in tensors)
    why = "not part of the encoder"
    return GroupReport(name="rest", tensors=len(tensors), parameters=count, loaded=False, why=why)


def encoder_config(spec: MagnifierSpec[Any], path: Path) -> Any:
    """Return the magnifier's configuration that an encoder was trained in.

    Raises:
        UsageError: it is another magnifier's, or its configuration is not one of this.
        MagkitError: as `read_info`; or its tensors are not those of that configuration.
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
    """Return what of a magnifier is an encoder.

    Raises:
        UsageError: nothing is.
    """
    if spec.encoder is None:
        raise UsageError(f"the magnifier '{spec.name}' has no encoder that is trained by itself")
    return spec.encoder


def encoder_layout(encoder: EncoderSpec[Any], config: Any) -> dict[str, torch.Tensor]:
    """Return tensors of the names and shapes of an encoder's, without memory for their values.

    Raises:
        MagkitError: no computer has the memory for such a network.
    """
    try:
        with torch.device("meta"):
            return dict(encoder.build(config).state_dict())
    except (RuntimeError, TypeError, OverflowError) as error:  # of 2**62 channels, and of 2**64
        raise MagkitError(f"no encoder can be built of {config}: {error}") from error


def _check_alike(
    path: Path,
    encoder: EncoderSpec[Any],
    tensors: Mapping[str, torch.Tensor],
    there: Any,
    here: Any,
) -> None:
    """Refuse options that let the same weights see something else, as other ranges of frames."""
    differing = [k for k, v in asdict(there).items() if asdict(here).get(k) != v]
    if not differing:
        return
    frames = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = []
    for config in (there, here):
        module = encoder.build(config).eval()
        module.load_state_dict(dict(tensors))
        with torch.no_grad():
            maps.append(module(frames))
    if any(not torch.equal(maps[0][branch], maps[1][branch]) for branch in encoder.strides):
        raise UsageError(
            f"the encoder {path} was trained with another {' or '.join(differing)}",
            "leave out that --opt, or pretrain with it",
        )
