"""The state of a pretraining: an encoder, and a method and a momentum encoder for each branch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast, overload

import torch
from torch import nn

from magkit.protocols import Method, View
from magkit.runtime import distributed
from magkit.selfsup.modules import follower_of
from magkit.training.batch_norm import BATCH_NORMS, convert_batch_norm

GROUPS = 8  # as many as there were processors in the paper


def normalises_over_batch(module: nn.Module) -> bool:
    """Tell whether a module has a BatchNorm in it."""
    return any(isinstance(layer, BATCH_NORMS) for layer in module.modules())


def shuffled_maps(
    encode: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> torch.Tensor:
    """Return `encode` of this process' part of a batch, encoded in groups of the whole batch.

    Every process must call it with as many images, and its torch generator in the same state.
    """
    whole, count = distributed.all_gather(images), len(images)
    order = torch.randperm(len(whole))
    groups = order.view(_groups(len(whole)), -1)
    mine = groups.chunk(distributed.world_size())[distributed.rank()]
    made = torch.cat([encode(whole[group.to(images.device)]) for group in mine])
    maps = distributed.all_gather(made)[order.argsort().to(images.device)]
    return maps[distributed.rank() * count : (distributed.rank() + 1) * count]


def _groups(batch: int) -> int:
    """Return the greatest number up to GROUPS that divides the batch and suits the processes."""
    world = distributed.world_size()
    fitting = [g for g in range(world, GROUPS + 1, world) if batch % g == 0 and batch // g > 1]
    return max(fitting, default=world)


class Learner(nn.Module):
    """An encoder, and the methods that train its branches.

    Args:
        encoder: frames (N, 3, H, W) to a dict of feature maps; see `specs.EncoderSpec`.
        methods: by the branch that each trains.
    """

    def __init__(self, encoder: nn.Module, methods: Mapping[str, Method]) -> None:
        super().__init__()
        self.shuffled = {
            branch: method.shuffled and normalises_over_batch(encoder)
            for branch, method in methods.items()
        }
        copies = {
            branch: follower_of(encoder) for branch, method in methods.items() if method.keyed
        }
        self.encoder = encoder
        self.methods = nn.ModuleDict({b: _module(method) for b, method in methods.items()})
        self.keys = nn.ModuleDict(copies)

    def spread(self) -> Learner:
        """Let layers that normalise over a batch see that of all processes."""
        if distributed.world_size() > 1:
            self.encoder = convert_batch_norm(self.encoder)
            for branch, method in self.methods.items():
                self.methods[branch] = convert_batch_norm(method)
            for branch, encoder in self.keys.items():
                # Keys that are shuffled are normalised in groups of their own instead.
                if not self.shuffled[branch]:
                    self.keys[branch] = convert_batch_norm(encoder)
        return self

    def before_step(self, progress: float) -> None:
        """See `protocols.Method.before_keys`; `progress` is in [0, 1)."""
        for branch in self.methods:
            self.method(branch).before_keys(self.encoder, self._slow(branch), progress)

    def after_step(self, progress: float) -> None:
        """See `protocols.Method.after_step`; `progress` is in [0, 1)."""
        for branch in self.methods:
            self.method(branch).after_step(self.encoder, self._slow(branch), progress)

    def losses(self, branch: str, views: Sequence[View]) -> dict[str, torch.Tensor]:
        """Return the terms of a branch's method for views of one batch."""
        queries = Maps(lambda view: self.encoder(view.images_NCHW)[branch], views)
        keyed = branch in self.keys
        keys = Maps(lambda view: self._key_map(branch, view), views) if keyed else ()
        return self.method(branch).loss(views, queries, keys)

    def method(self, branch: str) -> Method:
        """Return what trains a branch."""
        return cast("Method", self.methods[branch])

    @torch.no_grad()
    def _key_map(self, branch: str, view: View) -> torch.Tensor:
        slow = self.keys[branch]
        if self.shuffled[branch]:
            return shuffled_maps(lambda images: slow(images)[branch], view.images_NCHW)
        found: torch.Tensor = slow(view.images_NCHW)[branch]
        return found

    def _slow(self, branch: str) -> nn.Module | None:
        return dict(self.keys.items()).get(branch)


class Maps(Sequence[torch.Tensor]):
    """Feature maps of views, each made when it is first asked for: not every method needs all."""

    def __init__(self, encode: Callable[[View], torch.Tensor], views: Sequence[View]) -> None:
        self._encode, self._views = encode, views
        self._made: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self._views)

    @overload
    def __getitem__(self, index: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[torch.Tensor]: ...
    def __getitem__(self, index: int | slice) -> torch.Tensor | list[torch.Tensor]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        if number not in self._made:
            self._made[number] = self._encode(self._views[number])
        return self._made[number]


def _module(method: Method) -> nn.Module:
    if not isinstance(method, nn.Module):
        raise TypeError(f"{type(method).__name__} is no torch.nn.Module")
    return method
