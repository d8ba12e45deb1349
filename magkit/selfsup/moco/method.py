"""MoCo v2: He et al., CVPR 2020, with the projector and temperature of Chen et al. 2020.

One step: the key networks move after the query networks; queries of the first view are told, by
their keys from the second, from the keys in the queue as it was; then this step's keys go into the
queue. The loss runs one way, as published: of the views' maps, only the first's query and the
second's key are ever asked for.

Until the queue has been filled once, random directions stand in for keys (`random_start`), as
published. They are easy to tell from keys and teach little, for `queue / batch` steps. Without
them, a query is told from the keys that there are, and the first step teaches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from magkit.protocols import View
from magkit.runtime.ranks import gathered
from magkit.selfsup.heads import mlp
from magkit.selfsup.losses import info_nce, unit
from magkit.selfsup.moco.spec import MocoConfig
from magkit.selfsup.momentum import follow, follower_of
from magkit.selfsup.queue import Queue


class MoCo(nn.Module):
    """See the module's docstring."""

    keyed = True
    shuffled = True

    def __init__(self, config: MocoConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.projector = mlp(channels, config.hidden, config.dim, norm=False)
        self.key_projector = follower_of(self.projector)
        self.queue = Queue(config.queue, config.dim)
        self._step: list[Tensor] = []  # this step's keys, which its own queries must not meet

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the projector's: its twin isn't trained."""
        return self.projector.parameters(recurse)

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Move the key networks; forget keys of a step that wasn't finished."""
        del progress
        self._step.clear()
        follow(self.key_projector, self.projector, self.config.tau)
        if keys is not None:
            follow(keys, encoder, self.config.tau)

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Return the mean over pictures of equation 1."""
        del views
        queries_ND = unit(self.projector(queries[0].mean((2, 3))))
        with torch.no_grad():
            keys_ND = unit(self.key_projector(keys[1].mean((2, 3))))
        others_KD = self.queue.vectors if self.config.random_start else self.queue.keys()
        term = info_nce(queries_ND, keys_ND, others_KD, self.config.temperature)
        if term.requires_grad:  # a look at the loss leaves no trace
            self._step.append(keys_ND)
        return {"contrast": term}

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        """Return the projections of whole pictures, (N, dim)."""
        found: Tensor = self.projector(maps_NCHW.mean((2, 3)))
        return found

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Put the step's keys, of all processes, into the queue.

        Raises:
            UsageError: they are more than the queue holds.
        """
        del encoder, keys, progress
        if self._step:
            self.queue.push(torch.cat([gathered(part) for part in self._step]))
        self._step.clear()
