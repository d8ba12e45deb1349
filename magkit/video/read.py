"""Clips opened as streams of frames: videos, recordings, animated images, folders of frames."""

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from magkit.errors import MagkitError, UsageError
from magkit.video.animation import open_animation
from magkit.video.cine import open_cine
from magkit.video.decode import FrameRange, decode
from magkit.video.folder import open_folder
from magkit.video.formats import clip_format
from magkit.video.info import Frame, FrameRangeReader, ReadOptions, VideoInfo
from magkit.video.npy import open_npy
from magkit.video.photron import open_photron
from magkit.video.probe import probe
from magkit.video.sound import Sound

_log = logging.getLogger(__name__)

# Of times that are rounded fractions of a frame: seconds, and at most a part of a frame.
_TOLERANCE, _TOLERANCE_FRAMES = 1e-5, 0.1
_END_TOLERANCE = 0.1  # seconds, for ends taken from rounded durations
_MAX_DURATION = 1e9  # seconds that ffmpeg can still count

_RECORDINGS = {"Photron": open_photron, "Cine": open_cine, "NumPy": open_npy}


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A clip, or the part of it with start <= t < end; each iteration reads it from its start.

    Args:
        path: Of the file or folder.
        info: The record of the part.
        sound: The sound tracks of the part, if any.
    """

    path: Path
    info: VideoInfo
    sound: Sound | None
    _read: Callable[[], Iterator[Frame]]

    def __iter__(self) -> Iterator[Frame]:
        """Stream the frames, (H, W, 3) RGB; the decoder ends with the iterator.

        Raises:
            MagkitError: The clip is truncated or can't be decoded.
        """
        return self._read()


def open_video(
    path: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
    *,
    start: float | None = None,
    end: float | None = None,
) -> VideoSource:
    """Open a video, a recording of a high-speed camera, an animated image or a folder of frames.

    Times count from the clip's start as players show it. Frames are rotated upright; transparent
    pixels are composited on black.

    Args:
        path: The clip. All its packets are read once for their times; few frames are decoded.
        options: How it is read.
        start: Seconds; the part begins with the first frame at or after it.
        end: Seconds; the part ends before the first frame at or after it. A warning tells of an
            end past the clip; longer sound continues to this time.

    Raises:
        UsageError: The part is empty or begins after the clip.
        MagkitError: The clip doesn't exist or can't be read.
    """
    _check_times(start, end)
    if path.is_dir():
        info, frames = open_folder(path, options)
        return _still_frames(path, info, frames, start, end)
    _check_file(path)
    kind = clip_format(path)
    if kind is None:
        return _open_file(path, options, start, end)
    if kind in _RECORDINGS:
        info, frames = _RECORDINGS[kind](path, options)
    else:
        info, frames = open_animation(path, kind, options)
    return _still_frames(path, _with_rate(path, info, options.rate), frames, start, end)


def _open_file(
    path: Path, options: ReadOptions, start: float | None, end: float | None
) -> VideoSource:
    """Open a part of a video file."""
    probed = probe(path)
    info, rate, deinterlace = probed.info, options.rate, options.deinterlace
    if not probed.timed and rate is None:
        _log.warning(
            "%s tells no times: its frames are taken as %g a second (--fps states another rate)",
            *(path, info.rate),
        )
    if info.interlaced and not deinterlace:
        _log.warning("%s is interlaced: edges comb where it moves (see --deinterlace)", path)
    if deinterlace and not info.interlaced:
        _log.warning("%s isn't marked as interlaced: --deinterlace may blur what is whole", path)
    stated = _with_rate(path, info, rate)
    first, last = _frame_range(path, stated, probed.begin, start, end)
    tracks = probed.tracks
    if tracks and stated is not info:
        _log.warning("%s: the sound doesn't fit the stated rate and is left out", path)
        tracks = ()
    sound = Sound(
        path,
        probed.container,
        tracks,
        probed.begin + stated.time_of(first),
        stated.time_of(first),
        None if end is None else _sound_length(stated, first, last, end - probed.begin),
    )
    record = replace(stated.part(first, last), interlaced=info.interlaced and not deinterlace)
    frames = partial(decode, FrameRange(path, probed, first, last, options))
    return VideoSource(path, record, sound if tracks else None, frames)


def _sound_length(info: VideoInfo, first: int, last: int, end: float) -> float:
    """Seconds of sound of frames first <= n < last: up to `end`, even past the last frame.

    Args:
        info: The record of the whole clip.
        first: The first frame.
        last: The frame after the last.
        end: Seconds from the clip's first frame.
    """
    return max(info.time_of(last), min(end, _MAX_DURATION)) - info.time_of(first)


def _with_rate(path: Path, info: VideoInfo, rate: Fraction | None) -> VideoInfo:
    """The record with another constant rate, if the frames are evenly spaced."""
    if rate is None or rate == info.rate or info.times is not None:
        return info
    _log.info("%s: taken as %g frames a second, not %g", *(path, rate, info.rate))
    return replace(info, rate=rate)


def count_frames(path: Path) -> int:
    """Count the frames of a clip; a video file is decoded."""
    video = open_video(path)
    if path.is_file() and clip_format(path) is None:
        return sum(1 for _ in video)
    assert video.info.frames is not None
    return video.info.frames


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


def _frame_range(
    path: Path, info: VideoInfo, begin: float, start: float | None, end: float | None
) -> tuple[int, int]:
    """The first frame with begin + time >= start, and the first with begin + time >= end."""
    assert info.frames is not None
    duration = begin + info.duration
    if start is not None and start > duration:
        raise UsageError(f"start {start:g} s is past the end of {path} ({duration:.2f} s)")
    first = 0 if start is None else _number(info, start - begin)
    last = info.frames if end is None else _number(info, end - begin)
    if first >= last:
        raise UsageError(f"no frame of {path} lies in the part asked for")
    if end is not None and end > duration + _END_TOLERANCE:
        _log.warning("%s: its picture ends at %.2f s, before the end %g s", path, duration, end)
    return first, last


def _number(info: VideoInfo, time: float) -> int:
    """The first frame at or after `time`, or the number of frames."""
    assert info.frames is not None
    if info.times is not None:
        return bisect_left(info.times, time - _TOLERANCE, hi=info.frames)
    tolerance = min(_TOLERANCE * info.rate, _TOLERANCE_FRAMES)
    return min(max(0, math.ceil(time * info.rate - tolerance)), info.frames)


def _still_frames(
    path: Path,
    info: VideoInfo,
    frames: FrameRangeReader,
    start: float | None,
    end: float | None,
) -> VideoSource:
    """A part of a clip of pictures, which are read by their numbers."""
    first, last = _frame_range(path, info, 0.0, start, end)
    return VideoSource(path, info.part(first, last), None, partial(frames, first, last))
