"""A memo with a bound in bytes, so that sources of any size fit into memory."""

from __future__ import annotations

import mmap
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch

APART = 16 << 10  # bytes: smaller tensors leave no holes worth the while


class TensorCache:
    """Keeps the tensors used last, at most `capacity` bytes of them.

    A process has two, of pictures and of objects: with torch itself, which takes 0.7 GB, it stays
    well below 1.5 GB.
    """

    def __init__(self, capacity: int = 160 << 20) -> None:
        self.capacity = capacity
        self.size = 0
        self._items: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def __getstate__(self) -> int:
        # Another process fills a memo of its own: what is held here would only be copied to it.
        return self.capacity

    def __setstate__(self, capacity: int) -> None:
        TensorCache.__init__(self, capacity)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the tensor under `key`, made by `make()` where it isn't held."""
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key]
        item = _apart(make())
        self._items[key] = item
        self.size += item.nbytes
        while self.size > self.capacity and len(self._items) > 1:
            _, dropped = self._items.popitem(last=False)
            self.size -= dropped.nbytes
        return item


def _apart(item: torch.Tensor) -> torch.Tensor:
    """Copy a tensor to pages of its own.

    Kept among those that come and go while scenes are rendered, tensors that stay leave holes which
    nothing fits into: a process then grows to several times what it keeps.
    """
    if item.nbytes < APART:
        return item
    pages = mmap.mmap(-1, item.nbytes)  # given back when the tensor is no more
    return torch.frombuffer(pages, dtype=item.dtype).view(item.shape).copy_(item)
