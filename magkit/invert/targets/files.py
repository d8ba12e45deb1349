"""Weights of targets, out of files that anybody may have written, into networks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.runtime.weights_file import Weights, misfit, read_weights

MOST_CLASSES = 10_000  # each costs memory before the first tensor is compared


def read_target(path: Path, name: str) -> Weights:
    """Read the weights of a target.

    Raises:
        UsageError: they say that they are another target's.
        MagkitError: the file is missing, damaged, or holds no weights.
    """
    if not path.is_file():
        raise MagkitError(f"the weights of '{name}' are missing: {path}", "--weights names others")
    found = read_weights(path)
    owner = found.metadata.get("target", name)
    if owner != name:
        raise UsageError(
            f"{path} holds weights of the target '{owner}', not of '{name}'",
            f"add --target {owner}",
        )
    return found


def class_names(found: Weights, path: Path, default: Sequence[str]) -> list[str]:
    """Return the classes' names that go with weights, without the background."""
    try:
        names = json.loads(found.metadata.get("classes", json.dumps(list(default))))
    except (ValueError, RecursionError) as error:
        raise MagkitError(f"{path}: its list of classes is not JSON") from error
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise MagkitError(f"{path}: its list of classes is no list of names")
    if not 0 < len(names) <= MOST_CLASSES:
        raise MagkitError(f"{path} lists {len(names)} classes, of 1 to {MOST_CLASSES}")
    return names


def fill(model: nn.Module, tensors: dict[str, torch.Tensor], path: Path, name: str) -> None:
    """Load tensors into a network, counters of batches aside.

    Raises:
        MagkitError: they are those of another network.
    """
    wanted = {k: v for k, v in model.state_dict().items() if not _counts(k)}
    given = {k: v for k, v in tensors.items() if not _counts(k)}
    problem = misfit(wanted, given)
    if problem:
        raise MagkitError(
            f"{path} does not fit the target '{name}': {problem}",
            "are these another network's weights? --target names the one to build",
        )
    model.load_state_dict(given, strict=False)


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")
