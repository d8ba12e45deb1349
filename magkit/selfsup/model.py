"""Models to pretrain: encoders of magnifiers and backbones, with a method for each branch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast, overload

import torch
from torch import nn

from magkit.errors import UsageError, did_you_mean
from magkit.magnify.encoder import encoder_spec
from magkit.options import parse_options
from magkit.plugins import registry
from magkit.protocols import Method, View
from magkit.runtime import distributed
from magkit.runtime.seeds import derived_seed
from magkit.selfsup.backbones import build_backbone
from magkit.selfsup.modules import momentum_copy
from magkit.specs import MapInfo
from magkit.training.batch_norm import BATCH_NORMS, convert_batch_norm

BOTH = "both"  # branches
WEIGHTS = 3  # first part of the key of the draw of random weights
SHUFFLE_GROUPS = 8  # as many as there were GPUs in He et al., CVPR 2020


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderNetwork:
    """An encoder with random weights and the branches to train.

    Attributes:
        encoder: maps frames (N, 3, H, W) in [0, 1] to a dict of feature maps.
        name: of the magnifier or backbone.
        config: configuration of the magnifier, of JSON's types.
        branches: those that are trained.
        maps: channels, stride and centre of each branch's feature map.
    """

    encoder: nn.Module
    name: str
    config: Mapping[str, Any]
    branches: tuple[str, ...]
    maps: Mapping[str, MapInfo]


def build_network(
    magnifier: str,
    options: Sequence[str],
    backbone: str | None,
    branch: str,
    size: int,
    seed: int,
) -> EncoderNetwork:
    """Build the encoder to train.

    Args:
        magnifier: name, as `--magnifier` takes it.
        options: KEY=VALUE texts, the magnifier's own.
        backbone: in place of a magnifier's encoder; see `build_backbone`.
        branch: of the encoder, or "both".
        size: side of the views in pixels.
        seed: of the random weights.

    Raises:
        UsageError: there is no such magnifier, option, backbone or branch, or views of that size
            can't be encoded.
    """
    torch.manual_seed(derived_seed(seed, WEIGHTS))
    config: Mapping[str, Any] = {}
    if backbone is not None:
        built = build_backbone(backbone, size)
        encoder, strides, centres = built.encoder, dict(built.strides), built.centres
    else:
        spec = registry().magnifier(magnifier)
        parsed = parse_options(spec.config, options, f"magnifier '{magnifier}'")
        part = encoder_spec(spec)
        encoder, strides, config = part.build(parsed), dict(part.strides), asdict(parsed)
        centres = part.centres
    name = backbone or magnifier
    if size % max(strides.values()):
        problem = f"views of {size} pixels don't suit '{name}'"
        raise UsageError(problem, f"--size must be a multiple of {max(strides.values())}")
    if branch not in (BOTH, *strides):
        problem = f"'{name}' has no branch '{branch}'"
        raise UsageError(problem, did_you_mean(branch, [BOTH, *strides]))
    return EncoderNetwork(
        encoder=encoder,
        name=name,
        config=config,
        branches=tuple(strides) if branch == BOTH else (branch,),
        maps=_map_infos(encoder, size, strides, centres),
    )


def _map_infos(
    encoder: nn.Module, size: int, strides: Mapping[str, int], centres: Mapping[str, float]
) -> dict[str, MapInfo]:
    encoder.eval()
    with torch.no_grad():
        maps = encoder(torch.zeros(1, 3, size, size))
    encoder.train()
    return {
        branch: MapInfo(
            channels=int(maps[branch].shape[1]),
            stride=stride,
            centre=centres.get(branch, stride / 2),
        )
        for branch, stride in strides.items()
    }


class PretrainModel(nn.Module):
    """An encoder, and a method and perhaps a momentum encoder for each of its branches.

    Args:
        encoder: maps frames (N, 3, H, W) to a dict of feature maps; see `specs.EncoderSpec`.
        methods: by the branch that each trains.
    """

    def __init__(self, encoder: nn.Module, methods: Mapping[str, Method]) -> None:
        super().__init__()
        self.shuffled = {
            branch: method.shuffled and has_batch_norm(encoder)
            for branch, method in methods.items()
        }
        copies = {b: momentum_copy(encoder) for b, method in methods.items() if method.keyed}
        self.encoder = encoder
        self.methods = nn.ModuleDict({b: _module(method) for b, method in methods.items()})
        self.keys = nn.ModuleDict(copies)  # momentum encoders

    def convert_batch_norms(self) -> PretrainModel:
        """Make batch normalisation use the statistics of all processes' batches together."""
        if distributed.world_size() > 1:
            self.encoder = convert_batch_norm(self.encoder)
            for branch, method in self.methods.items():
                self.methods[branch] = convert_batch_norm(method)
            for branch, encoder in self.keys.items():
                # Shuffled keys are normalised in groups of their own instead.
                if not self.shuffled[branch]:
                    self.keys[branch] = convert_batch_norm(encoder)
        return self

    def before_step(self, progress: float) -> None:
        """Call `protocols.Method.before_keys` of all methods; `progress` is in [0, 1)."""
        for branch in self.methods:
            self.method(branch).before_keys(self.encoder, self._momentum_encoder(branch), progress)

    def after_step(self, progress: float) -> None:
        """Call `protocols.Method.after_step` of all methods; `progress` is in [0, 1)."""
        for branch in self.methods:
            self.method(branch).after_step(self.encoder, self._momentum_encoder(branch), progress)

    def losses(self, branch: str, views: Sequence[View]) -> dict[str, torch.Tensor]:
        """Return the loss terms of a branch's method for views of one batch."""
        queries = LazyMaps(lambda view: self.encoder(view.images_NCHW)[branch], views)
        keyed = branch in self.keys
        keys = LazyMaps(lambda view: self._key_map(branch, view), views) if keyed else ()
        return self.method(branch).loss(views, queries, keys)

    def method(self, branch: str) -> Method:
        """Return the method that trains a branch."""
        return cast("Method", self.methods[branch])

    @torch.no_grad()
    def _key_map(self, branch: str, view: View) -> torch.Tensor:
        encoder = self.keys[branch]
        if self.shuffled[branch]:
            return shuffled_maps(lambda images: encoder(images)[branch], view.images_NCHW)
        maps: torch.Tensor = encoder(view.images_NCHW)[branch]
        return maps

    def _momentum_encoder(self, branch: str) -> nn.Module | None:
        return dict(self.keys.items()).get(branch)


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any layer of a module is a BatchNorm."""
    return any(isinstance(layer, BATCH_NORMS) for layer in module.modules())


def shuffled_maps(
    encode: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> torch.Tensor:
    """Encode this process' part of a batch in random groups of the whole batch (shuffling BN).

    Every process must call it with as many images, and its torch generator in the same state.
    Source: He et al., CVPR 2020, section 3.3.
    """
    whole, count = distributed.all_gather(images), len(images)
    order = torch.randperm(len(whole))
    groups = order.view(_group_count(len(whole)), -1)
    own = groups.chunk(distributed.world_size())[distributed.rank()]
    encoded = torch.cat([encode(whole[group.to(images.device)]) for group in own])
    maps = distributed.all_gather(encoded)[order.argsort().to(images.device)]
    return maps[distributed.rank() * count : (distributed.rank() + 1) * count]


def _group_count(batch: int) -> int:
    """Return the largest multiple of the world size up to SHUFFLE_GROUPS that splits the batch."""
    world = distributed.world_size()
    multiples = range(world, SHUFFLE_GROUPS + 1, world)
    return max((g for g in multiples if batch % g == 0 and batch // g > 1), default=world)


class LazyMaps(Sequence[torch.Tensor]):
    """Feature maps of views, each computed on first access: not every method needs all."""

    def __init__(self, encode: Callable[[View], torch.Tensor], views: Sequence[View]) -> None:
        self._encode, self._views = encode, views
        self._maps: dict[int, torch.Tensor] = {}

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
        if number not in self._maps:
            self._maps[number] = self._encode(self._views[number])
        return self._maps[number]


def _module(method: Method) -> nn.Module:
    if not isinstance(method, nn.Module):
        raise TypeError(f"{type(method).__name__} is no torch.nn.Module")
    return method
