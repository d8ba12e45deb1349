"""Clips in memory: arrays, tensors and iterables of frames, opened like clips on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.video.depth import Depth, find_depth, require_8_bit
from magkit.video.info import DEFAULT_RATE, Frame, ReadOptions, VideoInfo, plain_info, snap_rate
from magkit.video.npy import as_integers
from magkit.video.read import VideoSource, open_video

if TYPE_CHECKING:
    from torch import Tensor

Source: TypeAlias = "str | PathLike[str] | VideoSource | NDArray[Any] | Tensor | Iterable[Any]"
"""A clip: its path, an opened one, an array (T, H, W) or (T, H, W, 3), or an iterable of frames.

Values are uint8, uint16, or floats from 0, black, to 1, white; colours are RGB.
"""

Rate: TypeAlias = int | float | Fraction

NAME = "<frames>"
"""Stands for the path of a clip in memory; no file has it."""

DTYPES = (np.uint8, np.uint16, np.float16, np.float32, np.float64)
FULL = 65535
FINEST = 1_000_000  # denominator of a rate


@dataclass(frozen=True, slots=True)
class Kind:
    """What frames in memory are like.

    Attributes:
        dtype: of their values.
        grey: whether they are (H, W), not (H, W, 3).
        depth: how their values are read.
    """

    dtype: np.dtype[Any]
    grey: bool
    depth: Depth

    def restore(self, frame: Frame) -> NDArray[Any]:
        """Return an RGB frame as one of this kind; as a grey one, the mean of the colours."""
        values, full = frame.mean(2) if self.grey else frame, np.iinfo(frame.dtype).max
        if self.dtype.kind == "f":
            return (values / full).astype(self.dtype)
        if self.dtype != np.uint8:
            values = values * (self.depth.white / full)
        return np.rint(values).astype(self.dtype)


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that is opened.

    Attributes:
        video: its frames as RGB of 8 or 16 bits.
        held: whether all of it is in memory.
        kind: of frames in memory; None: it is a file.
    """

    video: VideoSource
    held: bool = False
    kind: Kind | None = None

    @property
    def timeless(self) -> bool:
        """Whether frames come without times, in memory."""
        return self.kind is not None

    def restore(self, frame: Frame) -> NDArray[Any]:
        """Return a frame, such as those of `video`, as the source has them."""
        return frame if self.kind is None else self.kind.restore(frame)

    def with_frames(self, frames: NDArray[Any], info: VideoInfo) -> VideoSource:
        """Return a clip of other frames of the same kind, with the same sound."""
        read = partial(iter, frames)
        if self.kind is not None:
            read = partial(_converted, frames, self.kind.depth)
        return replace(self.video, path=Path(NAME), info=info, _read=read)


def open_source(
    source: Source,
    fps: Rate | None = None,
    *,
    bits: int | None = None,
    start: float | None = None,
    end: float | None = None,
) -> Opened:
    """Open a clip on disk or in memory.

    Args:
        source: what `Source` describes.
        fps: frames per second of a clip that states none, or a wrong one. A clip in memory has
            `DEFAULT_RATE` without it.
        bits: significant bits of 16-bit values, 8 to 16.
        start: seconds; of files, see `open_video`.
        end: likewise.

    Raises:
        UsageError: it is no clip: its shape, its type or its values aren't those of frames; or an
            option isn't of such a source.
        MagkitError: a file can't be read.
    """
    rate = None if fps is None else exact_rate(fps)
    if isinstance(source, VideoSource):
        if any(each is not None for each in (fps, bits, start, end)):
            raise UsageError("fps, bits, start and end are asked for when a clip is opened")
        return Opened(source)
    if isinstance(source, str | PathLike):
        options = ReadOptions(rate=rate, deep=True, bits=bits)
        return Opened(open_video(Path(source), options, start=start, end=end))
    if start is not None or end is not None:
        raise UsageError("start and end are of files", "take a part of the array: frames[20:80]")
    if hasattr(source, "__array__"):
        return _open_array(as_array(source), rate, bits)
    if isinstance(source, Iterable):
        return _open_iterable(source, rate, bits)
    raise UsageError(
        f"a {type(source).__name__} is no clip",
        "give a path, an array of frames, or a list of them",
    )


def exact_rate(fps: Rate) -> Fraction:
    """Return a rate in frames per second as a fraction; 29.97 is 30000/1001.

    Raises:
        UsageError: it isn't above 0.
    """
    check_rate(fps)
    rate = fps if isinstance(fps, Fraction) else Fraction(str(fps))
    return snap_rate(rate) if rate.denominator <= 1001 else rate.limit_denominator(FINEST)


def check_rate(fps: Rate | None) -> None:
    """Raise UsageError unless a frame rate is a number above 0, or None."""
    if fps is None:
        return
    if not isinstance(fps, Real):
        raise UsageError(f"the frame rate must be a number, not {fps!r}")
    if not 0 < fps < float("inf"):
        raise UsageError(f"the frame rate must be above 0, not {float(fps):g}")


def as_array(values: Any) -> NDArray[Any]:
    """Return an array of what has values, such as a tensor on any device.

    Raises:
        UsageError: it can't be one.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # of torch's bfloat16, for example
        raise UsageError(f"the frames are no array: {error}", "convert them: .float()") from error


def _open_array(array: NDArray[Any], rate: Fraction | None, bits: int | None) -> Opened:
    shape = array.shape
    colour = len(shape) == 4 and shape[3] == 3
    if not colour and (len(shape) != 3 or shape[2] in (1, 3, 4)):
        raise UsageError(f"an array of the shape {shape} is no clip", _shape_hint(shape))
    if not array.size:
        raise UsageError(f"an array of the shape {shape} has no frames")
    if len(array) == 1:
        raise _single()
    check_dtype(array.dtype)
    depth = _depth(array, bits)
    info = plain_info(shape[2], shape[1], rate or DEFAULT_RATE, shape[0])
    return _opened(info, depth, array[0], partial(_converted, array, depth), held=True)


def _shape_hint(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4)):
        return "this is one picture; frames have the shape (T, H, W), in colour (T, H, W, 3)"
    if len(shape) == 4 and shape[1] in (1, 3):
        return "(T, H, W) or (T, H, W, 3): the channels come last, numpy.moveaxis(frames, 1, -1)"
    if len(shape) == 4 and shape[3] == 1:
        return "greys have the shape (T, H, W): frames[..., 0]"
    return "(T, H, W), or (T, H, W, 3) in RGB; frames[..., :3] leaves out transparency"


def _single() -> UsageError:
    return UsageError("there is only one frame, which shows no motion")


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Raise UsageError unless frames of a type can be read."""
    if dtype.newbyteorder("=") not in DTYPES:
        hint = "whole numbers up to 255: .astype(numpy.uint8)" if dtype.kind in "iu" else ""
        raise UsageError(
            f"frames are uint8, uint16, or floats from 0 to 1, not {dtype}",
            hint or "greys from 0, black, to 1, white",
        )


def _depth(frames: NDArray[Any], bits: int | None) -> Depth:
    """Return how values are read; frames (T, ...), of which some are looked at."""
    if frames.dtype == np.uint8:
        return require_8_bit("the array", bits)
    if frames.dtype.kind == "f":
        if bits is not None:
            raise UsageError("floats run from 0 to 1, whatever the depth", "leave out bits")
        return Depth(16)
    places = np.linspace(0, len(frames) - 1, min(len(frames), 16)).astype(int)
    return find_depth("the array", [None] * len(places), bits, lambda n: frames[places[n]])


def _opened(
    info: VideoInfo,
    depth: Depth,
    first: NDArray[Any],
    read: Callable[[], Iterator[Frame]],
    *,
    held: bool,
) -> Opened:
    video = VideoSource(
        Path(NAME), replace(info, bits=depth.bits, grey=first.ndim == 2), None, read
    )
    return Opened(video, held, Kind(first.dtype, first.ndim == 2, depth))


def _converted(frames: Iterable[Any], depth: Depth) -> Iterator[Frame]:
    """Yield frames as RGB of the depth's integers."""
    kind: tuple[tuple[int, ...], np.dtype[Any]] | None = None
    for number, values in enumerate(frames):
        frame = as_array(values)
        kind = kind or (frame.shape, frame.dtype)
        if (frame.shape, frame.dtype) != kind:
            raise UsageError(
                f"frame {number + 1} is {frame.dtype} of the shape {frame.shape}, and the first "
                f"{kind[1]} of {kind[0]}"
            )
        try:
            yield depth.frame(as_integers(frame, number), deep=depth.bits > 8)
        except MagkitError as error:
            raise UsageError(error.message, error.hint) from error


class _Frames:
    """The frames of an iterable. An iterator is read once, but its first frames again and again."""

    def __init__(self, source: Iterable[Any]) -> None:
        stream = iter(source)
        self.opening = [as_array(each) for each in islice(stream, 2)]
        self._source = source
        self._rest: Iterator[Any] | None = stream if stream is source else None
        self._begun = False

    def __iter__(self) -> Iterator[Any]:
        if self._rest is None:
            yield from self._source
            return
        yield from self.opening
        if self._begun:
            raise UsageError("these frames can be read only once", "give a list or an array")
        self._begun = True
        yield from self._rest


def _open_iterable(source: Iterable[Any], rate: Fraction | None, bits: int | None) -> Opened:
    frames = _Frames(source)
    if len(frames.opening) < 2:
        raise _single() if frames.opening else UsageError("there are no frames")
    first = frames.opening[0]
    if not first.size or not (first.ndim == 2 or (first.ndim == 3 and first.shape[2] == 3)):
        raise UsageError(
            f"a frame of the shape {first.shape} is no picture", "(H, W), or (H, W, 3) in RGB"
        )
    check_dtype(first.dtype)
    depth = _depth(first[None], bits)
    count = len(source) if isinstance(source, Sized) else None
    info = plain_info(first.shape[1], first.shape[0], rate or DEFAULT_RATE, count)
    read = partial(_converted, frames, depth)
    return _opened(info, depth, first, read, held=count is not None)
