"""The latest keys of MoCo, kept as negatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.errors import UsageError


class Queue(nn.Module):
    """A ring of unit vectors, the oldest overwritten first: He et al., CVPR 2020, section 3.2.

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
        """Put in keys, past the end of the ring at its start.

        Raises:
            UsageError: there are more of them than places.
        """
        count, size = len(keys_ND), len(self.vectors)
        if count > size:
            raise UsageError(
                f"a step's {count} keys don't fit a queue of {size}",
                "ask for a longer queue or a smaller batch",
            )
        places = (self.place + torch.arange(count, device=self.place.device)) % size
        self.vectors.index_copy_(0, places, keys_ND.to(self.vectors.dtype))
        self.place.copy_((self.place + count) % size)
        self.filled.add_(count).clamp_(max=size)
