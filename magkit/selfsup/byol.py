"""BYOL (Grill et al., NeurIPS 2020): predict a momentum encoder's projection of another view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from magkit.errors import UsageError
from magkit.protocols import View
from magkit.runtime.distributed import world_size
from magkit.selfsup.byol_spec import ByolConfig
from magkit.selfsup.modules import (
    cosine_distances,
    cosine_momentum,
    mlp,
    momentum_copy,
    update_momentum,
)
from magkit.specs import MapInfo


class BYOL(nn.Module):
    """Projector, predictor and target projector, and the loss on whole pictures."""

    keyed = True
    shuffled = False

    def __init__(self, config: ByolConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.projector = mlp(channels, config.hidden, config.dim, norm=True)
        self.predictor = mlp(config.dim, config.hidden, config.dim, norm=True)
        self.target_projector = momentum_copy(self.projector)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return those of the projector and the predictor: the target isn't trained."""
        return chain(self.projector.parameters(recurse), self.predictor.parameters(recurse))

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Do nothing: targets come from the networks as the last step left them."""

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Return the mean over pictures of equation 2, both directions summed.

        Raises:
            UsageError: the batch of all processes is one picture, which BatchNorm can't normalise.
        """
        if len(views[0].images_NCHW) * world_size() < 2:
            raise UsageError("a batch of one picture can't be normalised", "use a larger --batch")
        pooled = ((maps.mean((2, 3)) for maps in each) for each in (queries, keys))
        return {"regression": self.distances(*pooled).mean()}

    def distances(self, queries: Iterable[Tensor], keys: Iterable[Tensor]) -> Tensor:
        """Return equation 2 of features (M, C) of two views, both directions summed: (M,)."""
        online = [self.predictor(self.projector(features)) for features in queries]
        with torch.no_grad():
            targets = [self.target_projector(features) for features in keys]
        return cosine_distances(online[0], targets[1]) + cosine_distances(online[1], targets[0])

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        """Return the projections of whole pictures, (N, dim)."""
        found: Tensor = self.projector(maps_NCHW.mean((2, 3)))
        return found

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Update the target network's moving average."""
        tau = cosine_momentum(self.config.tau, progress)
        update_momentum(self.target_projector, self.projector, tau)
        if keys is not None:
            update_momentum(keys, encoder, tau)


def build(config: ByolConfig, maps: MapInfo) -> BYOL:
    """Build the method for such feature maps, with random weights."""
    return BYOL(config, maps.channels)
