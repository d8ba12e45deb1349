"""The folder of DAVIS and its layouts.

Nothing heavy is imported, so that videos can be listed at once.

Three layouts of frames and their masks are known:

- DAVIS (Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv:1704.00675):
  `JPEGImages/480p/<video>/00000.jpg` and `Annotations/480p/<video>/00000.png`.
- YouTube-VOS (Xu et al., arXiv:1809.03327), MOSE and others: the same without the resolution.
- SAM 2 (Ravi et al., arXiv:2408.00714), of either: a folder for each object, named by its number,
  `Annotations/<video>/001/00000.png`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from magkit.errors import MagkitError, UsageError

VARIABLE = "MAGKIT_DAVIS"
USUAL = (Path("DAVIS"), Path("data", "DAVIS"))
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""The smallest first; the larger ones are called Full-Resolution in 2017, 1080p in 2016."""

MASKS, FRAMES = "Annotations", "JPEGImages"
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""Suffixes of frames and masks: those of `magkit.video.formats`, which is slow to import, without
those that need an optional decoder."""

_SHAPE = (
    f"it must hold {MASKS}/480p/VIDEO/00000.png, {MASKS}/VIDEO/00000.png or "
    f"{MASKS}/VIDEO/001/00000.png, and {FRAMES} beside {MASKS}"
)
_GET = (
    "get the 480p images and annotations at https://davischallenge.org/davis2017/code.html "
    "(2016's videos are among them), and name the unpacked folder with --davis"
)


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


def video_folders(root: Path) -> list[Path]:
    """Return the folders of the videos that have masks, in no order.

    Raises:
        MagkitError: There are no masks, they lie in two layouts, or their folder can't be read.
    """
    return list(_subfolders(masks_folder(root)))


def masks_folder(root: Path) -> Path:
    """Return the folder that holds a folder of masks for each video: the smallest resolution's.

    Raises:
        MagkitError: There are no masks, they lie in two layouts, or the folder can't be read.
    """
    folder = root / MASKS
    size = next((size for size in RESOLUTIONS if is_folder(folder / size)), None)
    plain = next(_clips(folder), None)
    if size and plain:
        raise MagkitError(
            f"{folder} holds videos both in {size} and beside it, as {plain.name}",
            "move one or the other elsewhere",
        )
    if not size and not plain:
        raise MagkitError(f"{root} holds no masks of DAVIS", _SHAPE)
    return folder / size if size else folder


def frames_folder(root: Path, video: str) -> Path:
    """Return where a video's real frames lie, which need not exist.

    They are in the same resolution as the masks, or lie in folders without a resolution.
    """
    masks = masks_folder(root)
    beside = root / FRAMES / masks.relative_to(root / MASKS) / video
    return beside if is_folder(beside) else root / FRAMES / video


def object_folders(folder: Path) -> list[Path]:
    """Return the folders of single objects in a video's folder of masks, in ascending order.

    Raises:
        MagkitError: The folder can't be read, or two of them have the same number.
    """
    found: dict[int, Path] = {}
    for path in _subfolders(folder):
        if path.name.isascii() and path.name.isdecimal() and _holds_pictures(path):
            twin = found.setdefault(int(path.name), path)
            if twin != path:
                names = " and ".join(sorted([twin.name, path.name]))
                raise MagkitError(f"{folder} holds {names}: two folders of one object")
    return [found[number] for number in sorted(found)]


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, and it may be looked at."""
    try:
        return path.is_dir()
    except OSError:  # a name too long, a folder that may not be entered
        return False


def _checked(root: Path, source: str) -> Path:
    if _is_davis(root):
        return root
    problem = f"{root}, which {source} names, is no folder of DAVIS"
    nearby = next((path for path in _nearby(root) if _is_davis(path)), None)
    raise UsageError(problem, f"did you mean {nearby}?" if nearby else _SHAPE)


def _nearby(root: Path) -> Iterator[Path]:
    """Yield the folders above one and in it: people name one too high or too low."""
    yield from root.absolute().parents[:3]
    if is_folder(root):
        yield from _subfolders(root)


def _is_davis(root: Path) -> bool:
    kinds = [root / MASKS, root / FRAMES]
    if any(is_folder(kind / size) for kind in kinds for size in RESOLUTIONS):
        return True
    return any(True for kind in kinds for _ in _clips(kind))


def _clips(folder: Path) -> Iterator[Path]:
    """Yield the folders that hold pictures, directly or by object; none where there is no such."""
    if not is_folder(folder):
        return
    for path in _subfolders(folder):
        if path.name not in RESOLUTIONS and (_holds_pictures(path) or object_folders(path)):
            yield path


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name[0] != "." and path.is_dir()]
    except OSError as error:
        raise MagkitError(f"{folder} can't be read: {error.strerror or error}") from error


def _holds_pictures(folder: Path) -> bool:
    try:
        return any(p.suffix.lower() in PICTURES and p.name[0] != "." for p in folder.iterdir())
    except OSError:  # a folder that may not be entered
        return False
