"""The masks of DAVIS' videos or of any folder, frame by frame, and the choice of frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.invert.davis_root import (
    find_davis,
    frames_folder,
    is_folder,
    masks_folder,
    object_folders,
    video_folders,
)
from magkit.video.formats import SUFFIXES
from magkit.video.frame_names import list_frames, natural_key

__all__ = ["Clip", "ClipFrame", "find_davis", "list_videos", "open_masks", "open_video_masks"]


MAX_OBJECTS = 64
_LOSSY = frozenset({".jpg", ".jpeg"})


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """A frame of a clip.

    Attributes:
        number: its position in the clip, from 0: what `--frames` counts.
        stem: the name of its file without the suffix: "00000".
        mask: of its objects; where each has a file of its own, the first of these.
        image: the real frame, where there is one.
        objects: labels and masks of the objects that have a file each; empty: `mask` shows all.
    """

    number: int
    stem: str
    mask: Path
    image: Path | None
    objects: tuple[tuple[int, Path], ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that make up the mask."""
        return tuple(path for _, path in self.objects) or (self.mask,)


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
    return [path.name for path in sorted(video_folders(root), key=natural_key)]


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
    images = frames_folder(root, video)
    real = {path.stem: path for path in _pictures(images)} if is_folder(images) else {}
    return _clip(video, masks_folder(root) / video, real)


def open_masks(folder: Path) -> Clip:
    """Return a folder of masks as a clip, which has the folder's name and no real frames.

    Raises:
        MagkitError: It is no folder, can't be read, holds no masks or JPEGs, or names two alike.
    """
    if not is_folder(folder):
        raise MagkitError(f"{folder} is no folder of masks", "name the folder that holds them")
    return _clip(folder.resolve().name, folder, {})


def _clip(name: str, folder: Path, images: Mapping[str, Path]) -> Clip:
    whole, parts = _masks(folder), object_folders(folder)
    if whole and parts:
        names = ", ".join(part.name for part in parts)
        problem = f"{folder} holds masks of whole frames, and folders of single objects: {names}"
        raise MagkitError(problem, "move one or the other elsewhere")
    if parts:
        return Clip(name, _joined(parts, images))
    if not whole:
        kinds = ", ".join(sorted(SUFFIXES - _LOSSY))
        hint = f"a mask is a file named {kinds}; objects may have a folder each, named 001"
        raise MagkitError(f"{folder} holds no masks", hint)
    return Clip(
        name,
        tuple(
            ClipFrame(number, stem, path, images.get(stem))
            for number, (stem, path) in enumerate(whole.items())
        ),
    )


def _joined(parts: Sequence[Path], images: Mapping[str, Path]) -> tuple[ClipFrame, ...]:
    """Return the frames of a clip whose objects have a folder each.

    The first folder's object has the label 1, and so on: SAM 2 counts them from 0 or from 1, and 0
    is no label. A frame that a folder lacks doesn't show its object.
    """
    if len(parts) > MAX_OBJECTS:
        raise MagkitError(
            f"{parts[0].parent} holds {len(parts)} objects; {MAX_OBJECTS} are the most"
        )
    found: dict[str, list[tuple[int, Path]]] = {}
    for label, part in enumerate(parts, 1):
        for stem, path in _masks(part).items():
            found.setdefault(stem, []).append((label, path))
    stems = sorted(found, key=lambda stem: natural_key(Path(stem)))
    return tuple(
        ClipFrame(number, stem, found[stem][0][1], images.get(stem), tuple(found[stem]))
        for number, stem in enumerate(stems)
    )


def _masks(folder: Path) -> dict[str, Path]:
    """Return the masks in a folder by their names without the suffix, in natural order."""
    found: dict[str, Path] = {}
    for path in _pictures(folder):
        if path.suffix.lower() in _LOSSY:
            raise MagkitError(
                f"{path} is a JPEG, which blurs the edges of a mask",
                "save masks as PNG, in a folder without other pictures",
            )
        if twin := found.get(path.stem):
            raise MagkitError(f"{folder} holds both {twin.name} and {path.name}")
        found[path.stem] = path
    return found


def _pictures(folder: Path) -> list[Path]:
    try:
        return list_frames(folder)
    except OSError as error:
        raise MagkitError(f"{folder} can't be read: {error.strerror or error}") from error


_EXAMPLE = "all, first, or numbers from 0 on with a comma between: 0-9,20,30-32"
# Python refuses to read numbers of thousands of digits.
_SPAN = re.compile(r"([0-9]{1,18})(?:\s*-\s*([0-9]{1,18}))?")


def choose_frames(text: str, count: int, clip: str | None = None) -> list[int]:
    """Return the numbers of the frames that are asked for, each once, in ascending order.

    Args:
        text: `all`, `first`, or numbers and spans with commas between, as in `0-9,20`.
        count: how many frames the clip has, at least 1; they are numbered from 0.
        clip: its name, for messages.

    Raises:
        UsageError: The text is something else, a span runs backwards, or a frame isn't there.
    """
    chosen: list[int] = []
    for first, last in sorted(_spans(text, count)):
        if last >= count:
            raise UsageError(_too_far(first, last, count, clip), _range(count))
        chosen.extend(range(max(first, chosen[-1] + 1 if chosen else 0), last + 1))
    return chosen


def _spans(text: str, count: int) -> list[tuple[int, int]]:
    """Return the first and last number of each part of a text."""
    match text.strip().lower():
        case "all":
            return [(0, count - 1)]
        case "first":
            return [(0, 0)]
        case words:
            return [_span(part.strip(), text) for part in words.split(",")]


def _span(part: str, text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise UsageError(f"'{text:.80}' is no choice of frames", _EXAMPLE)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise UsageError(f"the frames {first}-{last} run backwards", f"write {last}-{first}")
    return first, last


def _too_far(first: int, last: int, count: int, clip: str | None) -> str:
    asked = f"frame {first} is" if first == last else f"frames {first}-{last} are"
    owner = "the clip" if clip is None else f"'{clip}'"
    return f"{asked} asked for, and {owner} has {count}"


def _range(count: int) -> str:
    return "it is frame 0" if count == 1 else f"they are numbered from 0 to {count - 1}"
