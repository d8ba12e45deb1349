"""A memo with a bound in bytes, so that sources of any size fit into memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch

from magkit.runtime.memory import give_back

TIDY = 16 << 20  # bytes taken in, after which what was freed meanwhile is given back


class TensorCache:
    """Keeps the tensors used last, at most `capacity` bytes of them.

    A process has two, of pictures and of objects: with torch itself, which takes 0.7 GB, it stays
    below 1.5 GB.
    """

    def __init__(self, capacity: int = 160 << 20) -> None:
        self.capacity = capacity
        self.size = 0
        self._taken = 0
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
        item = make()
        self._items[key] = item
        self.size += item.nbytes
        while self.size > self.capacity and len(self._items) > 1:
            _, dropped = self._items.popitem(last=False)
            self.size -= dropped.nbytes
        self._taken += item.nbytes
        if self._taken > TIDY:
            self._taken = 0
            give_back()
        return item
