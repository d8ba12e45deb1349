"""Magnifiers' weights in and out: with what they were made for, and what others published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.magnify.networks.layouts import translate
from magkit.options import from_mapping, key_values, parse_options
from magkit.protocols import Magnifier
from magkit.registry import registry
from magkit.runtime.tensor_file import stored, write_tensors
from magkit.runtime.weights_file import OTHER, Weights, misfit, read_weights, recorded_config
from magkit.specs import MagnifierSpec

DEFAULT = "magnet-fast"
WEIGHTS = Path(__file__).parents[1] / "weights"


def load_magnifier(
    name: str = DEFAULT,
    weights: str | Path | None = None,
    options: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> Magnifier:
    """Build a magnifier with its weights, ready to be used.

    Args:
        name: As `--magnifier` takes it.
        weights: A file, or the name of weights that ship; None: the magnifier's own.
        options: KEY=VALUE texts, which go over the configuration that the weights were made with.
        device: Where it goes.

    Raises:
        UsageError: There is no such magnifier, or option, or the weights are another's.
        MagkitError: The weights are missing, damaged, not weights, or don't fit.
    """
    spec = registry().magnifier(name)
    parse_options(spec.config, options, _owner(spec))  # before files are looked for
    return build_magnifier(spec, find_weights(spec, weights), options, device)


def build_magnifier(
    spec: MagnifierSpec[Any],
    path: Path | None,
    options: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> Magnifier:
    """Build a magnifier of a spec, ready to be used, with the weights of a file or as it comes.

    Raises:
        UsageError: There is no such option, or the weights are another's.
        MagkitError: The weights are damaged, not weights, or don't fit.
    """
    owner = _owner(spec)
    if path is None:
        return _ready(spec.build(parse_options(spec.config, options, owner)), device)
    found = read_weights(path)
    _check_owner(found, spec, path)
    tensors, layout = translate(spec.name, found.tensors)
    recorded = {**recorded_config(found, path), **layout}
    config = from_mapping(spec.config, {**recorded, **key_values(options)}, owner)
    magnifier = _built(spec, config, path)
    _fill(magnifier, tensors, path, spec.name)
    return _ready(magnifier, device)


def _built(spec: MagnifierSpec[Any], config: Any, path: Path) -> Magnifier:
    try:
        return spec.build(config)
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        # A file may ask for more channels than there is memory for.
        raise MagkitError(
            f"no network can be built of what {path} says of itself: {error}"
        ) from error


def _owner(spec: MagnifierSpec[Any]) -> str:
    return f"magnifier '{spec.name}'"


def find_weights(spec: MagnifierSpec[Any], weights: str | Path | None) -> Path | None:
    """The file that holds a magnifier's weights; None for one that has nothing to load.

    Raises:
        MagkitError: No such file is there, or nothing ships with a magnifier that needs weights.
    """
    if weights is not None:
        return _named(weights)
    if spec.weights is None and spec.losses is None:
        return None
    if spec.weights is None:
        raise MagkitError(
            f"no weights ship with the magnifier '{spec.name}'",
            "give some with --weights FILE, or train it with 'magkit finetune'",
        )
    if not spec.weights.is_file():
        raise MagkitError(
            f"the weights of the magnifier '{spec.name}' are missing: {spec.weights}",
            "install what provides it once more, or give --weights FILE",
        )
    return spec.weights


def _named(weights: str | Path) -> Path:
    path = Path(weights)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in WEIGHTS.glob("*.safetensors")}
    if str(weights) in shipped:
        return shipped[str(weights)]
    if path.is_dir():
        raise MagkitError(f"{path} is a folder, not a weights file", OTHER)
    raise MagkitError(
        f"there is no weights file {path}, and none of that name ships",
        did_you_mean(str(weights), shipped),
    )


def _check_owner(found: Weights, spec: MagnifierSpec[Any], path: Path) -> None:
    owner = found.metadata.get("magnifier", spec.name)
    if owner != spec.name:
        raise UsageError(
            f"{path} holds weights of the magnifier '{owner}', not of '{spec.name}'",
            f"add --magnifier {owner}",
        )


def _fill(magnifier: Magnifier, tensors: Mapping[str, torch.Tensor], path: Path, name: str) -> None:
    if not isinstance(magnifier, nn.Module):
        raise UsageError(f"the magnifier '{name}' has no weights to load", "leave out --weights")
    wanted = magnifier.state_dict()
    problem = misfit(wanted, tensors)
    if problem:
        raise MagkitError(
            f"{path} does not fit the magnifier '{name}': {problem}",
            "are these another magnifier's weights? --magnifier names the one to build",
        )
    magnifier.load_state_dict(tensors)


def _ready(magnifier: Magnifier, device: torch.device | str) -> Magnifier:
    if isinstance(magnifier, nn.Module):
        # Convolutions on a CPU are faster with a pixel's channels side by side.
        magnifier.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    return magnifier


def save_weights(
    path: Path,
    module: nn.Module,
    metadata: Mapping[str, str],
    *,
    half: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a network's weights as safetensors, whole or not at all.

    Args:
        path: Where they go.
        module: The network.
        metadata: Texts to go along; `load_magnifier` reads "magnifier" and "config" (JSON).
        half: Whether floats are rounded to half precision: half the size.
        overwrite: Whether an existing file is replaced.

    Raises:
        MagkitError: The file exists or can't be written, or a weight is beyond half precision.
    """
    tensors = {
        key: stored(value.half() if half and value.is_floating_point() else value)
        for key, value in module.state_dict().items()
    }
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise MagkitError(f"{path} is not written: {key} holds values that are no numbers")
    write_tensors(path, tensors, metadata, overwrite=overwrite)
