"""Frames of videos, pictures and data sets, opened by the name of a place."""

from __future__ import annotations

import glob
from collections.abc import Collection, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magkit.data import plan as plans
from magkit.data import published
from magkit.data.dataset import DataSet
from magkit.data.open import RenderedScenes, open_dataset
from magkit.data.plan import digest, make_plan, sample_indices
from magkit.data.store import Store
from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.selfsup.frame_source import (
    CACHE_BYTES,
    SINGLE,
    TRIPLET,
    ConcatFrames,
    FrameSource,
    square_window,
    to_floats,
    to_uint8,
)
from magkit.synth import pictures
from magkit.synth.build import build_sources
from magkit.synth.listing import find_files
from magkit.synth.pictures import FilePictures
from magkit.synth.scene import SceneConfig
from magkit.synth.sources import TensorCache
from magkit.synth.storage import scheme
from magkit.video import open_video

SUFFIXES = {
    *(".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv", ".y4m"),
}


class VideoFrames:
    """Frames of videos, one after the other, as a `FrameSource`.

    Of every video the frames 0, n, 2 n, ... are taken, with the smallest power of two for n at
    which all of them fit into the memory. They are decoded at once, and again in each worker
    process.

    Args:
        paths: the videos, in their order.
        size: S.
        place: name of all of them, for messages.
        memory: bytes at most; one frame of each video is taken in any case.
        progress: called with the videos decoded.

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
        memory: int = CACHE_BYTES,
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
        decoded = self._frames()
        return to_floats([decoded[index] for index in indices])

    def describe(self) -> dict[str, Any]:
        """Return the numbers of videos and frames, and a hash of all pixels."""
        digest = sha256()
        for frame in self._frames():
            digest.update(frame.numpy().data)
        return {
            "videos": len(self._paths),
            "frames": len(self),
            "size": self._size,
            "sha256": digest.hexdigest(),
        }

    def _frames(self) -> list[Tensor]:
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
            kept.append(
                (number, square_window(torch.from_numpy(pixels).permute(2, 0, 1), size, number))
            )
            if len(kept) > most:
                every *= 2
                kept = [(n, frame) for n, frame in kept if n % every == 0]
    progress(len(paths), len(paths))
    return [frame for _, frame in kept]


class PictureFrames:
    """The pictures of a place, as a `FrameSource`.

    The shorter side becomes the frame's. A picture that is broken, or below 64 pixels, is replaced
    by the next that isn't. Frames are cached up to `CACHE_BYTES`.

    Args:
        location: whatever `magkit.synth.listing.find_files` takes.
        size: S.

    Raises:
        MagkitError: there is nothing at the place, or no usable picture.
    """

    roles = SINGLE

    def __init__(self, location: str, size: int) -> None:
        # Of pictures in full size, one at a time is kept.
        self._pictures = FilePictures(location, TensorCache(1))
        self._size, self._kept = size, TensorCache(CACHE_BYTES)

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

    def describe(self) -> dict[str, Any]:
        """Return the listing's description, a hash of a sample of its pictures, and the size."""
        numbers = sample_indices(len(self))
        self._pictures.prepare(numbers)
        pictures = ((str(n), self._pictures.picture(n).numpy().tobytes()) for n in numbers)
        listed = {"pictures": self._pictures.describe(), "sample": digest(pictures)}
        return {**listed, "size": self._size}

    def _made(self, index: int) -> Tensor:
        return square_window(self._pictures.picture(index), self._size, index)


TEXTURES = 160  # 126 MB


class SceneFrames:
    """The frames of a data set, as a `FrameSource`: single ones, or A, B and C of every scene.

    Scenes of another size are scaled; the frames of one scene all alike. Frames are cached up
    to `CACHE_BYTES`: a triplet once its B or C was asked for, else A alone.

    Args:
        data: single frames or triplets.
        size: S.
        name: plural noun for messages.
    """

    unreadable: tuple[str, ...] = ()

    def __init__(self, data: DataSet, size: int, name: str) -> None:
        self._data, self._size, self._name = data, size, name
        self._kept = TensorCache(CACHE_BYTES)
        self.roles = TRIPLET if data.kind == "triplets" else SINGLE

    def __len__(self) -> int:
        return len(self._data)

    def __str__(self) -> str:
        return f"{len(self)} {self._name}"

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        return to_floats([self._frame(index, role) for index in indices])

    def describe(self) -> dict[str, Any]:
        """Return what tells data sets apart, wherever they stand, and the size."""
        return {"scenes": len(self), "fingerprint": self._data.fingerprint, "size": self._size}

    def _frame(self, index: int, role: str) -> Tensor:
        if role == "a" and (index, "abc") not in self._kept:
            return self._kept.get((index, "a"), lambda: self._squared(index, self._first(index)))
        triplet = self._kept.get((index, "abc"), lambda: self._triplet(index))
        return triplet[TRIPLET.index(role)]

    def _first(self, index: int) -> Tensor:
        return self._data.frames([index])[0]

    def _triplet(self, index: int) -> Tensor:
        scene = self._data.triplets([index])
        return torch.stack([self._squared(index, getattr(scene, role)[0]) for role in TRIPLET])

    def _squared(self, index: int, frame: Tensor) -> Tensor:
        return square_window(to_uint8(frame), self._size, index)


def procedural_scenes(count: int, size: int, seed: int) -> SceneFrames:
    """Return scenes made of procedural textures and objects, which need no file.

    Each is rendered on first access and cached: at 192 x 192 pixels, 1,000 scenes take 111 MB
    where A alone is read, and else 332 MB. There are as many textures and objects as a process
    caches, since drawing them takes longer than all the rest.
    """
    sources = build_sources((), None, None, TEXTURES)
    plan = make_plan("triplets", "recipe", count, seed, SceneConfig(size=size), sources)
    return SceneFrames(
        RenderedScenes(plan, sources, "procedural scenes"), size, "procedural scenes"
    )


SCENES = 1000  # procedural ones, where nothing is given
LISTS = (".zip", ".txt")  # files that stand for many
KNOWN = "pictures, videos, a data set of magkit gen-data, a .zip, a glob, a .txt list, or a bucket"


def open_frames(
    place: str | None,
    size: int,
    *,
    scenes: int = SCENES,
    seed: int = 0,
    progress: Progress = silent,
) -> FrameSource:
    """Open a source of frames without labels.

    Args:
        place: a data set of any format; a video or an animated picture; a folder or a glob of
            pictures, of videos or of both; a zip, a list or a bucket of pictures. None: what
            `magkit gen-data` wrote by default below the working directory, or else procedural
            scenes.
        size: side of the square frames in pixels.
        scenes: number of procedural scenes.
        seed: of procedural scenes.
        progress: called with the videos decoded.

    Raises:
        MagkitError: there is nothing at the place, a single frame, or what can't be read.
        UsageError: a size or number that can't be.
    """
    if not 16 <= size <= 4096:
        raise UsageError(f"frames must have 16 to 4096 pixels a side, not {size}")
    if scenes < 1:
        raise UsageError(f"the number of scenes must be at least 1, not {scenes}")
    place = _default_place() if place is None else place
    if place is None:
        found: FrameSource = procedural_scenes(scenes, size, seed)
    else:
        found = _open(place, size, progress)
    if len(found) < 2:
        hint = "training without labels tells frames from one another, and wants hundreds"
        raise MagkitError(f"one frame is too few to learn from: {found}", hint)
    return found


def _default_place() -> str | None:
    """Return the default output folder of `magkit gen-data` that holds a data set, if any."""
    places = (f"data/{kind}" for kind in plans.KINDS)
    return next((place for place in places if Path(place, plans.FILE).is_file()), None)


def _open(place: str, size: int, progress: Progress) -> FrameSource:
    if is_dataset(place):
        return SceneFrames(open_dataset(place), size, f"scenes of {place}")
    path = Path(place)
    if scheme(place) or path.suffix.lower() in LISTS:
        return PictureFrames(place, size)
    if path.is_file():
        return VideoFrames([path], size, place, progress=progress)
    return _open_files(place, size, progress)


def is_dataset(place: str) -> bool:
    """Return whether a place is named as a data set, or holds one."""
    if place.lower().endswith(".json"):
        return True
    if place.lower().endswith(LISTS) or glob.has_magic(place):
        return False
    store = Store(place)
    return store.has(plans.FILE) or store.has(published.ALPHAS)


def _open_files(place: str, size: int, progress: Progress) -> FrameSource:
    """Open the pictures and the videos of a folder or a glob."""
    stills, videos = find_files(place, pictures.SUFFIXES), find_files(place, SUFFIXES)
    if not len(stills) and not len(videos):
        raise MagkitError(f"{place} holds neither pictures nor videos", f"known are {KNOWN}")
    parts: list[FrameSource] = []
    if len(stills):
        try:
            parts.append(PictureFrames(place, size))
        except MagkitError:
            if not len(videos):
                raise
    if len(videos):
        paths = [Path(videos.place(number)) for number in range(len(videos))]
        parts.append(VideoFrames(paths, size, place, progress=progress))
    return parts[0] if len(parts) == 1 else ConcatFrames(*parts)
