"""Keys normalised among other pictures than their queries: He et al., CVPR 2020, section 3.3.

A network that normalises over the batch could tell a pair by the statistics that both share. As
published, keys are exchanged between graphics processors; here they are encoded in groups that are
drawn anew each time, which works in one process too, and gives the same in several.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from magkit.runtime import ranks
from magkit.training.global_norm import BATCH_NORMS

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
    whole, count = ranks.gathered(images), len(images)
    order = torch.randperm(len(whole))
    groups = order.view(_groups(len(whole)), -1)
    mine = groups.chunk(ranks.world())[ranks.rank()]
    made = torch.cat([encode(whole[group.to(images.device)]) for group in mine])
    maps = ranks.gathered(made)[order.argsort().to(images.device)]
    return maps[ranks.rank() * count : (ranks.rank() + 1) * count]


def _groups(batch: int) -> int:
    """Return the greatest number up to GROUPS that divides the batch and suits the processes."""
    world = ranks.world()
    fitting = [g for g in range(world, GROUPS + 1, world) if batch % g == 0 and batch // g > 1]
    return max(fitting, default=world)
