"""Targets by name: parsed from options, built, and loaded with weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.options import option_pairs, parse_options
from magkit.plugins import registry
from magkit.protocols import Statistic, Target
from magkit.runtime.files import file_digest
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

    def to_dict(self) -> dict[str, Any]:
        """Return what determines the target, as JSON types; weights by their hash."""
        path = self.weights or registry().target(self.name).weights
        return {
            "name": self.name,
            "weight": self.weight,
            "options": asdict(self.config()),
            "weights": None if path is None else file_digest(path),
        }

    def config(self) -> Any:
        """Return the options as the target's configuration.

        Raises:
            UsageError: there is no such target or option.
        """
        spec = registry().target(self.name)
        return parse_options(spec.config, self.options, f"target '{self.name}'")


def build_target(choice: TargetChoice, device: torch.device) -> Target[Any]:
    """Build a target with its weights.

    Raises:
        UsageError: there is no such target or option.
        MagkitError: its weights are missing, damaged or another's.
    """
    build = registry().target(choice.name).build
    target: Target[Any] = build(choice.config(), choice.weights, device)
    return target


@dataclass(frozen=True, slots=True)
class LoadedTarget:
    """A target with its weights.

    Attributes:
        name: as it was asked for.
        target: the network.
        weight: in the sum of several targets.
        statistics: its BatchNorm statistics.
    """

    name: str
    target: Target[Any]
    weight: float
    statistics: Sequence[Statistic]


def load_target(choice: TargetChoice, device: torch.device) -> LoadedTarget:
    """Build a target, and list its BatchNorm statistics; errors are those of `build_target`."""
    target = build_target(choice, device)
    return LoadedTarget(choice.name, target, choice.weight, target.statistics())


def check_target(loaded: LoadedTarget, size: tuple[int, int], bn_weight: float) -> None:
    """Check that a target takes images of a size, and has BatchNorm statistics if they count.

    Raises:
        UsageError: it takes no such images.
        MagkitError: it has no statistics, and `bn_weight` is not 0.
    """
    stride = loaded.target.stride
    if any(side % stride for side in size):
        raise UsageError(
            f"'{loaded.name}' takes pictures whose sides are multiples of {stride}, "
            f"not {size[1]}x{size[0]}",
            "choose such a --size",
        )
    if bn_weight and not loaded.statistics:
        raise MagkitError(
            f"the target '{loaded.name}' remembers no statistics: no layer has a running mean",
            "--bn 0 does without them",
        )


def recorded_target(table: Mapping[str, Any], path: Path | None) -> TargetChoice:
    """Return the target that `TargetChoice.to_dict` described, its weights checked.

    Args:
        table: the description.
        path: of the weights; None: those that ship.

    Raises:
        MagkitError: the weights can't be read, or are not those that were inverted.
        WRONG: the table is damaged.
    """
    options = tuple(option_pairs(table["options"]))
    choice = TargetChoice(table["name"], table["weight"], path, options)
    try:
        mark = choice.to_dict()["weights"]
    except OSError as error:
        raise MagkitError(
            f"the weights of '{choice.name}' can't be read: {error.filename}",
            "name them: --weights",
        ) from error
    if mark != table["weights"] and path is None:
        raise MagkitError(
            f"'{table['name']}' was inverted with weights of a file", "name it: --weights FILE"
        )
    if mark != table["weights"]:
        raise MagkitError(
            f"these are not the weights of '{table['name']}' that were inverted",
            "give with --weights what the job was made with",
        )
    return choice


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


MAX_CLASSES = 10_000  # each costs memory before the first tensor is compared


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
    if not 0 < len(names) <= MAX_CLASSES:
        raise MagkitError(f"{path} lists {len(names)} classes, of 1 to {MAX_CLASSES}")
    return names


def load_weights(model: nn.Module, tensors: dict[str, torch.Tensor], path: Path, name: str) -> None:
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


def common_stride(targets: Sequence[LoadedTarget]) -> int:
    """Return the least common multiple of the strides, which must divide height and width."""
    return math.lcm(*(loaded.target.stride for loaded in targets))
