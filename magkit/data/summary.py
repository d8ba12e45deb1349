"""Contact sheet and histograms of a data set, and an estimate of its time and size."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from magkit.data.dataset import DataSet
from magkit.data.encode import FRAMES, encode
from magkit.data.plan import Plan
from magkit.runtime.shard import Shard
from magkit.synth.render import Sources
from magkit.synth.scene import draw_scene
from magkit.synth.sources import resize
from magkit.video.charts import HistogramChart, draw_histograms
from magkit.video.tiles import image_grid, to_image

COLUMNS, ROWS = 4, 8
THUMBNAIL = 160  # pixels


def contact_sheet(data: DataSet) -> Image.Image:
    """Return thumbnails of A, B, C and M of eight scenes, one per row, or of 32 single frames."""
    count = min(len(data), ROWS if data.kind == "triplets" else ROWS * COLUMNS)
    tiles = [tile for index in range(count) for tile in _tiles(data, index)]
    return to_image(image_grid(tiles, COLUMNS))


def _tiles(data: DataSet, index: int) -> list[torch.Tensor]:
    if data.kind == "frames":
        frames = [data.frames([index])[0]]
    else:
        scene = data.triplets([index])
        frames = [getattr(scene, name)[0] for name in FRAMES]
    return [resize(frame, THUMBNAIL, THUMBNAIL) for frame in frames]


BINS = 40


class Histogram:
    """A histogram of positive values in logarithmic bins; zeros are counted separately.

    Args:
        title: of the chart.
        low: lower edge of the first bin, which counts smaller values too.
        high: upper edge of the last bin, which counts larger values too.
    """

    def __init__(self, title: str, low: float, high: float) -> None:
        self.title = title
        self.edges = np.geomspace(low, high, BINS + 1)
        self.counts = np.zeros(BINS, np.int64)
        self.zero = 0
        self.total, self.least, self.most = 0.0, math.inf, 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        if value == 0:
            self.zero += 1
            return
        place = int(np.searchsorted(self.edges, value, side="right")) - 1
        self.counts[min(max(place, 0), BINS - 1)] += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)

    def numbers(self) -> dict[str, Any]:
        """Return a JSON object."""
        count, known = int(self.counts.sum()), {}
        if count:
            known = {"mean": self.total / count, "least": self.least, "most": self.most}
        return {
            "count": count,
            "zero": self.zero,
            **known,
            "edges": [float(f"{edge:.6g}") for edge in self.edges],
            "counts": self.counts.tolist(),
        }

    def chart(self) -> HistogramChart:
        """Return the chart."""
        still = f", {self.zero:,} at rest" if self.zero else ""
        return HistogramChart(self.title + still, self.edges.tolist(), self.counts.tolist())


class Statistics:
    """Histograms of factors, and of displacements and magnified displacements of layers."""

    def __init__(self) -> None:
        self.scenes = 0
        self.kinds: dict[str, int] = {}
        self.charts = {
            "factor": Histogram("factor", 1, 300),
            "displacement": Histogram("displacement of a layer, pixels", 1e-3, 30),
            "magnified": Histogram("magnified displacement, pixels", 1e-2, 100),
        }

    def add(self, kind: str, factor: float, motions: Iterable[Sequence[float]]) -> None:
        """Count a scene and the displacements (x, y) of its layers in pixels."""
        self.scenes += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.charts["factor"].add(factor)
        for motion in motions:
            length = math.hypot(*motion)
            self.charts["displacement"].add(length)
            self.charts["magnified"].add(length * factor)

    def numbers(self) -> dict[str, Any]:
        """Return a JSON object."""
        kinds = dict(sorted(self.kinds.items()))
        charts = {name: chart.numbers() for name, chart in self.charts.items()}
        return {"scenes": self.scenes, "kinds": kinds, **charts}

    def picture(self) -> Image.Image:
        """Return the charts side by side."""
        return draw_histograms([histogram.chart() for histogram in self.charts.values()])


MIN_SCENES, MAX_SCENES = 4, 64  # rendered for an estimate
TIME_LIMIT = 15.0  # seconds
OVERHEAD = 1024  # bytes of headers and unused blocks per file


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Time and size of a shard.

    Attributes:
        scenes: number of its scenes.
        tried: number of scenes that were rendered for the estimate.
        seconds: wall time with all processes.
        size: bytes on disk.
        free: free bytes on that disk.
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
    share: Shard = Shard(),  # noqa: B008 - it is frozen
) -> Estimate:
    """Make a few scenes, write nothing, and say what all will take.

    The second half of them counts: by then, what is only done once is done, and of sources that
    fit into memory a part is there. That processes share a disk or a memory bus is not seen.
    """
    ground = next(place for place in folder.resolve().parents if place.is_dir())
    free = shutil.disk_usage(ground).free
    times, sizes = _measure_scenes(plan, sources)
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


def _measure_scenes(plan: Plan, sources: Sources) -> tuple[list[float], list[int]]:
    """Render scenes up to the time limit; return seconds and bytes of each."""
    times: list[float] = []
    sizes: list[int] = []
    for index in range(min(MAX_SCENES, plan.count)):
        began = time.perf_counter()
        sizes.append(_measure_scene(plan, sources, index))
        times.append(time.perf_counter() - began)
        if sum(times) > TIME_LIMIT and len(times) >= MIN_SCENES:
            break
    return times, sizes


def _measure_scene(plan: Plan, sources: Sources, index: int) -> int:
    if plan.format == "recipe":
        draw_scene(plan.config, len(sources.pictures), len(sources.cutouts), plan.seed, index)
        return 0
    stored = encode(plan, sources, index)
    sizes = (*map(len, stored.files.values()), len(json.dumps(stored.record)))
    return sum(length + OVERHEAD for length in sizes)
