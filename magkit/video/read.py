"""Any clip as a stream of frames: videos through ffmpeg, folders and animated images."""

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from magkit.errors import MagkitError, UsageError
from magkit.video.animation import is_picture, is_stack, open_animation
from magkit.video.decode import Part, decode
from magkit.video.folder import open_folder
from magkit.video.info import Frame, VideoInfo
from magkit.video.probe import probe
from magkit.video.sound import Sound

_log = logging.getLogger(__name__)

# A time in seconds may be a rounded fraction of a frame; a frame within this is not past it.
_TOLERANCE = 1e-5

# Programs round the durations that they show: an end this much too late is meant as the end.
_ROUNDED = 0.1  # seconds

_FOREVER = 1e9  # seconds that no clip lasts, and that ffmpeg can still count


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A clip, or the part of it with start <= t < end; every iteration reads it from its start.

    Args:
        path: Where it comes from.
        info: The record of the part.
        sound: The sound that goes with the part, if there is any.
    """

    path: Path
    info: VideoInfo
    sound: Sound | None
    _read: Callable[[], Iterator[Frame]]

    def __iter__(self) -> Iterator[Frame]:
        """Stream the frames, (H, W, 3) RGB. What reads them ends with the iterator.

        Raises:
            MagkitError: The clip breaks off or can't be decoded.
        """
        return self._read()


def open_video(
    path: Path,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: Fraction | None = None,
    deep: bool = False,
    deinterlace: bool = False,
    pattern: str = "*",
    gaps: bool = False,
    bits: int | None = None,
) -> VideoSource:
    """Open a video file, an animated image or a folder of frames.

    Times count from the clip's start as players show it. Frames come upright, and what is
    transparent in them lies over black.

    Args:
        path: The clip. It is read through once for the times of its frames; few are decoded.
        start: Seconds; the part begins with the first frame that comes no earlier.
        end: Seconds; the part ends before the first frame that comes no earlier, or with the clip,
            and then a warning tells where that is. Sound that is longer goes on to this time.
        rate: Frames a second of a clip that tells none or a wrong one. Unevenly spaced frames keep
            their times.
        deep: Whether frames of more than 8 bits come as uint16, 65535 the brightest; else all come
            as uint8.
        deinterlace: Whether frames of a video that hold two fields are made whole (bwdif).
        pattern: A glob on the names of a folder's frames; what doesn't match is left out.
        gaps: Whether numbers may be missing in a folder; frames come at the times of theirs.
        bits: How many of 16 bits pictures use, where they don't tell.

    Raises:
        UsageError: The part asked for is empty or begins after the clip.
        MagkitError: There is no such clip, or it can't be read.
    """
    _check_times(start, end)
    if path.is_dir():
        info, frames = open_folder(
            path, pattern=pattern, bits=bits, gaps=gaps, deep=deep, rate=rate
        )
        return _counted(path, info, frames, start, end)
    _check_file(path)
    if is_picture(path):
        # A stack has no times that a rate would contradict; an animation keeps its own.
        stated = rate if is_stack(path) else None
        info, frames = open_animation(path, bits=bits, deep=deep, rate=stated)
        return _counted(path, _restated(path, info, rate), frames, start, end)
    return _video(path, start, end, rate, deep, deinterlace)


def _video(
    path: Path,
    start: float | None,
    end: float | None,
    rate: Fraction | None,
    deep: bool,
    deinterlace: bool,
) -> VideoSource:
    """A part of a video file."""
    probed = probe(path)
    info = probed.info
    if not probed.timed and rate is None:
        _log.warning(
            "%s tells no times: its frames are taken as %g a second (--fps states another rate)",
            *(path, info.rate),
        )
    if info.interlaced and not deinterlace:
        _log.warning("%s is interlaced: edges comb where it moves (see --deinterlace)", path)
    if deinterlace and not info.interlaced:
        _log.warning("%s isn't marked as interlaced: --deinterlace may blur what is whole", path)
    stated = _restated(path, info, rate)
    first, last = _part(path, stated, probed.begin, start, end)
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
    part = Part(path, probed, first, last, deep, deinterlace)
    return VideoSource(path, record, sound if tracks else None, partial(decode, part))


def _sound_length(info: VideoInfo, first: int, last: int, end: float) -> float:
    """How many seconds the sound of a part lasts: to the end that was asked for, past the frames.

    Args:
        info: The record of the whole clip.
        first: The part's first frame.
        last: The frame after it.
        end: Seconds from the clip's first frame.
    """
    return max(info.time_of(last), min(end, _FOREVER)) - info.time_of(first)


def _restated(path: Path, info: VideoInfo, rate: Fraction | None) -> VideoInfo:
    """The record with another constant rate, where the frames are evenly spaced."""
    if rate is None or rate == info.rate or info.times is not None:
        return info
    _log.info("%s: taken as %g frames a second, not %g", *(path, rate, info.rate))
    return replace(info, rate=rate)


def count_frames(path: Path) -> int:
    """How many frames a clip has, by decoding all of it where nothing cheaper is exact."""
    video = open_video(path)
    if path.is_file() and not is_picture(path):
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


def _part(
    path: Path, info: VideoInfo, begin: float, start: float | None, end: float | None
) -> tuple[int, int]:
    """The numbers of the first frame with begin + time >= start, and of the first with >= end."""
    assert info.frames is not None
    duration = begin + info.duration
    if start is not None and start > duration:
        raise UsageError(f"start {start:g} s is past the end of {path} ({duration:.2f} s)")
    first = 0 if start is None else _number(info, start - begin)
    last = info.frames if end is None else _number(info, end - begin)
    if first >= last:
        raise UsageError(f"no frame of {path} lies in the part asked for")
    if end is not None and end > duration + _ROUNDED:
        _log.warning("%s: its picture ends at %.2f s, before the end %g s", path, duration, end)
    return first, last


def _number(info: VideoInfo, time: float) -> int:
    """The number of the first frame that comes no earlier, or how many there are."""
    assert info.frames is not None
    if info.times is not None:
        return bisect_left(info.times, time - _TOLERANCE, hi=info.frames)
    return min(max(0, math.ceil((time - _TOLERANCE) * info.rate)), info.frames)


def _counted(
    path: Path,
    info: VideoInfo,
    frames: Callable[[int, int], Iterator[Frame]],
    start: float | None,
    end: float | None,
) -> VideoSource:
    """A part of a clip without sound, whose frames are read by their numbers."""
    first, last = _part(path, info, 0.0, start, end)
    return VideoSource(path, info.part(first, last), None, partial(frames, first, last))
