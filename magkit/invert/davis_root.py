"""Where DAVIS lies. Imports nothing heavy, so that its videos can be listed at once.

DAVIS (Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv:1704.00675) keeps its frames as
`JPEGImages/480p/<video>/00000.jpg` and their masks as `Annotations/480p/<video>/00000.png`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from magkit.errors import MagkitError, UsageError

VARIABLE = "MAGKIT_DAVIS"
USUAL = (Path("DAVIS"), Path("data", "DAVIS"))
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""The smallest first; the larger ones are called Full-Resolution in 2017, 1080p in 2016."""

MASKS, FRAMES = "Annotations", "JPEGImages"
_SHAPE = f"it must hold {MASKS}/480p/VIDEO/00000.png, and {FRAMES}/480p beside it"
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


def _checked(root: Path, source: str) -> Path:
    if not _is_davis(root):
        raise UsageError(f"{root}, which {source} names, is no folder of DAVIS", _SHAPE)
    return root


def _is_davis(root: Path) -> bool:
    return any(is_folder(root / kind / size) for kind in (MASKS, FRAMES) for size in RESOLUTIONS)


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, and it may be looked at."""
    try:
        return path.is_dir()
    except OSError:  # a name too long, a folder that may not be entered
        return False


def video_folders(root: Path) -> list[Path]:
    """Return the folders of the videos that have masks, in no order.

    Raises:
        MagkitError: There are no masks, or their folder can't be read.
    """
    folder = root / MASKS / resolution(root)
    try:
        return [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    except OSError as error:
        raise MagkitError(f"{folder} can't be read: {error.strerror or error}") from error


def resolution(root: Path) -> str:
    """Return the name of the smallest masks' folder.

    Raises:
        MagkitError: There are no masks.
    """
    for size in RESOLUTIONS:
        if is_folder(root / MASKS / size):
            return size
    raise MagkitError(f"{root} holds no masks of DAVIS", _SHAPE)
