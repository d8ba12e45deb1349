"""Where DAVIS lies, and the masks of its videos or of any folder, frame by frame.

DAVIS (Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv:1704.00675) keeps its frames as
`JPEGImages/480p/<video>/00000.jpg` and their masks as `Annotations/480p/<video>/00000.png`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.video.folder import SUFFIXES, list_frames, natural_order

VARIABLE = "MAGKIT_DAVIS"
USUAL = (Path("DAVIS"), Path("data", "DAVIS"))
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""The smallest first; the larger ones are called Full-Resolution in 2017, 1080p in 2016."""

_MASKS, _FRAMES = "Annotations", "JPEGImages"
_LOSSY = frozenset({".jpg", ".jpeg"})
_SHAPE = f"it must hold {_MASKS}/480p/VIDEO/00000.png, and {_FRAMES}/480p beside it"
_GET = (
    "get the 480p images and annotations at https://davischallenge.org/davis2017/code.html "
    "(2016's videos are among them), and name the unpacked folder with --davis"
)


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


def find_davis(
    given: Path | None, environment: Mapping[str, str] = os.environ, here: Path = Path()
) -> Path:
    """Return the folder of DAVIS: the given one, MAGKIT_DAVIS, ./DAVIS or ./data/DAVIS.

    Args:
        given: what the user named, if anything.
        environment: where MAGKIT_DAVIS may stand.
        here: what "./" means.

    Raises:
        UsageError: The given one isn't DAVIS, or, where none is given, what MAGKIT_DAVIS names.
        MagkitError: It is in none of these places.
    """
    if given is not None:
        return _checked(given, "--davis")
    if named := environment.get(VARIABLE):
        return _checked(Path(named), VARIABLE)
    for usual in USUAL:
        if _is_davis(here / usual):
            return here / usual
    places = " or ".join(f"./{usual.as_posix()}" for usual in USUAL)
    problem = f"DAVIS was not found: --davis and {VARIABLE} name nothing, and it isn't in {places}"
    raise MagkitError(problem, _GET)


def _checked(root: Path, source: str) -> Path:
    if not _is_davis(root):
        raise UsageError(f"{root}, which {source} names, is no folder of DAVIS", _SHAPE)
    return root


def _is_davis(root: Path) -> bool:
    return any(_is_folder(root / kind / size) for kind in (_MASKS, _FRAMES) for size in RESOLUTIONS)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, a folder that may not be entered
        return False


def list_videos(root: Path) -> list[str]:
    """Return the names of the videos that have masks, in natural order.

    Raises:
        MagkitError: There are no masks, or their folder can't be read.
    """
    folder = root / _MASKS / _resolution(root)
    try:
        found = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    except OSError as error:
        raise MagkitError(f"{folder} can't be read: {error.strerror or error}") from error
    return [path.name for path in sorted(found, key=natural_order)]


def _resolution(root: Path) -> str:
    for size in RESOLUTIONS:
        if _is_folder(root / _MASKS / size):
            return size
    raise MagkitError(f"{root} holds no masks of DAVIS", _SHAPE)


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
    size = _resolution(root)
    images = root / _FRAMES / size / video
    real = {path.stem: path for path in _pictures(images)} if _is_folder(images) else {}
    return _clip(video, root / _MASKS / size / video, real)


def open_masks(folder: Path) -> Clip:
    """Return a folder of masks as a clip, which has the folder's name and no real frames.

    Raises:
        MagkitError: It is no folder, can't be read, holds no masks or JPEGs, or names two alike.
    """
    if not _is_folder(folder):
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
