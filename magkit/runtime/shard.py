"""Independent items divided among processes that do not communicate."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from magkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `number` of `count`, counted from 1: every `count`-th item."""

    number: int = 1
    count: int = 1

    def __contains__(self, item: int) -> bool:
        return item % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Parse "I/N", the I-th of N shards, counted from 1.

    Raises:
        UsageError: the text is something else, or I is not in 1 to N.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if match is None:
        raise UsageError(f"'{text}' is not of the form I/N", "the first of four shards is 1/4")
    number, count = int(match[1]), int(match[2])
    if not 1 <= number <= count:
        raise UsageError(f"there is no shard {number} of {count}", "shards count from 1")
    return Shard(number, count)


def launched_shard(environment: Mapping[str, str] = os.environ) -> Shard:
    """Return this process' shard by torchrun's RANK and WORLD_SIZE; without them all items.

    Raises:
        UsageError: the variables are invalid.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Shard()
    try:
        rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        return parse_shard(f"{rank + 1}/{world}")
    except (ValueError, UsageError) as error:
        raise UsageError("RANK and WORLD_SIZE of torchrun are invalid") from error


def processor_count(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processors for this process: all over torchrun's LOCAL_WORLD_SIZE."""
    allowed = hasattr(os, "sched_getaffinity")
    count = len(os.sched_getaffinity(0)) if allowed else os.cpu_count() or 1
    neighbours = environment.get("LOCAL_WORLD_SIZE", "")
    return max(1, count // max(1, int(neighbours) if neighbours.isdecimal() else 1))


def default_workers() -> int:
    """Return the default number of worker processes: a quarter of the processors, 1 to 8."""
    return max(1, min(8, processor_count() // 4))
