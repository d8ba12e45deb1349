"""Monitoring of a pretraining: motion probe, collapse of embeddings, curves, the best encoder."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Protocol

import torch
from torch.nn import functional as F

from magkit.errors import MagkitError
from magkit.protocols import View
from magkit.runtime.files import atomic_path
from magkit.selfsup.frame_source import FrameSource
from magkit.selfsup.model import EncoderNetwork, PretrainModel
from magkit.selfsup.motion_probe import MIN_FRAMES, least_size, probe_motion
from magkit.selfsup.recipe import Recipe
from magkit.training.metrics import read_metrics
from magkit.training.run import Run
from magkit.video.charts import draw_curves
from magkit.video.tiles import image_grid, save_png

# Thresholds of warnings; none of them is reached by healthy runs.
DEAD_CHANNEL = 1e-4  # standard deviation of a dead channel over the root mean square of all
MAX_DEAD_SHARE = 0.5
MIN_SPREAD = 0.1  # of 1 / sqrt(d): below it embeddings are about to become one point
MIN_RANK = 2.0  # effective dimensions: below it they lie on a line

PROBE_FRAMES = 32  # that the motion probe measures
EMBEDDED_FRAMES = 64  # whose embeddings are checked for collapse
SHOWN_FRAMES = 8  # whose views are drawn
READOUT = "readout"  # metric in pixels: the best encoder has the least

logger = logging.getLogger(__name__)


class ViewExamples(Protocol):
    """Makes views as the methods get them."""

    def examples(self, count: int) -> dict[str, list[View]]:
        """Return the views of the first frames, by branch."""
        ...


class EncoderMonitor:
    """Measures a model at intervals, draws curves, keeps the best encoder.

    Args:
        source: whose first frames are used.
        recipe: the size of views.
        network: its branches.
        export: writes the encoder as it is after a number of steps.
    """

    def __init__(
        self,
        source: FrameSource,
        recipe: Recipe,
        network: EncoderNetwork,
        export: Callable[[Path, int], None],
    ) -> None:
        self._source, self._size = source, recipe.views.size
        self._export = export
        self._branches = network.branches
        self._least = max(least_size(each.stride) for each in network.maps.values())

    def show_views(self, run: Run, views: ViewExamples) -> None:
        """Draw the views of eight frames: a row for each of the two views of each branch."""
        pairs = views.examples(min(SHOWN_FRAMES, len(self._source)))
        rows = [view.images_NCHW.cpu() for pair in pairs.values() for view in pair]
        save_png(run.samples / "views.png", image_grid(list(torch.cat(rows)), len(rows[0])))

    def __call__(self, run: Run, model: PretrainModel, step: int) -> dict[str, float]:
        """Return the metrics of the encoder after so many steps, by name."""
        model.eval()
        found = {**self._motion_metrics(model), **self._collapse_metrics(model)}
        model.train()
        earlier = read_metrics(run.metrics)
        self._keep_best(run, earlier, found, step)
        lines = [*earlier, {"step": step, **found}]
        names = dict.fromkeys(name for line in lines for name in line)
        shown = [name for name in names if name not in ("step", "rate")]
        with atomic_path(run.folder / "curves.png", overwrite=True) as temporary:
            draw_curves(lines, shown).save(temporary)
        return found

    def _frames(self, count: int, model: PretrainModel) -> torch.Tensor:
        """Return the centres of the first frames, as large as views, on the model's device."""
        frames = self._source.frames(range(min(count, len(self._source))), "a")
        start = (frames.shape[-1] - self._size) // 2
        window = slice(start, start + self._size)
        return frames[..., window, window].to(next(model.parameters()).device)

    def _motion_metrics(self, model: PretrainModel) -> dict[str, float]:
        frames = self._frames(PROBE_FRAMES, model)
        if len(frames) < MIN_FRAMES or self._size < self._least:
            return {}
        scores, found = probe_motion(model.encoder, frames), {}
        for branch in self._branches:
            found[f"{branch}_{READOUT}"] = scores[branch].readout_mae
            found[f"{branch}_equivariance"] = fmean(scores[branch].equivariance)
            found[f"{branch}_linearity"] = fmean(scores[branch].linearity)
        return found

    def _collapse_metrics(self, model: PretrainModel) -> dict[str, float]:
        frames, found = self._frames(EMBEDDED_FRAMES, model), dict[str, float]()
        maps = [model.encoder(part) for part in torch.split(frames, PROBE_FRAMES)]
        for branch in self._branches:
            method = model.method(branch)
            stats = collapse_stats(torch.cat([method.embed(part[branch]) for part in maps]))
            for warning in collapse_warnings(stats):
                logger.warning("%s: %s", branch, warning)
            found[f"{branch}_spread"] = stats.relative_spread
            found[f"{branch}_rank"], found[f"{branch}_dead"] = stats.rank, stats.dead
        return found

    def _keep_best(
        self, run: Run, earlier: list[dict[str, float]], found: dict[str, float], step: int
    ) -> None:
        names = [name for name in found if name.endswith(READOUT)]
        if not names:
            return
        known = [line for line in earlier if all(line.get(n) is not None for n in names)]
        best = min((sum(line[n] for n in names) for line in known), default=math.inf)
        if sum(found[name] for name in names) < best:
            self._export(run.folder / "best.safetensors", step)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapseStats:
    """Statistics of N embeddings of d dimensions by which a collapse is recognised.

    Attributes:
        samples: N.
        dimensions: d.
        spread: standard deviation of each dimension after L2 normalisation, mean over dimensions;
            1 / sqrt(d) for uniform directions, 0 for identical ones.
        rank: RankMe (Garrido et al., ICML 2023, equation 1), effective dimensions, from 1 to the
            smaller of N and d; to be compared between runs of one method only.
        dead: share of dimensions that hardly vary.
        alignment: mean squared distance of normalised embeddings of two views of the same; None
            without second views (Wang & Isola, ICML 2020).
        uniformity: log of the mean of exp(-2 |x - y|^2) over pairs of normalised embeddings; 0 if
            they are one point, the lower the more they spread (the same).
    """

    samples: int
    dimensions: int
    spread: float
    rank: float
    dead: float
    alignment: float | None
    uniformity: float

    @property
    def relative_spread(self) -> float:
        """The spread over 1 / sqrt(d)."""
        return self.spread * math.sqrt(self.dimensions)

    def as_dict(self) -> dict[str, float | None]:
        """Return the statistics by name."""
        return {**asdict(self), "relative_spread": self.relative_spread}


def collapse_stats(
    embeddings_ND: torch.Tensor, others_ND: torch.Tensor | None = None
) -> CollapseStats:
    """Measure embeddings, and their distances to those of the same pictures' other views.

    Raises:
        MagkitError: there are fewer than two, or one is not finite.
    """
    x = embeddings_ND.detach().cpu().double()
    if len(x) < 2:
        raise MagkitError("a collapse of embeddings can't be told from fewer than two")
    if not x.isfinite().all():
        raise MagkitError("embeddings hold non-finite values")
    z = F.normalize(x, dim=1)
    deviation, size = x.std(0), x.square().mean().sqrt()
    alignment = None
    if others_ND is not None:
        others = F.normalize(others_ND.detach().cpu().double(), dim=1)
        alignment = (z - others).square().sum(1).mean().item()
    return CollapseStats(
        samples=len(x),
        dimensions=x.shape[1],
        spread=z.std(0).mean().item(),
        rank=_rank(x),
        dead=(deviation <= DEAD_CHANNEL * size).double().mean().item(),
        alignment=alignment,
        uniformity=torch.pdist(z).square().mul(-2).exp().mean().log().item(),
    )


def _rank(x_ND: torch.Tensor) -> float:
    values = torch.linalg.svdvals(x_ND)
    shares = values / values.sum().clamp(min=1e-300) + 1e-7
    entropy: torch.Tensor = -(shares * shares.log()).sum()
    return entropy.exp().item()


def collapse_warnings(found: CollapseStats) -> list[str]:
    """Return warnings about embeddings, each with its remedy; none for healthy ones."""
    texts = []
    if found.relative_spread < MIN_SPREAD:
        texts.append(
            f"embeddings are collapsing to a point: their spread is {found.relative_spread:.3f} of"
            " that of uniform directions; lower the learning rate, lengthen the warm-up, raise the"
            " momentum of the target, and keep the heads' batch normalisation"
        )
    elif min(found.samples, found.dimensions) > 2 * MIN_RANK and found.rank < MIN_RANK:
        texts.append(
            f"embeddings are collapsing to a line: they fill {found.rank:.1f} of"
            f" {found.dimensions} dimensions; lower the learning rate or the weight decay, and"
            " let views differ more"
        )
    if found.dead > MAX_DEAD_SHARE:
        texts.append(
            f"{found.dead:.0%} of the channels are dead: the learning rate or the weight decay"
            " is too high"
        )
    return texts
