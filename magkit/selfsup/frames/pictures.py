"""Pictures as frames: each a square window of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from magkit.data.mark import mark, sampled
from magkit.selfsup.frames.source import MEMORY, SINGLE, squared, to_floats
from magkit.synth.cache import TensorCache
from magkit.synth.pictures import FilePictures


class PictureFrames:
    """The pictures of a place, as a `FrameSource`.

    The shorter side becomes the frame's. A picture that is broken, or below 64 pixels, is replaced
    by the next that isn't. Frames are remembered up to `MEMORY`.

    Args:
        location: whatever `magkit.synth.listing.find_files` takes.
        size: S.

    Raises:
        MagkitError: there is nothing at the place, or no usable picture.
    """

    roles = SINGLE

    def __init__(self, location: str, size: int) -> None:
        # Of what is as large as it was filmed, one at a time is kept.
        self._pictures = FilePictures(location, TensorCache(1))
        self._size, self._kept = size, TensorCache(MEMORY)

    def __len__(self) -> int:
        return len(self._pictures)

    def __str__(self) -> str:
        return f"{len(self)} pictures of {self._pictures.listing.location}"

    @property
    def unreadable(self) -> Collection[str]:
        """Return the files that were replaced so far."""
        return self._pictures.unreadable

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        del role
        self._pictures.prepare(index for index in indices if index not in self._kept)
        return to_floats([self._kept.get(index, partial(self._made, index)) for index in indices])

    def described(self) -> dict[str, Any]:
        """Return the listing's description, a hash of a sample of its pictures, and the size."""
        numbers = sampled(len(self))
        self._pictures.prepare(numbers)
        pictures = ((str(n), self._pictures.picture(n).numpy().tobytes()) for n in numbers)
        listed = {"pictures": self._pictures.describe(), "sample": mark(pictures)}
        return {**listed, "size": self._size}

    def _made(self, index: int) -> Tensor:
        return squared(self._pictures.picture(index), self._size, index)
