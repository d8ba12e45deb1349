"""Loads weights into networks under their present and their former names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from magkit import MagkitError


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
