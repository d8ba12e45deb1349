"""Pretraining monitor: motion and label probes, embedding collapse, curves, best encoder."""

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
from magkit.selfsup.label_probe import LabelledPictures, probe_labels
from magkit.selfsup.model import EncoderNetwork, PretrainModel
from magkit.selfsup.motion_probe import MIN_FRAMES, min_size, probe_motion
from magkit.selfsup.recipe import Recipe
from magkit.training.metrics import read_metrics
from magkit.training.run import Run
from magkit.video.charts import draw_curves
from magkit.video.tiles import image_grid, save_png

# Thresholds of warnings; healthy runs reach none of them.
DEAD_CHANNEL = 1e-4  # largest standard deviation of a dead channel, over the RMS of all channels
MAX_DEAD_SHARE = 0.5  # of the channels
MIN_SPREAD = 0.1  # times 1 / sqrt(d); below it embeddings collapse to a point
MIN_RANK = 2.0  # effective dimensions; below it embeddings collapse to a line

PROBE_FRAMES = 32  # frames that the motion probe measures
COLLAPSE_FRAMES = 64  # frames whose embeddings are checked for collapse
VIEW_FRAMES = 8  # frames whose views are drawn
READOUT = "readout"  # metric in pixels; the best encoder has the smallest

logger = logging.getLogger(__name__)


class ExampleViews(Protocol):
    """Makes example views exactly as in training."""

    def examples(self, count: int) -> dict[str, list[View]]:
        """Return the views of the first frames by branch."""
        ...


class EncoderMonitor:
    """Measures a model during training, draws curves, and keeps the best encoder.

    Args:
        source: the frames, of which the first are used.
        recipe: gives the size of views.
        network: gives the branches and their strides.
        export: writes the current encoder to a path; the second argument is the step.
        labelled: pictures for the label probe, as large as views; None: no such probe.
    """

    def __init__(
        self,
        source: FrameSource,
        recipe: Recipe,
        network: EncoderNetwork,
        export: Callable[[Path, int], None],
        labelled: LabelledPictures | None = None,
    ) -> None:
        self._source, self._size = source, recipe.views.size
        self._export, self._labelled = export, labelled
        self._branches = network.branches
        self._min_size = max(min_size(each.stride) for each in network.maps.values())

    def save_views(self, run: Run, views: ExampleViews) -> None:
        """Draw the views of the first frames, one row per branch and view."""
        pairs = views.examples(min(VIEW_FRAMES, len(self._source)))
        rows = [view.images_NCHW.cpu() for pair in pairs.values() for view in pair]
        save_png(run.samples / "views.png", image_grid(list(torch.cat(rows)), len(rows[0])))

    def __call__(self, run: Run, model: PretrainModel, step: int) -> dict[str, float]:
        """Return the metrics of the encoder after `step` steps by name, and update the curves."""
        model.eval()
        metrics = {
            **self._motion_metrics(model),
            **self._collapse_metrics(model),
            **self._label_metrics(model),
        }
        model.train()
        earlier = read_metrics(run.metrics)
        self._keep_best(run, earlier, metrics, step)
        lines = [*earlier, {"step": step, **metrics}]
        names = dict.fromkeys(name for line in lines for name in line)
        shown = [name for name in names if name not in ("step", "rate")]
        with atomic_path(run.folder / "curves.png", overwrite=True) as temporary:
            draw_curves(lines, shown).save(temporary)
        return metrics

    def _frames(self, count: int, model: PretrainModel) -> torch.Tensor:
        """Return centre crops of the first frames, as large as views, on the model's device."""
        frames = self._source.frames(range(min(count, len(self._source))), "a")
        start = (frames.shape[-1] - self._size) // 2
        window = slice(start, start + self._size)
        return frames[..., window, window].to(next(model.parameters()).device)

    def _motion_metrics(self, model: PretrainModel) -> dict[str, float]:
        frames = self._frames(PROBE_FRAMES, model)
        if len(frames) < MIN_FRAMES or self._size < self._min_size:
            return {}
        scores, found = probe_motion(model.encoder, frames), {}
        for branch in self._branches:
            found[f"{branch}_{READOUT}"] = scores[branch].readout_mae
            found[f"{branch}_equivariance"] = fmean(scores[branch].equivariance)
            found[f"{branch}_linearity"] = fmean(scores[branch].linearity)
        return found

    def _collapse_metrics(self, model: PretrainModel) -> dict[str, float]:
        frames, found = self._frames(COLLAPSE_FRAMES, model), dict[str, float]()
        maps = [model.encoder(part) for part in torch.split(frames, PROBE_FRAMES)]
        for branch in self._branches:
            method = model.method(branch)
            stats = collapse_stats(torch.cat([method.embed(part[branch]) for part in maps]))
            for warning in collapse_warnings(stats):
                logger.warning("%s: %s", branch, warning)
            found[f"{branch}_spread"] = stats.relative_spread
            found[f"{branch}_rank"], found[f"{branch}_dead"] = stats.rank, stats.dead
        return found

    def _label_metrics(self, model: PretrainModel) -> dict[str, float]:
        if self._labelled is None:
            return {}
        device = next(model.parameters()).device
        scores, found = probe_labels(model.encoder, self._labelled, device), dict[str, float]()
        for branch in self._branches:
            for name, value in scores[branch].as_dict().items():
                found[f"{branch}_{name}"] = value
        return {**found, "chance": self._labelled.chance}

    def _keep_best(
        self, run: Run, earlier: list[dict[str, float]], metrics: dict[str, float], step: int
    ) -> None:
        names = [name for name in metrics if name.endswith(READOUT)]
        if not names:
            return
        measured = [line for line in earlier if all(line.get(n) is not None for n in names)]
        best = min((sum(line[n] for n in names) for line in measured), default=math.inf)
        if sum(metrics[name] for name in names) < best:
            self._export(run.folder / "best.safetensors", step)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapseStats:
    """Statistics of N embeddings of d dimensions, for detecting collapse.

    Attributes:
        samples: N.
        dimensions: d.
        spread: standard deviation of each dimension after L2 normalisation, mean over dimensions;
            1 / sqrt(d) for uniform directions, 0 for identical ones.
        rank: RankMe (Garrido et al., ICML 2023, equation 1), the effective number of dimensions,
            from 1 to min(N, d); comparable between runs of one method only.
        dead: fraction of dimensions that hardly vary.
        alignment: mean squared distance between the normalised embeddings of two views of one
            frame (Wang & Isola, ICML 2020); None without second views.
        uniformity: log of the mean of exp(-2 |x - y|^2) over pairs of normalised embeddings, from
            the same paper; 0 if all are equal, lower the more uniformly they are spread.
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
        """The spread relative to 1 / sqrt(d), that of uniform directions."""
        return self.spread * math.sqrt(self.dimensions)

    def as_dict(self) -> dict[str, float | None]:
        """Return the statistics by name."""
        return {**asdict(self), "relative_spread": self.relative_spread}


def collapse_stats(
    embeddings_ND: torch.Tensor, others_ND: torch.Tensor | None = None
) -> CollapseStats:
    """Measure embeddings, and their alignment with those of second views if given.

    Raises:
        MagkitError: there are fewer than two embeddings, or one is not finite.
    """
    x = embeddings_ND.detach().cpu().double()
    if len(x) < 2:
        raise MagkitError("detecting collapse takes at least two embeddings")
    if not x.isfinite().all():
        raise MagkitError("embeddings contain non-finite values")
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
    """Return warnings about collapsing embeddings, with remedies; none for healthy ones."""
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
