"""PixPro: Xie et al., CVPR 2021, "Propagate Yourself".

Each cell of a view's feature map is projected, and smoothed by the cells of that view which are
like it. It is drawn to what a slower network without smoothing projects of the cells of the other
view that lie at the same place. As in BYOL there are no negatives. Written from the paper's
formulas; its additional branch for whole pictures is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from magkit import MapInfo, UsageError, View
from magkit.toolkit import (
    cosine_momentum,
    momentum_copy,
    normalized,
    update_momentum,
    world_size,
)
from magkit_pixpro.consistency import disagreement, propagated
from magkit_pixpro.places import grid_means, places, same_place
from magkit_pixpro.spec import PixProConfig


class PixPro(nn.Module):
    """See the module's docstring.

    Args:
        config: the options.
        maps: what the feature maps are like.
    """

    keyed = True
    shuffled = False

    def __init__(self, config: PixProConfig, maps: MapInfo) -> None:
        super().__init__()
        self.config, self.maps = config, maps
        self.projector = _projector(maps.channels, config.hidden, config.dim)
        self.transform = nn.Linear(config.dim, config.dim)
        self.target_projector = momentum_copy(self.projector)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the projector's and the transform's: the target isn't trained."""
        return chain(self.projector.parameters(recurse), self.transform.parameters(recurse))

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Do nothing: targets are made by the networks as the last step left them."""

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Return the mean over pictures of equation 5, both directions summed.

        A picture whose views share no place counts as 0, as in the published code: it teaches
        nothing, and changes the weight of no other.

        Raises:
            UsageError: there is but one cell, over which nothing can be normalised.
        """
        size, grid = queries[0].shape[-2:], self.config.grid
        if len(queries[0]) * min(grid, size[0]) * min(grid, size[1]) * world_size() < 2:
            raise UsageError("a batch of one cell can't be normalised", "use a larger --batch")
        first, second = (places(view, size, grid, self.maps) for view in views)
        same = same_place(first, second, self.config.threshold)
        online = [self._smoothed(maps) for maps in queries]
        with torch.no_grad():
            targets = [self._projected(self.target_projector, maps) for maps in keys]
        there = disagreement(online[0], targets[1], same)
        back = disagreement(online[1], targets[0], same.mT)
        return {"consistency": (there + back).mean()}

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        """Return the mean direction of the projections of a picture's cells, (N, dim)."""
        return normalized(self._projected(self.projector, maps_NCHW)).mean(1)

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Move the target after the online network."""
        tau = cosine_momentum(self.config.tau, progress)
        update_momentum(self.target_projector, self.projector, tau)
        if keys is not None:
            update_momentum(keys, encoder, tau)

    def _smoothed(self, maps: Tensor) -> Tensor:
        cells = self._projected(self.projector, maps)
        return propagated(cells, self.transform(cells), self.config.gamma)

    def _projected(self, projector: nn.Module, maps: Tensor) -> Tensor:
        cells = grid_means(maps, self.config.grid)
        found: Tensor = projector(cells.flatten(0, 1)).unflatten(0, cells.shape[:2])
        return found


def _projector(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Make two layers that see each cell alone, (M, inputs) to (M, outputs).

    The first has no bias: the normalisation would take it off again.
    """
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, outputs),
    )
