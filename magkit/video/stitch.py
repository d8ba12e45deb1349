"""Frames stitched to a clip, alone or side by side with other pictures; time slices."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.video.depth import Depth, require_8_bit
from magkit.video.encode import WriteOptions
from magkit.video.folder import other_files, read_sidecar, stream_pictures
from magkit.video.frame_names import MissingNumbers, index_by_name, list_frames, summarize
from magkit.video.frame_set import (
    check_frames,
    check_sizes,
    find_frames,
    find_panels,
    frames_depth,
    read_headers,
)
from magkit.video.info import DEFAULT_RATE, Frame, ReadOptions, VideoInfo, plain_info, snap_rate
from magkit.video.pictures import ImageHeader
from magkit.video.write import write_video


def time_slice(
    frames: Iterable[NDArray[Any]], position: int, along: Literal["row", "column"] = "column"
) -> NDArray[Any]:
    """Lay one row or column of every frame side by side.

    Args:
        frames: (H, W, 3) RGB, streamed; only one line of each is kept.
        position: Which row or column, in pixels from the top or left.
        along: A column shows vertical motion, a row horizontal motion.

    Returns:
        (H, T, 3) for a column, time to the right; (T, W, 3) for a row, time downwards.

    Raises:
        UsageError: The frames have no such row or column.
        MagkitError: There are no frames.
    """
    axis = 0 if along == "row" else 1
    lines = [_line(frame, position, along, axis) for frame in frames]
    if not lines:
        raise MagkitError("there are no frames to cut a slice from")
    return np.stack(lines, axis)


def _line(frame: NDArray[Any], position: int, along: str, axis: int) -> NDArray[Any]:
    if not 0 <= position < frame.shape[axis]:
        raise UsageError(f"a frame has the {along}s 0 to {frame.shape[axis] - 1}, not {position}")
    # A view would keep the whole frame.
    return (frame[position] if axis == 0 else frame[:, position]).copy()


def side_by_side(pictures: Sequence[NDArray[Any]], gap: int = 8) -> NDArray[Any]:
    """Concatenate pictures (H, W, 3) of one height and type, `gap` white pixels apart."""
    height, _, channels = pictures[0].shape
    kind = pictures[0].dtype
    white = np.full((height, gap, channels), np.iinfo(kind).max, kind)
    parts = [part for picture in pictures for part in (white, picture)]
    return np.concatenate(parts[1:], 1)


def upscale(picture: Frame, times: int) -> Frame:
    """A picture with every pixel `times` x `times` as large."""
    return picture.repeat(times, 0).repeat(times, 1)


GAP = 4
"""White pixels between pictures side by side."""

_SLOWEST, _FASTEST = Fraction(1, 1000), Fraction(1000)

# Pixels: the limit of all containers.
_WIDEST = 65_535


@dataclass(frozen=True, slots=True)
class _Column:
    """One folder's pictures in the order of the frames.

    Args:
        paths: One per frame.
        size: Width and height of each.
        shown: Width and height after scaling.
        depth: Scale of 16-bit values.
        deep: Whether they are shown with 16 bits.
        grey: Whether all are grey.
    """

    paths: Sequence[Path]
    size: tuple[int, int]
    shown: tuple[int, int]
    depth: Depth
    deep: bool
    grey: bool

    def __iter__(self) -> Iterator[Frame]:
        for picture in stream_pictures(self.paths, self.size, depth=self.depth, deep=self.deep):
            yield picture if self.shown == self.size else _scaled(picture, self.shown)


@dataclass(frozen=True, slots=True)
class Stitch:
    """A clip of stitched frames; each iteration reads them, (H, W, 3) RGB, uint8 or uint16.

    Args:
        name: The name of the clip.
        info: Its properties; the size is that of all pictures side by side.
        folders: All folders that are read.
        missing: Missing frame numbers.
        foreign: Files in the folders that are not pictures.
        unmatched: Pictures without a frame of the same name.
    """

    name: str
    info: VideoInfo
    folders: tuple[Path, ...]
    missing: MissingNumbers
    foreign: tuple[Path, ...]
    unmatched: tuple[Path, ...]
    _columns: tuple[_Column, ...]

    def __iter__(self) -> Iterator[Frame]:
        for pictures in zip(*self._columns, strict=True):
            yield side_by_side(pictures, GAP)


def open_stitch(
    folder: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
    *,
    others: Sequence[Path] = (),
    panels: Sequence[str] = (),
) -> Stitch:
    """Find frames and the pictures to show beside them, and check everything but their pixels.

    Pictures side by side are scaled to the frames' height, 4 white pixels between them.

    Args:
        folder: A folder of frames, or one that has them in `frames` or `*/frames`.
        options: Of these, `rate`, `gaps` (frames then follow one another), `pattern`, `bits` and
            `deep` count.
        others: Further folders, whose pictures of the same names are placed to the right.
        panels: Names of folders next to the one of the frames, from left to right, that are shown
            instead of the frames alone.

    Raises:
        UsageError: There are several clips, a panel is absent, no name matches the pattern, the
            stated depth is impossible, or the result is too wide.
        MagkitError: There are no frames, one is missing or duplicated, a folder's pictures differ
            in size, or one has no picture for a frame.
    """
    rate, bits = options.rate, options.bits
    source, name = find_frames(folder)
    checked = check_frames(source, options, gaps_hint="--gaps joins the existing frames")
    frames = index_by_name(checked.paths)
    info = read_sidecar(source, plain_info(*checked.size, DEFAULT_RATE, len(frames)))
    shown = [*(find_panels(source, panels) or [source]), *(find_frames(one)[0] for one in others)]
    named = [frames if one.samefile(source) else index_by_name(list_frames(one)) for one in shown]
    columns = [
        _column(one, found, frames, info.height, options)
        for one, found in zip(shown, named, strict=True)
    ]
    if all(column.depth.bits == 8 for column in columns):
        require_8_bit(source, bits)
    deepest = max(column.depth.bits for column in columns) if options.deep else 8
    columns = [replace(column, deep=deepest > 8) for column in columns]
    folders = tuple(dict.fromkeys([source, *shown]))
    timed = info if rate is None else replace(info, rate=rate, times=None)
    return Stitch(
        name,
        replace(
            timed,
            width=_width(columns),
            bits=deepest,
            grey=all(column.grey for column in columns),
        ),
        folders,
        checked.missing,
        tuple(path for one in folders for path in other_files(one)),
        tuple(path for found in named for key, path in found.items() if key not in frames),
        tuple(columns),
    )


def _column(
    folder: Path,
    found: dict[str, Path],
    frames: dict[str, Path],
    height: int,
    options: ReadOptions,
) -> _Column:
    if absent := [path.stem for key, path in frames.items() if key not in found]:
        raise MagkitError(
            f"{folder} has no pictures named {summarize(absent, len(absent))}",
            hint="every frame needs one of its name to stand beside it",
        )
    paths = [found[key] for key in frames]
    headers = read_headers(paths)
    check_sizes(paths, headers)
    size = headers[0].size
    shown = (max(1, round(size[0] * height / size[1])), height)
    grey = all(header.is_grey for header in headers)
    depth = _depth(folder, paths, headers, options.bits)
    return _Column(paths, size, shown, depth, options.deep, grey)


def _depth(
    folder: Path, paths: Sequence[Path], headers: Sequence[ImageHeader], bits: int | None
) -> Depth:
    if not any(header.is_deep for header in headers):
        return Depth(8)
    recorded = read_sidecar(folder, plain_info(*headers[0].size, DEFAULT_RATE)).bits
    return frames_depth(folder, paths, headers, bits, recorded)


def _width(columns: Sequence[_Column]) -> int:
    width = sum(column.shown[0] for column in columns) + GAP * (len(columns) - 1)
    if width > _WIDEST:
        raise UsageError(
            f"side by side the pictures are {width} pixels wide, {_WIDEST} are possible",
            hint="set fewer beside one another, or smaller ones",
        )
    return width


def _scaled(picture: Frame, size: tuple[int, int]) -> Frame:
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
    # Pillow has no colours of 16 bits.
    planes = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(picture, 2, 0)]
    scaled = [np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in planes]
    whole: Frame = np.rint(np.stack(scaled, 2)).astype(np.uint16)
    return whole


def write_stitch(
    stitch: Stitch,
    output: Path,
    options: WriteOptions = WriteOptions(),  # noqa: B008 - it is frozen
    *,
    progress: Progress = silent,
) -> int:
    """Write the frames as `write_video` does, one in memory at a time.

    Returns:
        Number of frames written.

    Raises:
        UsageError: As `write_video`, or the output lies in a folder that is read.
        MagkitError: As `write_video`, or a picture can't be read.
    """
    place = output.absolute().parent.resolve()
    above = [path for path in (output, place, *place.parents) if path.exists()]
    for folder in stitch.folders:
        if any(path.samefile(folder) for path in above):
            raise UsageError(
                f"{output} would be written into {folder}, whose pictures it is made of",
                hint="choose another --output",
            )
    return write_video(output, stitch, stitch.info, options, progress=progress)


def parse_rate(text: str) -> Fraction:
    """Parse frames per second: 24, 12.5, 30000/1001, or 29.97, which is read as the last.

    Raises:
        UsageError: It is no number, or not from 1/1000 to 1000.
    """
    # No exponents and a limited length, as a fraction keeps all digits.
    if not re.fullmatch(r"\d{1,9}(\.\d{0,9}|/0*[1-9]\d{0,8})?", text.strip(), re.ASCII):
        raise UsageError(f"'{text}' is no frame rate", hint="such as 24, 29.97 or 30000/1001")
    rate = Fraction(text.strip())
    if not _SLOWEST <= rate <= _FASTEST:
        raise UsageError(f"a frame rate lies between 0.001 and 1000 a second, not at {text}")
    return rate if "/" in text else snap_rate(rate)
