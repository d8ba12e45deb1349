"""What writing a data set will take, from a few of its scenes really made."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from magkit.data.encode import encode
from magkit.data.plan import Plan
from magkit.runtime.share import Share
from magkit.synth.render import Sources
from magkit.synth.scene import draw_scene

FEWEST, MOST = 4, 64  # scenes that are made
PATIENCE = 15.0  # seconds after which no more are
OVERHEAD = 1024  # bytes of headers and unused blocks, a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the scenes of a share will take.

    Attributes:
        scenes: how many they are.
        tried: how many were made to find out.
        seconds: by the clock, with all processes at work.
        size: bytes on disk.
        free: bytes that are free there.
    """

    scenes: int
    tried: int
    seconds: float
    size: int
    free: int


def estimate(
    folder: Path,
    plan: Plan,
    sources: Sources,
    processes: int,
    share: Share = Share(),  # noqa: B008 - it is frozen
) -> Estimate:
    """Make a few scenes, write nothing, and say what all will take.

    The second half of them counts: by then, what is only done once is done, and of sources that
    fit into memory a part is there. That processes share a disk or a memory bus is not seen.
    """
    ground = next(place for place in folder.resolve().parents if place.is_dir())
    free = shutil.disk_usage(ground).free
    times, sizes = _tried(plan, sources)
    late = times[len(times) // 2 :]
    scenes = len(range(share.number - 1, plan.count, share.count))
    seconds, size = sum(late) / len(late) * scenes, sum(sizes) * scenes // len(sizes)
    if plan.format == "recipe":
        processes, size = 1, len(plan.text())
    return Estimate(
        scenes=scenes,
        tried=len(times),
        seconds=seconds / min(processes, scenes),
        size=size,
        free=free,
    )


def _tried(plan: Plan, sources: Sources) -> tuple[list[float], list[int]]:
    """Make scenes for as long as patience lasts; return seconds and bytes of each."""
    times: list[float] = []
    sizes: list[int] = []
    for index in range(min(MOST, plan.count)):
        began = time.perf_counter()
        sizes.append(_made(plan, sources, index))
        times.append(time.perf_counter() - began)
        if sum(times) > PATIENCE and len(times) >= FEWEST:
            break
    return times, sizes


def _made(plan: Plan, sources: Sources, index: int) -> int:
    if plan.format == "recipe":
        draw_scene(plan.config, len(sources.pictures), len(sources.cutouts), plan.seed, index)
        return 0
    stored = encode(plan, sources, index)
    sizes = (*map(len, stored.files.values()), len(json.dumps(stored.line)))
    return sum(length + OVERHEAD for length in sizes)
