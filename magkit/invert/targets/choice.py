"""Which target, with which weights: what `--target` and `--weights` say, and the target itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from magkit.errors import UsageError
from magkit.options import parse_options
from magkit.protocols import Target
from magkit.registry import registry


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
