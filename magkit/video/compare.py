"""A clip and what became of it: side by side under labels, and one line of pixels over time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from magkit.errors import UsageError
from magkit.runtime.files import atomic_path
from magkit.video.depth import scale_values
from magkit.video.info import Frame, VideoInfo
from magkit.video.stitch import side_by_side, time_slice

GAP = 8  # white pixels between the pictures
SMALLEST, LARGEST = 9, 40  # pixels: size of the labels' letters
SLICE_LENGTH = 600  # pixels of time at least, in a picture of a line over time


def compared_info(info: VideoInfo) -> VideoInfo:
    """Return the record of the clip that `compared` makes."""
    return replace(info, width=2 * info.width + GAP, height=info.height + _strip_height(info))


def compared(
    before: Iterable[Frame], after: Iterable[Frame], info: VideoInfo, labels: tuple[str, str]
) -> Iterator[Frame]:
    """Yield frames of two clips side by side under a strip with a label for each.

    Args:
        before: (H, W, 3), shown on the left.
        after: as many, of the same size and type.
        info: the record of either.
        labels: of both.

    Raises:
        ValueError: one has more frames than the other.
    """
    strip = None
    for pair in zip(before, after, strict=True):
        if strip is None:
            white = np.iinfo(pair[0].dtype).max
            strip = (_strip(info, labels) / 255 * white).round().astype(pair[0].dtype)
        yield np.concatenate([strip, side_by_side(pair, GAP)])


def right_halves(frames: Iterable[Frame], info: VideoInfo) -> Iterator[Frame]:
    """Yield the right of the two pictures that `compared` put into each frame.

    Args:
        frames: of the clip that it made.
        info: the record of either picture.
    """
    for frame in frames:
        yield frame[-info.height :, -info.width :]


def _letters(info: VideoInfo) -> int:
    """Return the letters' size: a twentieth of the height, but labels must fit."""
    return max(SMALLEST, min(info.height // 20, info.width // 5, LARGEST))


def _strip_height(info: VideoInfo) -> int:
    # An even number keeps even heights, which 4:2:0 needs, even.
    return 2 * round(0.8 * _letters(info))


def _strip(info: VideoInfo, labels: tuple[str, str]) -> NDArray[np.uint8]:
    """Draw the labels in black on white, (h, 2W + gap, 3)."""
    width, height = 2 * info.width + GAP, _strip_height(info)
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_letters(info))
    for number, label in enumerate(labels):
        place = (number * (info.width + GAP) + info.width / 2, height / 2)
        draw.text(place, label, "black", font, anchor="mm")
    return np.asarray(image)


@dataclass(frozen=True, slots=True)
class Line:
    """A column or a row of a frame's pixels, counted from 0 at the left or at the top."""

    along: Literal["row", "column"]
    position: int

    def __str__(self) -> str:
        return f"{'x' if self.along == 'column' else 'y'}={self.position}"

    def check_size(self, height: int, width: int) -> None:
        """Raise UsageError unless frames of a size have the line."""
        size = width if self.along == "column" else height
        if not 0 <= self.position < size:
            raise UsageError(
                f"the frame has no line {self}",
                f"{str(self)[0]} runs from 0 to {size - 1}",
            )


def parse_line(text: str) -> Line:
    """Parse a line written x=N, a column, or y=N, a row.

    Raises:
        UsageError: the text has another form.
    """
    found = re.fullmatch(r"([xy])=(\d{1,6})", text.strip().lower(), re.ASCII)
    if found is None:
        raise UsageError(f"'{text}' is no line of pixels", "x=120 is a column, y=80 a row")
    return Line("column" if found[1] == "x" else "row", int(found[2]))


def save_slices(
    path: Path,
    before: Iterable[Frame],
    after: Iterable[Frame],
    line: Line,
    *,
    overwrite: bool = False,
) -> None:
    """Write a picture of a line of pixels over time, of one clip above that of another.

    Time runs to the right; a row is turned, so that its left end is at the top. Both clips are as
    wide, however many frames they have.

    Args:
        path: a PNG file, written atomically.
        before: (H, W, 3), shown above.
        after: likewise, shown below.
        line: which pixels.
        overwrite: whether an existing file is replaced.

    Raises:
        MagkitError: the file exists or can't be written, or there are no frames.
    """
    slices = [_over_time(frames, line) for frames in (before, after)]
    length = len(slices[0]) * max(1, SLICE_LENGTH // len(slices[0]))
    # A clip that was written at another rate has another number of frames.
    stretched = [each[np.arange(length) * len(each) // length] for each in slices]
    picture = side_by_side(stretched, GAP).swapaxes(0, 1)
    with atomic_path(path, overwrite=overwrite) as temporary:
        Image.fromarray(np.ascontiguousarray(picture)).save(temporary, "PNG")


def _over_time(frames: Iterable[Frame], line: Line) -> NDArray[np.uint8]:
    """Return the line of every frame, (T, length, 3), in 8 bits."""
    lines = time_slice(frames, line.position, line.along)
    lines = lines if line.along == "row" else lines.swapaxes(0, 1)
    return scale_values(lines, np.iinfo(lines.dtype).max, deep=False)
