"""DenseCL: Wang et al., CVPR 2021. MoCo v2 (Chen et al. 2020), and the same place by place.

Whole frames: the query is the projection of the first view's mean features, its key that of the
second view's. Places: maps are averaged to a grid, on which another projector stands; the key of a
place in the first view is the projection of that place in the second whose features are likest.
Negatives of frames are the keys of earlier frames, and those of places too: an earlier frame's
average projection, so that its queue is no longer than the other.

One step, as MoCo's: key networks move after query networks; the loss is taken with the queues as
they were; then this step's keys go into them. The loss runs one way: of the views' maps, only the
first's query and the second's key are ever asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit import View
from magkit.toolkit import normalized, update_momentum
from magkit_densecl.contrast import Contrast
from magkit_densecl.losses import correspondence, info_nce
from magkit_densecl.spec import DenseClConfig


class DenseCL(nn.Module):
    """See the module's docstring."""

    keyed = True
    shuffled = True

    def __init__(self, config: DenseClConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        sizes = (channels, config.hidden, config.dim, config.queue)
        self.frames, self.places = Contrast(*sizes), Contrast(*sizes)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the projectors': their slow copies aren't trained."""
        return chain.from_iterable(part.projector.parameters(recurse) for part in self._parts())

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Move the key networks; forget keys of a step that wasn't finished."""
        del progress
        for part in self._parts():
            part.forget()
            update_momentum(part.key_projector, part.projector, self.config.tau)
        if keys is not None:
            update_momentum(keys, encoder, self.config.tau)

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Return the terms of equation 3: of whole frames, and of places."""
        del views
        weight = self.config.dense
        query, key = queries[0], keys[1].detach()
        return {
            "frames": (1 - weight) * self._frames_term(query, key),
            "places": weight * self._places_term(query, key),
        }

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        """Return what both queues compare of whole pictures, (N, 2 dim), each half of length 1."""
        whole = self.frames.projector(maps_NCHW.mean((2, 3)))
        places = self.places.projector(self._grid(maps_NCHW)).mean(1)
        return torch.cat([normalized(whole), normalized(places)], 1)

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Put the step's keys, of all processes, into the queues.

        Raises:
            UsageError: they are more than a queue holds.
        """
        del encoder, keys, progress
        for part in self._parts():
            part.push()

    def _parts(self) -> tuple[Contrast, Contrast]:
        return self.frames, self.places

    def _frames_term(self, query_NCHW: Tensor, key_NCHW: Tensor) -> Tensor:
        part = self.frames
        queries_ND = normalized(part.projector(query_NCHW.mean((2, 3))))
        keys_ND = normalized(part.key_projector(key_NCHW.mean((2, 3))))
        term = info_nce(queries_ND, keys_ND, part.vectors, self.config.temperature)
        if term.requires_grad:  # a look at the loss leaves no trace
            part.wait(keys_ND)
        return term

    def _places_term(self, query_NCHW: Tensor, key_NCHW: Tensor) -> Tensor:
        part = self.places
        query_NSC, key_NSC = self._grid(query_NCHW), self._grid(key_NCHW)
        likest_NS1 = correspondence(query_NSC, key_NSC)[..., None]
        queries_NSD = normalized(part.projector(query_NSC))
        projected_NSD = part.key_projector(key_NSC)
        keys_NSD = normalized(projected_NSD).take_along_dim(likest_NS1, 1)
        term = info_nce(
            queries_NSD.flatten(0, 1), keys_NSD.flatten(0, 1), part.vectors, self.config.temperature
        )
        if term.requires_grad:
            part.wait(normalized(projected_NSD.mean(1)))
        return term

    def _grid(self, maps_NCHW: Tensor) -> Tensor:
        """Average maps to the grid's places, (N, S, C); a smaller map's cells are its places."""
        height, width = (min(self.config.grid, side) for side in maps_NCHW.shape[2:])
        return F.adaptive_avg_pool2d(maps_NCHW, (height, width)).flatten(2).mT
