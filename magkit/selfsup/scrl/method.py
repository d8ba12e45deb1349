"""SCRL: Roh et al., CVPR 2021. BYOL on boxes that two views of a picture share.

Boxes are drawn where the crops overlap; see `boxes.py` for the law. Features are averaged over
each box of either view, then projected, predicted and compared as BYOL does. The loss is the mean
over all boxes of all processes. A picture whose crops don't overlap enough has none; where there
are fewer than two boxes in all, nothing can be normalised over them and the step teaches nothing.

The decay of the target's average rises as in BYOL, by k / K. In the published code the target
starts from other random weights than the online network; here it starts as its copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from magkit.protocols import View
from magkit.runtime.ranks import rank, summed, world
from magkit.selfsup.boxes import PARTS
from magkit.selfsup.heads import mlp
from magkit.selfsup.losses import distances
from magkit.selfsup.momentum import cosine_tau, follow, follower_of
from magkit.selfsup.overlap import BoxLaw, Matched, matched_boxes
from magkit.selfsup.regions import region_means
from magkit.selfsup.scrl.spec import ScrlConfig


class SCRL(nn.Module):
    """See the module's docstring."""

    keyed = True
    shuffled = False

    def __init__(self, config: ScrlConfig, channels: int, centre: float | None = None) -> None:
        super().__init__()
        self.config = config
        self.centre = centre if config.centre is None else config.centre
        self.law = BoxLaw(config.boxes, config.min_size, config.max_iou, config.whole)
        self.projector = mlp(channels, config.hidden, config.dim, norm=True)
        self.predictor = mlp(config.dim, config.hidden, config.dim, norm=True)
        self.target_projector = follower_of(self.projector)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the projector's and the predictor's: the target isn't trained."""
        return chain(self.projector.parameters(recurse), self.predictor.parameters(recurse))

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Do nothing: targets are made by the networks as the last step left them."""

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Return BYOL's loss of boxes, averaged over those of all processes.

        Boxes are drawn from torch's global generator, which must stand alike in all processes, as
        many pictures in each.
        """
        matched = matched_boxes(views, self._draws(len(views[0].images_NCHW)), self.law)
        total = int(summed(torch.tensor(len(matched.image_M), device=matched.image_M.device)))
        if total < 2:
            return {"regression": self._nothing(queries)}
        places = list(zip(views, matched.boxes_M4, strict=True))
        online = [
            self.predictor(self.projector(self._means(maps, *place, matched)))
            for maps, place in zip(queries, places, strict=True)
        ]
        with torch.no_grad():
            targets = [
                self.target_projector(self._means(maps, *place, matched))
                for maps, place in zip(keys, places, strict=True)
            ]
        both = distances(online[0], targets[1]) + distances(online[1], targets[0])
        return {"regression": both.sum() * (world() / total)}

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        """Return the projections of whole pictures, (N, dim)."""
        found: Tensor = self.projector(maps_NCHW.mean((2, 3)))
        return found

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Move the target after the online network."""
        tau = cosine_tau(self.config.tau, progress)
        follow(self.target_projector, self.projector, tau)
        if keys is not None:
            follow(keys, encoder, tau)

    def _draws(self, count: int) -> Tensor:
        """Draw for the pictures of all processes, and return this one's: the split changes none."""
        draws = torch.rand(world() * count, self.config.candidates, 2, PARTS)
        return draws[rank() * count :][:count]

    def _means(self, maps: Tensor, view: View, boxes_M4: Tensor, matched: Matched) -> Tensor:
        return region_means(
            maps,
            view,
            boxes_M4,
            matched.image_M,
            centre=self.centre if self.config.aligned else None,
            sampling=self.config.sampling,
            aligned=self.config.aligned,
        )

    def _nothing(self, queries: Sequence[Tensor]) -> Tensor:
        """Return 0 with a gradient, of 0, for all that is trained."""
        parts = [*queries, *self.parameters()]
        return torch.stack([part.sum() * 0 for part in parts]).sum()
