"""Frames strung into a clip, alone or beside pictures of the same names."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.video.folder import (
    DEFAULT_RATE,
    common_size,
    list_frames,
    read_sidecar,
    stream_pictures,
)
from magkit.video.info import VideoInfo, plain_info, snap_rate
from magkit.video.job_folder import find_foreign, find_frames, find_panels
from magkit.video.numbering import Missing, by_name, few, find_missing
from magkit.video.slice import beside
from magkit.video.write import write_video

Frame = NDArray[np.uint8]

GAP = 4
"""White pixels between pictures that stand side by side."""

_SLOWEST, _FASTEST = Fraction(1, 1000), Fraction(1000)

# What no container passes; a picture is made larger only after that was looked at.
_WIDEST = 65_535


@dataclass(frozen=True, slots=True)
class _Column:
    """One folder's pictures in the order of the frames.

    Args:
        paths: One a frame.
        size: Width and height of each.
        shown: Likewise, as they stand beside the others.
    """

    paths: Sequence[Path]
    size: tuple[int, int]
    shown: tuple[int, int]

    def __iter__(self) -> Iterator[Frame]:
        for picture in stream_pictures(self.paths, self.size):
            yield picture if self.shown == self.size else _scaled(picture, self.shown)


@dataclass(frozen=True, slots=True)
class Strip:
    """A clip that is to be strung; every iteration reads its frames, (H, W, 3) uint8 RGB.

    Args:
        name: What it is called after.
        info: Its record, of the size that the pictures take side by side.
        folders: Every folder that is read.
        missing: Numbers in the gaps between the frames.
        foreign: What is in the folders and no picture.
        spare: Pictures that would stand beside a frame that is not there.
    """

    name: str
    info: VideoInfo
    folders: tuple[Path, ...]
    missing: Missing
    foreign: tuple[Path, ...]
    spare: tuple[Path, ...]
    _columns: tuple[_Column, ...]

    def __iter__(self) -> Iterator[Frame]:
        for pictures in zip(*self._columns, strict=True):
            yield beside(pictures, GAP)


def open_strip(
    folder: Path,
    *,
    others: Sequence[Path] = (),
    panels: Sequence[str] = (),
    rate: Fraction | None = None,
    gaps: bool = False,
) -> Strip:
    """Find the frames of a clip and what stands beside them, and check all but the pixels.

    Pictures side by side are scaled to the frames' height, 4 white pixels between them.

    Args:
        folder: Of frames, or of a job that keeps them as `frames` or `*/frames`.
        others: Folders likewise, whose pictures of the frames' names stand to the right.
        panels: Names of folders beside the one of the frames, from left to right, in place of the
            frames alone.
        rate: Frames a second; None: what the sidecar says, or 24.
        gaps: Whether numbers may be missing between the frames.

    Raises:
        UsageError: There are several clips, a panel is absent, or the strip is too wide.
        MagkitError: There are no frames, one is missing or there twice, a folder's pictures differ
            in size, or one has no picture for a frame.
    """
    source, name = find_frames(folder)
    frames = by_name(list_frames(source))
    missing = find_missing(list(frames.values()))
    if missing.count and not gaps:
        raise MagkitError(
            f"frames are missing from {source}: {missing}",
            hint="--gaps strings the frames that are there",
        )
    size = common_size(list(frames.values()))
    info = read_sidecar(source, plain_info(*size, DEFAULT_RATE, len(frames)))
    shown = [*(find_panels(source, panels) or [source]), *(find_frames(one)[0] for one in others)]
    named = [by_name(list_frames(one)) for one in shown]
    columns = [
        _column(one, found, frames, info.height) for one, found in zip(shown, named, strict=True)
    ]
    folders = tuple(dict.fromkeys([source, *shown]))
    return Strip(
        name,
        replace(info, width=_width(columns), rate=rate or info.rate),
        folders,
        missing,
        tuple(path for one in folders for path in find_foreign(one)),
        tuple(path for found in named for key, path in found.items() if key not in frames),
        tuple(columns),
    )


def _column(folder: Path, found: dict[str, Path], frames: dict[str, Path], height: int) -> _Column:
    if absent := [path.stem for key, path in frames.items() if key not in found]:
        raise MagkitError(
            f"{folder} has no pictures named {few(absent, len(absent))}",
            hint="every frame needs one of its name to stand beside it",
        )
    paths = [found[key] for key in frames]
    size = common_size(paths)
    return _Column(paths, size, (max(1, round(size[0] * height / size[1])), height))


def _width(columns: Sequence[_Column]) -> int:
    width = sum(column.shown[0] for column in columns) + GAP * (len(columns) - 1)
    if width > _WIDEST:
        raise UsageError(
            f"side by side the pictures are {width} pixels wide, {_WIDEST} are possible",
            hint="set fewer beside one another, or smaller ones",
        )
    return width


def _scaled(picture: Frame, size: tuple[int, int]) -> Frame:
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def write_strip(
    strip: Strip,
    output: Path,
    *,
    quality: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> int:
    """Write a strip as `write_video` does, one frame in memory at a time.

    Returns:
        How many frames were written.

    Raises:
        UsageError: As `write_video`, or the output lies in a folder that is read.
        MagkitError: As `write_video`, or a picture can't be read.
    """
    place = output.absolute().parent.resolve()
    above = [path for path in (output, place, *place.parents) if path.exists()]
    for folder in strip.folders:
        if any(path.samefile(folder) for path in above):
            raise UsageError(
                f"{output} would be written into {folder}, whose pictures it is made of",
                hint="choose another --output",
            )
    return write_video(
        output, strip, strip.info, quality=quality, overwrite=overwrite, progress=progress
    )


def parse_rate(text: str) -> Fraction:
    """Frames a second from a text: 24, 12.5, 30000/1001; 29.97 is the last of these as well.

    Raises:
        UsageError: It is no number, or not from 1/1000 to 1000.
    """
    # Neither an exponent nor many digits: a fraction keeps them all.
    if not re.fullmatch(r"\d{1,9}(\.\d{0,9}|/0*[1-9]\d{0,8})?", text.strip(), re.ASCII):
        raise UsageError(f"'{text}' is no frame rate", hint="such as 24, 29.97 or 30000/1001")
    rate = Fraction(text.strip())
    if not _SLOWEST <= rate <= _FASTEST:
        raise UsageError(f"a frame rate lies between 0.001 and 1000 a second, not at {text}")
    return rate if "/" in text else snap_rate(rate)
