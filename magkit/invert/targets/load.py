"""A target and its weights: what `--target` and `--weights` say, and how files are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.options import parse_options
from magkit.plugins import registry
from magkit.protocols import Target
from magkit.runtime.weights import Weights, mismatch, read_weights


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """A target by name.

    Attributes:
        name: as `--target` takes it.
        weight: in the sum of several targets.
        weights: a file; None: what ships with it, or what it knows to find.
        options: KEY=VALUE texts, its own.
    """

    name: str
    weight: float = 1.0
    weights: Path | None = None
    options: Sequence[str] = ()

    def described(self) -> dict[str, Any]:
        """Return what determines the target, of JSON's types."""
        spec = registry().target(self.name)
        config = parse_options(spec.config, self.options, self.owner)
        path = self.weights or spec.weights
        return {
            "name": self.name,
            "weight": self.weight,
            "options": asdict(config),
            "weights": None if path is None else sha256(path.read_bytes()).hexdigest(),
        }

    @property
    def owner(self) -> str:
        """Whose options they are, for messages."""
        return f"target '{self.name}'"


def build_target(choice: TargetChoice, device: torch.device) -> Target[Any]:
    """Build a target with its weights.

    Raises:
        UsageError: there is no such target or option.
        MagkitError: its weights are missing, damaged or another's.
    """
    spec = registry().target(choice.name)
    config = parse_options(spec.config, choice.options, choice.owner)
    target: Target[Any] = spec.build(config, choice.weights, device)
    return target


def parse_targets(
    names: Sequence[str], weights: Sequence[Path], options: Sequence[str]
) -> list[TargetChoice]:
    """Read what `--target NAME[=WEIGHT]`, `--weights FILE` and `--opt` say.

    Several targets take as many weights files as there are targets, in their order, or none; the
    options are the first one's.

    Raises:
        UsageError: a weight is no number above 0, or the files are not as many as the targets.
    """
    pairs = [_pair(text) for text in names]
    if weights and len(weights) != len(pairs):
        raise UsageError(
            f"{len(pairs)} targets are named, and {len(weights)} weights files",
            "give a file for each target, in their order",
        )
    files: list[Path | None] = list(weights) or [None] * len(pairs)
    return [
        TargetChoice(name, weight, file, () if number else tuple(options))
        for number, ((name, weight), file) in enumerate(zip(pairs, files, strict=True))
    ]


def _pair(text: str) -> tuple[str, float]:
    name, equals, weight = text.partition("=")
    try:
        value = float(weight) if equals else 1.0
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"'{text}' is no target with a weight", "such as maskrcnn-small=0.5")
    return name, value


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
    problem = mismatch(wanted, given)
    if problem:
        raise MagkitError(
            f"{path} does not fit the target '{name}': {problem}",
            "are these another network's weights? --target names the one to build",
        )
    model.load_state_dict(given, strict=False)


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")
