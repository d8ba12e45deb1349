"""Tell whether embeddings collapse: to a point, to a line, or channel by channel.

Meant for what a method compares (a projector's outputs) and for maps' means alike; warnings are
drawn up so that they are silent about either where all is well.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch.nn import functional as F

from magkit.errors import MagkitError

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
