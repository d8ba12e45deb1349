"""Any clip as a stream of frames: videos through ffmpeg, folders and animated images."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.video.animation import is_picture, open_animation
from magkit.video.ffmpeg import Child, ffmpeg, input_args
from magkit.video.folder import open_folder
from magkit.video.info import VideoInfo
from magkit.video.matroska import declared_size
from magkit.video.probe import Probed, probe

Frame = NDArray[np.uint8]
"""One frame (H, W, 3): RGB, 0-255."""

# Exact rounding and chroma at full resolution: the decoded colours are within a rounding of true.
ACCURATE = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"

# A time in seconds may be a rounded fraction of a frame; a frame within this is not past it.
_TOLERANCE = 1e-5

# Damage seen this close to the end is the end of a file that was cut: decoders with many threads
# run some frames ahead of what they hand out.
_NEAR_END = 40

_LOST_PACKET = "(Error submitting packet to decoder|Decoding error).*"


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A clip, or the part of it with start <= t < end; every iteration reads it from its start.

    Args:
        path: Where it comes from.
        info: Its record; `frames` counts the part.
        start: Seconds, or None.
        end: Seconds, or None.
    """

    path: Path
    info: VideoInfo
    start: float | None
    end: float | None
    _read: Callable[[], Iterator[Frame]]

    def __iter__(self) -> Iterator[Frame]:
        """Stream the frames, (H, W, 3) uint8 RGB. What reads them ends with the iterator.

        Raises:
            MagkitError: The clip breaks off or can't be decoded.
        """
        return self._read()


def open_video(path: Path, *, start: float | None = None, end: float | None = None) -> VideoSource:
    """Open a video file, an animated image or a folder of frames.

    Times count from the clip's start as players show it. Frames come upright. Videos whose frames
    are unevenly spaced give every frame once, at their mean rate.

    Raises:
        UsageError: The part asked for is empty or outside the clip.
        MagkitError: There is no such clip, or it can't be read.
    """
    _check_times(start, end)
    if path.is_dir():
        info, frames = open_folder(path)
        return _indexed(path, info, frames, start, end)
    _check_file(path)
    if is_picture(path):
        info, frames = open_animation(path)
        return _indexed(path, info, frames, start, end)
    probed = probe(path)
    _check_part(path, probed.duration, start, end)
    first, last = _range(probed.info.frames, probed.info.rate, probed.begin, start, end)
    info = replace(probed.info, frames=None if last is None else max(last - first, 0))
    return VideoSource(path, info, start, end, partial(_decode, path, probed, start, end))


def count_frames(path: Path) -> int:
    """How many frames a clip has, by decoding all of it where nothing cheaper is exact."""
    if path.is_file() and not is_picture(path):
        return sum(1 for _ in open_video(path))
    frames = open_video(path).info.frames
    assert frames is not None
    return frames


def _check_file(path: Path) -> None:
    if not path.exists():
        raise MagkitError(f"{path} does not exist")
    if not path.is_file():
        raise MagkitError(f"{path} is neither a file nor a folder")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror}") from error
    if empty:
        raise MagkitError(f"{path} is empty")


def _check_times(start: float | None, end: float | None) -> None:
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{name} must be a time in seconds, 0 or later, not {value:g}")
    if end is not None and end <= (start or 0):
        raise UsageError(f"the end, {end:g} s, must come after the start, {start or 0:g} s")


def _check_part(path: Path, duration: float, start: float | None, end: float | None) -> None:
    # Headers round durations: a tenth of a second beyond the end is still the end.
    for name, value, limit in (("start", start, duration), ("end", end, duration + 0.1)):
        if value is not None and value > limit:
            raise UsageError(f"{name} {value:g} s is past the end of {path} ({duration:.2f} s)")


def _range(
    frames: int | None, rate: Fraction, begin: float, start: float | None, end: float | None
) -> tuple[int, int | None]:
    """The first frame with begin + n / rate >= start, and the first with >= end (or the last)."""

    def index(time: float) -> int:
        return max(0, math.ceil((time - begin - _TOLERANCE) * rate))

    first = index(start or 0)
    last = frames if end is None else index(end)
    return first, last if frames is None or last is None else min(last, frames)


def first_time(probed: Probed, start: float | None) -> float:
    """When the first frame of the part is shown, in seconds from the container's start."""
    first, _ = _range(None, probed.info.rate, probed.begin, start, None)
    return float(probed.begin + first / probed.info.rate)


def _indexed(
    path: Path,
    info: VideoInfo,
    frames: Callable[[int, int], Iterator[Frame]],
    start: float | None,
    end: float | None,
) -> VideoSource:
    """A part of a clip whose frames are counted: the times become indices."""
    assert info.frames is not None
    _check_part(path, float(info.frames / info.rate), start, end)
    first, last = _range(info.frames, info.rate, 0.0, start, end)
    assert last is not None
    if first >= last:
        raise UsageError(f"no frame of {path} lies in the part asked for")
    part = replace(info, frames=last - first)
    return VideoSource(path, part, start, end, partial(frames, first, last))


class _Watcher:
    """Keeps from ffmpeg's log what tells a whole file from one that breaks off."""

    def __init__(self) -> None:
        self.frames = 0
        self.broken = ""
        self._suspect = ""
        self._suspect_at = 0

    def __call__(self, line: str) -> None:
        # Threads of ffmpeg share a line: a decoder's word may stand behind a frame's description.
        before = self.frames
        if match := re.search(r"\] n: *(\d+) pts:", line):
            self.frames = int(match[1]) + 1
        if match := re.search(r"partial file|File ended prematurely", line):
            self.broken = match[0]
        elif before and (match := re.search(_LOST_PACKET, line)):
            # A frame is missing, and with it the time of all that follow. (Before the first frame
            # it is a recording that starts between two key frames, and that is no damage.)
            self.broken = match[0]
        elif match := re.search(r"corrupt (decoded frame|input packet)|Packet corrupt", line):
            self._suspect, self._suspect_at = match[0], self.frames

    def verdict(self) -> str:
        """Why the file is taken as cut, or an empty string."""
        near = self.frames - self._suspect_at <= _NEAR_END
        return self.broken or (self._suspect if near else "")


def _decode(path: Path, probed: Probed, start: float | None, end: float | None) -> Iterator[Frame]:
    shape = (probed.info.height, probed.info.width, 3)
    watcher = _Watcher()
    read = 0
    with ffmpeg(_decode_args(path, probed, start, end), watch=watcher) as child:
        while (frame := _read_frame(child, shape)) is not None:
            read += 1
            yield frame
        status = child.finish()
        problem = watcher.verdict() or (child.cause() if status else _shortage(path))
        if problem and not _complete(read, probed, start, end):
            raise MagkitError(
                f"{path} breaks off after {read} frames: {problem}",
                hint="copy the file once more, or end before the break with --end",
            )
    if not read:
        raise UsageError(f"no frame of {path} lies in the part asked for")


def _shortage(path: Path) -> str:
    promised = declared_size(path) or 0
    missing = promised - path.stat().st_size
    return f"the file should have {promised} bytes, {missing} more" if missing > 0 else ""


def _complete(read: int, probed: Probed, start: float | None, end: float | None) -> bool:
    """Whether the part asked for is here, though the file is broken further on."""
    if end is None:
        return False
    first, last = _range(None, probed.info.rate, probed.begin, start, end)
    return last is not None and read >= last - first


def _decode_args(path: Path, probed: Probed, start: float | None, end: float | None) -> list[str]:
    info = probed.info
    scale = (
        f"scale={info.width}:{info.height}:in_color_matrix={info.color_matrix}"
        f":in_range={probed.decode_range}:out_range=pc:flags={ACCURATE}"
    )
    chain = [*_select(start, end), "showinfo=checksum=0", scale, "format=rgb24"]
    raw = ["-map", "0:V:0", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]
    return [*_seek(probed, start), *input_args(path), "-vf", ",".join(chain), *raw]


def _select(start: float | None, end: float | None) -> list[str]:
    """Filters that pass the frames with start <= t < end, each judged by its own timestamp."""
    chain = []
    if end is not None:
        # Stops the reading; the exact end is the expression's.
        chain.append(f"trim=end={end + 1:.6f}")
    conditions = [] if start is None else [f"gte(t,{start - _TOLERANCE:.9f})"]
    conditions += [] if end is None else [f"lt(t,{end - _TOLERANCE:.9f})"]
    return [*chain, f"select='{'*'.join(conditions)}'"] if conditions else chain


def _seek(probed: Probed, start: float | None) -> list[str]:
    """Skip to a key frame well before the start, where the container's index can be trusted."""
    if start is None or start < 5 or not re.match("mov|matroska", probed.container):
        return []
    # The timestamps stay those of the whole file, so a seek that is off selects nothing wrong.
    return ["-noaccurate_seek", "-ss", f"{start - 3:.6f}", "-copyts", "-start_at_zero"]


def _read_frame(child: Child, shape: tuple[int, int, int]) -> Frame | None:
    """The next whole frame, or None at the end."""
    frame = np.empty(shape, np.uint8)
    pipe = child.process.stdout
    assert pipe is not None
    view, filled = frame.data.cast("B"), 0
    while filled < len(view):
        got: int = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            return None
        filled += got
    return frame
