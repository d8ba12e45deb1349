"""Sources of frames, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from magkit.selfsup.frames.source import SINGLE, FrameSource


class JoinedFrames:
    """Several sources of single frames as one `FrameSource`."""

    roles = SINGLE

    def __init__(self, *parts: FrameSource) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __str__(self) -> str:
        return " and ".join(map(str, self._parts))

    @property
    def unreadable(self) -> Collection[str]:
        """Return the parts' broken files."""
        return {place for part in self._parts for place in part.unreadable}

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        return torch.cat([self._frame(index, role) for index in indices])

    def described(self) -> dict[str, Any]:
        """Return the parts' descriptions."""
        return {"parts": [part.described() for part in self._parts]}

    def _frame(self, index: int, role: str) -> Tensor:
        for part in self._parts:
            if index < len(part):
                return part.frames([index], role)
            index -= len(part)
        raise IndexError(index)
