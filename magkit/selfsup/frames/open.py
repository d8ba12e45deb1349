"""Frames from whatever a command line names."""

from __future__ import annotations

import glob
from pathlib import Path

from magkit.data import plan as plans
from magkit.data import published
from magkit.data.open import open_dataset
from magkit.data.store import Store
from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.selfsup.frames import clips
from magkit.selfsup.frames.clips import ClipFrames
from magkit.selfsup.frames.joined import JoinedFrames
from magkit.selfsup.frames.pictures import PictureFrames
from magkit.selfsup.frames.scenes import SceneFrames, procedural_scenes
from magkit.selfsup.frames.source import FrameSource
from magkit.synth import pictures
from magkit.synth.listing import find_files
from magkit.synth.storage import scheme

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
        progress: told of the videos that are decoded.

    Raises:
        MagkitError: there is nothing at the place, a single frame, or what can't be read.
        UsageError: a size or number that can't be.
    """
    if not 16 <= size <= 4096:
        raise UsageError(f"frames must have 16 to 4096 pixels a side, not {size}")
    if scenes < 1:
        raise UsageError(f"the number of scenes must be at least 1, not {scenes}")
    place = _by_default() if place is None else place
    found = (
        procedural_scenes(scenes, size, seed) if place is None else _opened(place, size, progress)
    )
    if len(found) < 2:
        hint = "training without labels tells frames from one another, and wants hundreds"
        raise MagkitError(f"one frame is too few to learn from: {found}", hint)
    return found


def _by_default() -> str | None:
    """Return where `magkit gen-data` wrote unless told otherwise, if it did."""
    places = (f"data/{kind}" for kind in plans.KINDS)
    return next((place for place in places if Path(place, plans.FILE).is_file()), None)


def _opened(place: str, size: int, progress: Progress) -> FrameSource:
    if _is_dataset(place):
        return SceneFrames(open_dataset(place), size, f"scenes of {place}")
    path = Path(place)
    if scheme(place) or path.suffix.lower() in LISTS:
        return PictureFrames(place, size)
    if path.is_file():
        return ClipFrames([path], size, place, progress=progress)
    return _of_files(place, size, progress)


def _is_dataset(place: str) -> bool:
    if place.lower().endswith(".json"):
        return True
    if place.lower().endswith(LISTS) or glob.has_magic(place):
        return False
    store = Store(place)
    return store.has(plans.FILE) or store.has(published.ALPHAS)


def _of_files(place: str, size: int, progress: Progress) -> FrameSource:
    """Return the pictures and the videos of a folder or a glob."""
    stills, videos = find_files(place, pictures.SUFFIXES), find_files(place, clips.SUFFIXES)
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
        parts.append(ClipFrames(paths, size, place, progress=progress))
    return parts[0] if len(parts) == 1 else JoinedFrames(*parts)
