"""What is looked at while an encoder is trained: what it is worth, and whether it collapses."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Protocol

import torch

from magkit.protocols import View
from magkit.runtime.atomic import atomic_path
from magkit.selfsup.collapse import measure_collapse, warnings
from magkit.selfsup.fitness import LEAST_FRAMES, least_size, motion_fitness
from magkit.selfsup.frames.source import FrameSource
from magkit.selfsup.learner import Learner
from magkit.selfsup.network import Network
from magkit.selfsup.recipe import Recipe
from magkit.training.curves import curves
from magkit.training.metrics import read_metrics
from magkit.training.run import Run
from magkit.training.train import write_picture

logger = logging.getLogger(__name__)

JUDGED = 32  # frames that fitness is measured on
EMBEDDED = 64  # frames that a collapse is looked for in
SHOWN = 8  # frames whose views are drawn
GAP = 2  # pixels between them
READOUT = "readout"  # error in pixels, of which the best encoder has least


class Examples(Protocol):
    """Shows what methods are shown."""

    def examples(self, count: int) -> dict[str, list[View]]:
        """Return the views of the first frames, by branch."""
        ...


class Watch:
    """Measures a learner now and then, draws curves, keeps the best encoder.

    Args:
        source: whose first frames are looked at.
        recipe: the size of views.
        network: its branches.
        export: writes the encoder as it is after a number of steps.
    """

    def __init__(
        self,
        source: FrameSource,
        recipe: Recipe,
        network: Network,
        export: Callable[[Path, int], None],
    ) -> None:
        self._source, self._size = source, recipe.views.size
        self._export = export
        self._branches = network.branches
        self._least = max(least_size(each.stride) for each in network.maps.values())

    def show_views(self, run: Run, views: Examples) -> None:
        """Draw the views of eight frames: a row for each of the two views of each branch."""
        pairs = views.examples(min(SHOWN, len(self._source)))
        rows = [view.images_NCHW.cpu() for pair in pairs.values() for view in pair]
        tiles = [torch.nn.functional.pad(row, (GAP,) * 4, value=1.0) for row in rows]
        sheet = torch.cat([torch.cat(list(row), 2) for row in tiles], 1)
        write_picture(run.samples / "views.png", sheet)

    def __call__(self, run: Run, learner: Learner, step: int) -> dict[str, float]:
        """Return what is seen in the encoder after so many steps, by name."""
        learner.eval()
        seen = {**self._fitness(learner), **self._collapse(learner)}
        learner.train()
        earlier = read_metrics(run.metrics)
        self._keep_best(run, earlier, seen, step)
        lines = [*earlier, {"step": step, **seen}]
        names = dict.fromkeys(name for line in lines for name in line)
        shown = [name for name in names if name not in ("step", "rate")]
        with atomic_path(run.folder / "curves.png", overwrite=True) as temporary:
            curves(lines, shown).save(temporary)
        return seen

    def _frames(self, count: int, device: torch.device) -> torch.Tensor:
        """Return the middles of the first frames, as large as views."""
        frames = self._source.frames(range(min(count, len(self._source))), "a")
        start = (frames.shape[-1] - self._size) // 2
        window = slice(start, start + self._size)
        return frames[..., window, window].to(device)

    def _fitness(self, learner: Learner) -> dict[str, float]:
        frames = self._frames(JUDGED, _device(learner))
        if len(frames) < LEAST_FRAMES or self._size < self._least:
            return {}
        found = motion_fitness(learner.encoder, frames)
        seen = {}
        for branch in self._branches:
            seen[f"{branch}_{READOUT}"] = found[branch].readout_mae
            seen[f"{branch}_equivariance"] = fmean(found[branch].equivariance)
            seen[f"{branch}_linearity"] = fmean(found[branch].linearity)
        return seen

    def _collapse(self, learner: Learner) -> dict[str, float]:
        frames, seen = self._frames(EMBEDDED, _device(learner)), dict[str, float]()
        maps = [learner.encoder(part) for part in torch.split(frames, JUDGED)]
        for branch in self._branches:
            method = learner.method(branch)
            vectors = torch.cat([method.embed(part[branch]) for part in maps])
            found = measure_collapse(vectors)
            for warning in warnings(found):
                logger.warning("%s: %s", branch, warning)
            seen[f"{branch}_spread"] = found.relative_spread
            seen[f"{branch}_rank"], seen[f"{branch}_dead"] = found.rank, found.dead
        return seen

    def _keep_best(
        self, run: Run, earlier: list[dict[str, float]], seen: dict[str, float], step: int
    ) -> None:
        names = [name for name in seen if name.endswith(READOUT)]
        if not names:
            return
        known = [line for line in earlier if all(line.get(n) is not None for n in names)]
        best = min((sum(line[n] for n in names) for line in known), default=math.inf)
        if sum(seen[name] for name in names) < best:
            self._export(run.folder / "best.safetensors", step)


def _device(learner: Learner) -> torch.device:
    return next(learner.parameters()).device
