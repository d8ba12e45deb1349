"""Building blocks for plugins: weights files, projection heads, losses, momentum, collectives.

Everything here keeps its meaning as long as `magkit.specs.API` stays the same. Importing this
module imports no torch: a name is loaded on first access, from the module that defines it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from magkit.lazy import lazy_exports

if TYPE_CHECKING:
    from magkit.invert.statistics import bn_statistics
    from magkit.runtime.distributed import all_gather, all_reduce, rank, world_size
    from magkit.runtime.weights import Weights, download_weights, read_weights, write_tensors
    from magkit.selfsup.modules import (
        cosine_distances,
        cosine_momentum,
        enqueue,
        full_precision,
        info_nce,
        mlp,
        momentum_copy,
        normalized,
        update_momentum,
    )
    from magkit.selfsup.recipe import CPU_PRESET_SETTINGS

__all__ = [
    "CPU_PRESET_SETTINGS",
    "Weights",
    "all_gather",
    "all_reduce",
    "bn_statistics",
    "cosine_distances",
    "cosine_momentum",
    "download_weights",
    "enqueue",
    "full_precision",
    "info_nce",
    "mlp",
    "momentum_copy",
    "normalized",
    "rank",
    "read_weights",
    "update_momentum",
    "world_size",
    "write_tensors",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "magkit.invert.statistics": "bn_statistics",
        "magkit.runtime.distributed": "all_gather all_reduce rank world_size",
        "magkit.runtime.weights": "Weights download_weights read_weights write_tensors",
        "magkit.selfsup.modules": "cosine_distances cosine_momentum enqueue full_precision info_nce"
        " mlp momentum_copy normalized update_momentum",
        "magkit.selfsup.recipe": "CPU_PRESET_SETTINGS",
    },
)
