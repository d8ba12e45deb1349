"""The masks of DAVIS' videos or of any folder, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.invert.davis_root import FRAMES, MASKS, find_davis, is_folder, resolution, video_folders
from magkit.video.folder import SUFFIXES, list_frames, natural_order

__all__ = ["Clip", "ClipFrame", "find_davis", "list_videos", "open_masks", "open_video_masks"]

_LOSSY = frozenset({".jpg", ".jpeg"})


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """A frame of a clip.

    Attributes:
        number: its position in the clip, from 0: what `--frames` counts.
        stem: the name of its file without the suffix: "00000".
        mask: of its objects.
        image: the real frame, where there is one.
    """

    number: int
    stem: str
    mask: Path
    image: Path | None


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of a clip in natural order (2 before 10), at least one."""

    name: str
    frames: tuple[ClipFrame, ...]


def list_videos(root: Path) -> list[str]:
    """Return the names of the videos that have masks, in natural order.

    Raises:
        MagkitError: There are no masks, or their folder can't be read.
    """
    return [path.name for path in sorted(video_folders(root), key=natural_order)]


def open_video_masks(root: Path, video: str) -> Clip:
    """Return the frames of a video of DAVIS that have a mask.

    Args:
        root: the folder of DAVIS.
        video: a name from `list_videos`; nothing else is ever opened.

    Raises:
        UsageError: There is no such video.
        MagkitError: It has no masks, or its folder can't be read.
    """
    known = list_videos(root)
    if video not in known:
        raise UsageError(f"{root} has no video '{video:.80}'", did_you_mean(video[:80], known))
    size = resolution(root)
    images = root / FRAMES / size / video
    real = {path.stem: path for path in _pictures(images)} if is_folder(images) else {}
    return _clip(video, root / MASKS / size / video, real)


def open_masks(folder: Path) -> Clip:
    """Return a folder of masks as a clip, which has the folder's name and no real frames.

    Raises:
        MagkitError: It is no folder, can't be read, holds no masks or JPEGs, or names two alike.
    """
    if not is_folder(folder):
        raise MagkitError(f"{folder} is no folder of masks", "name the folder that holds them")
    return _clip(folder.resolve().name, folder, {})


def _clip(name: str, folder: Path, images: Mapping[str, Path]) -> Clip:
    frames: dict[str, ClipFrame] = {}
    for number, path in enumerate(_pictures(folder)):
        if path.suffix.lower() in _LOSSY:
            raise MagkitError(
                f"{path} is a JPEG, which blurs the edges of a mask",
                "save masks as PNG, in a folder without other pictures",
            )
        if twin := frames.get(path.stem):
            raise MagkitError(f"{folder} holds both {twin.mask.name} and {path.name}")
        frames[path.stem] = ClipFrame(number, path.stem, path, images.get(path.stem))
    if not frames:
        kinds = ", ".join(sorted(SUFFIXES - _LOSSY))
        raise MagkitError(f"{folder} holds no masks", f"a mask is a file named {kinds}")
    return Clip(name, tuple(frames.values()))


def _pictures(folder: Path) -> list[Path]:
    try:
        return list_frames(folder)
    except OSError as error:
        raise MagkitError(f"{folder} can't be read: {error.strerror or error}") from error
