"""Monitoring of a pretraining: motion probe, collapse of embeddings."""

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
from magkit.selfsup.learner import Learner
from magkit.selfsup.motion_probe import LEAST_FRAMES, least_size, motion_fitness
from magkit.selfsup.network import Network
from magkit.selfsup.recipe import Recipe
from magkit.training.metrics import curves, read_metrics
from magkit.training.run import Run
from magkit.training.train import write_picture

DEAD = 1e-4  # of the root mean square: a channel that varies less is dead
SPREAD = 0.1  # of 1 / sqrt(d), below which embeddings are about to be one point
RANK = 2.0  # effective dimensions: below that they lie on a line
DEAD_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapse:
    """What N embeddings of d dimensions look like.

    Attributes:
        samples: N.
        dimensions: d.
        spread: standard deviation of each dimension after embeddings are normalised to length 1,
            mean over dimensions; 1 / sqrt(d) if they point everywhere alike, 0 if they are one.
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
        """Return the figures by name."""
        return {**asdict(self), "relative_spread": self.relative_spread}


def measure_collapse(
    embeddings_ND: torch.Tensor, others_ND: torch.Tensor | None = None
) -> Collapse:
    """Measure embeddings, and how near those of the same pictures' other views are.

    Raises:
        MagkitError: there are fewer than two, or one is no number.
    """
    x = embeddings_ND.detach().cpu().double()
    if len(x) < 2:
        raise MagkitError("whether embeddings collapse can't be told from fewer than two")
    if not x.isfinite().all():
        raise MagkitError("embeddings hold values that are no numbers")
    z = F.normalize(x, dim=1)
    deviation, size = x.std(0), x.square().mean().sqrt()
    apart = None
    if others_ND is not None:
        others = F.normalize(others_ND.detach().cpu().double(), dim=1)
        apart = (z - others).square().sum(1).mean().item()
    return Collapse(
        samples=len(x),
        dimensions=x.shape[1],
        spread=z.std(0).mean().item(),
        rank=_rank(x),
        dead=(deviation <= DEAD * size).double().mean().item(),
        alignment=apart,
        uniformity=torch.pdist(z).square().mul(-2).exp().mean().log().item(),
    )


def _rank(x_ND: torch.Tensor) -> float:
    values = torch.linalg.svdvals(x_ND)
    shares = values / values.sum().clamp(min=1e-300) + 1e-7
    entropy: torch.Tensor = -(shares * shares.log()).sum()
    return entropy.exp().item()


def warnings(found: Collapse) -> list[str]:
    """Say what is wrong with embeddings and what to change; nothing where all is well."""
    said = []
    if found.relative_spread < SPREAD:
        said.append(
            f"embeddings are collapsing to a point: their spread is {found.relative_spread:.3f} of"
            " what it is where they point everywhere; lower the learning rate, lengthen the"
            " warm-up, let the target follow more slowly, and keep the heads' batch normalisation"
        )
    elif min(found.samples, found.dimensions) > 2 * RANK and found.rank < RANK:
        said.append(
            f"embeddings are collapsing to a line: they fill {found.rank:.1f} of"
            f" {found.dimensions} dimensions; lower the learning rate or the weight decay, and"
            " let views differ more"
        )
    if found.dead > DEAD_SHARE:
        said.append(
            f"{found.dead:.0%} of the channels say nothing: the learning rate or the weight decay"
            " is too high"
        )
    return said


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


class Monitor:
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
