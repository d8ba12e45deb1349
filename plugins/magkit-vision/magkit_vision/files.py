"""Weights out of files that anybody may have written, into networks; no code is run."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from magkit import MagkitError

ASKED = "give a safetensors file, or the state_dict that torch.save wrote"
_NESTS = ("state_dict", "model")  # where trainings put the weights beside their own state


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or of a PyTorch state dict.

    A state dict may be nested in a checkpoint; "module." before names is dropped.

    Raises:
        MagkitError: the file is missing, damaged, or holds something else.
    """
    try:
        found = _read(path)
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror or error}", ASKED) from error
    for key, value in found.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise MagkitError(f"{path} holds values that are no numbers, in {key}", ASKED)
    return {key.removeprefix("module."): value for key, value in found.items()}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        # Only now: a safetensors file may begin as a pickle does.
        with path.open("rb") as file:
            pickled = file.read(1) == b"\x80"
        if not (pickled or is_zipfile(path)):
            raise MagkitError(f"{path} is damaged, or not a weights file", ASKED) from error
    return _state_dict(_unpickled(path), path)


def _unpickled(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats: they are read all the same
            found: object = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise MagkitError(
            f"{path} is damaged, or holds Python objects, which could run code when they are read",
            ASKED,
        ) from error
    except OSError:
        raise
    except Exception as error:  # what a damaged file makes of the reader can be anything
        raise MagkitError(f"{path} is damaged, or not a weights file", ASKED) from error
    return found


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    for nest in _NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    if not isinstance(content, Mapping) or not content:
        raise MagkitError(f"{path} holds no weights", ASKED)
    for key, value in content.items():
        if not isinstance(value, Tensor):
            raise MagkitError(f"{path} is no state_dict: '{key}' is not a tensor", ASKED)
    return {str(key): value for key, value in content.items()}


def fill(model: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Load tensors into a network; counters of batches may be missing.

    Names that torchvision has changed since are understood.

    Raises:
        MagkitError: they are those of another network.
    """
    given = {_today(key): value for key, value in tensors.items()}
    problem = _shapes(model.state_dict(), given)
    if not problem:
        try:
            problem = _names(*model.load_state_dict(given, strict=False))
        except RuntimeError as error:  # a shape, of a name that is understood on the way
            problem = str(error).splitlines()[-1].strip()
    if problem:
        raise MagkitError(
            f"{path} does not fit {name}: {problem}",
            "are these another network's weights, or its own classes' (--opt classes=...)?",
        )


def _today(key: str) -> str:
    """Return what a layer of DenseNet is called since names may hold no dots."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key)


def _shapes(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    for key, value in wanted.items():
        if key in given and given[key].shape != value.shape:
            return f"{key} is {_size(given[key])}, not {_size(value)}"
    return ""


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _names(missing: list[str], stray: list[str]) -> str:
    missing, stray = (
        [key for key in keys if not key.endswith("num_batches_tracked")]
        for keys in (missing, stray)
    )
    if missing:
        return f"{len(missing)} of its tensors are missing ({missing[0]})"
    return f"it holds {len(stray)} unknown tensors ({stray[0]})" if stray else ""
