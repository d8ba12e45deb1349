"""Videos as frames: as many as fit into memory, evenly spaced."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magkit.progress import Progress, silent
from magkit.selfsup.frames.source import MEMORY, SINGLE, squared, to_floats
from magkit.video import open_video

SUFFIXES = {
    *(".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv", ".y4m"),
}


class ClipFrames:
    """Frames of videos, one after the other, as a `FrameSource`.

    Of every video the frames 0, n, 2 n, ... are taken, with the smallest power of two for n at
    which all of them fit into the memory. They are decoded at once, and again in each process that
    works with them.

    Args:
        paths: the videos, in their order.
        size: S.
        place: how they are called together.
        memory: bytes at most; one frame of each video is taken in any case.
        progress: told of the videos.

    Raises:
        MagkitError: a video can't be read, or breaks off; the message names it.
    """

    roles = SINGLE
    unreadable: tuple[str, ...] = ()

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        place: str,
        memory: int = MEMORY,
        progress: Progress = silent,
    ) -> None:
        self._paths, self._size, self._place = [p.absolute() for p in paths], size, place
        self._most = memory // (3 * size**2)
        self._kept: list[Tensor] | None = _decoded(self._paths, size, self._most, progress)
        self._count = len(self._kept)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def __len__(self) -> int:
        return self._count

    def __str__(self) -> str:
        videos = f"{len(self._paths)} videos of " if len(self._paths) > 1 else ""
        return f"{len(self)} frames of {videos}{self._place}"

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        del role
        kept = self._held()
        return to_floats([kept[index] for index in indices])

    def described(self) -> dict[str, Any]:
        """Return the numbers of videos and frames, and a hash of all pixels."""
        digest = sha256()
        for frame in self._held():
            digest.update(frame.numpy().data)
        return {
            "videos": len(self._paths),
            "frames": len(self),
            "size": self._size,
            "sha256": digest.hexdigest(),
        }

    def _held(self) -> list[Tensor]:
        if self._kept is None:
            self._kept = _decoded(self._paths, self._size, self._most, silent)
        return self._kept


def _decoded(paths: Sequence[Path], size: int, most: int, progress: Progress) -> list[Tensor]:
    """Return the frames 0, n, 2 n, ... of videos as uint8 (3, S, S), about `most` of them."""
    every = 1
    kept: list[tuple[int, Tensor]] = []
    for done, path in enumerate(paths):
        progress(done, len(paths))
        for number, pixels in enumerate(open_video(path)):
            if number % every:
                continue
            kept.append((number, squared(torch.from_numpy(pixels).permute(2, 0, 1), size, number)))
            if len(kept) > most:
                every *= 2
                kept = [(n, frame) for n, frame in kept if n % every == 0]
    progress(len(paths), len(paths))
    return [frame for _, frame in kept]
