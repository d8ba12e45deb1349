"""MoCo v2: He et al., CVPR 2020, with the projector and temperature of Chen et al. 2020."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.protocols import View
from magkit.runtime.distributed import all_gather
from magkit.selfsup.moco_spec import MocoConfig
from magkit.selfsup.modules import (
    enqueue,
    info_nce,
    mlp,
    momentum_copy,
    normalized,
    update_momentum,
)
from magkit.specs import MapInfo


class Queue(nn.Module):
    """A ring buffer of unit vectors: He et al., CVPR 2020, section 3.2.

    It starts filled with random directions, as the published code does. All of it is saved with
    the training: vectors, the place of the next, and how many places hold keys.
    """

    vectors: Tensor  # (size, dim)
    place: Tensor  # ()
    filled: Tensor  # ()

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def keys(self) -> Tensor:
        """Return the keys that have been pushed, at most the last `size`: (filled, dim)."""
        return self.vectors[: int(self.filled)]

    @torch.no_grad()
    def push(self, keys_ND: Tensor) -> None:
        """Enqueue keys in place of the oldest.

        Raises:
            UsageError: there are more of them than the queue holds.
        """
        enqueue(self.vectors, self.place, keys_ND)
        self.filled.add_(len(keys_ND)).clamp_(max=len(self.vectors))


class MoCo(nn.Module):
    """Projector, key projector and queue, and the contrastive loss on whole pictures."""

    keyed = True
    shuffled = True

    def __init__(self, config: MocoConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.projector = mlp(channels, config.hidden, config.dim, norm=False)
        self.key_projector = momentum_copy(self.projector)
        self.queue = Queue(config.queue, config.dim)
        self._step: list[Tensor] = []  # keys of this step, no negatives of its own queries

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return those of the projector: the key projector isn't trained."""
        return self.projector.parameters(recurse)

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Update the key networks' moving averages; drop keys of a step that wasn't finished."""
        del progress
        self._step.clear()
        update_momentum(self.key_projector, self.projector, self.config.tau)
        if keys is not None:
            update_momentum(keys, encoder, self.config.tau)

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Return the mean over pictures of equation 1."""
        del views
        queries_ND = normalized(self.projector(queries[0].mean((2, 3))))
        with torch.no_grad():
            keys_ND = normalized(self.key_projector(keys[1].mean((2, 3))))
        others_KD = self.queue.vectors if self.config.random_start else self.queue.keys()
        term = info_nce(queries_ND, keys_ND, others_KD, self.config.temperature)
        if term.requires_grad:  # an evaluation of the loss leaves the state as it is
            self._step.append(keys_ND)
        return {"contrast": term}

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        """Return the projections of whole pictures, (N, dim)."""
        found: Tensor = self.projector(maps_NCHW.mean((2, 3)))
        return found

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Enqueue the step's keys of all processes.

        Raises:
            UsageError: they are more than the queue holds.
        """
        del encoder, keys, progress
        if self._step:
            self.queue.push(torch.cat([all_gather(part) for part in self._step]))
        self._step.clear()


def build(config: MocoConfig, maps: MapInfo) -> MoCo:
    """Build the method for such feature maps, with random weights."""
    return MoCo(config, maps.channels)
