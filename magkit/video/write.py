"""Clips written atomically to a video file, a GIF, a TIFF stack or a folder of PNG frames."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import IO

import numpy as np

from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.runtime.files import atomic_path
from magkit.video.decode import MATROSKA_TICK
from magkit.video.depth import grey_levels, scale_values
from magkit.video.encode import (
    CONTAINERS,
    GIF_MAX_RATE,
    WriteOptions,
    choose_encoding,
    color_args,
    frame_header,
    picture_filter,
    raw_pixels,
    stream_header,
    to_ycbcr,
)
from magkit.video.ffmpeg import SCALE_FLAGS, ffmpeg
from magkit.video.folder import SIDECAR, write_frame, write_sidecar
from magkit.video.frame_names import list_frames
from magkit.video.info import Frame, VideoInfo, resample, resampled_info
from magkit.video.sound import Sound, sound_args
from magkit.video.stack_writer import STACKS, write_stack

_log = logging.getLogger(__name__)


def write_video(
    path: Path,
    frames: Iterable[Frame],
    info: VideoInfo,
    options: WriteOptions = WriteOptions(),  # noqa: B008 - it is frozen
    *,
    sound: Sound | None = None,
    source: Path | None = None,
    progress: Progress = silent,
) -> int:
    """Write a clip of exactly these frames, times, size, pixel aspect and colours.

    The suffix chooses the container: mp4, m4v, mov, mkv, webm, gif, or tif and tiff for a stack;
    without one the result is a folder of PNG frames with a sidecar. Frames are streamed.

    Args:
        path: The output; its parent folders are created.
        frames: (H, W, 3) RGB of the size in `info`: uint8, or uint16, which are written with 10
            bits (8 in a gif, 16 in a folder or stack).
        info: The record; its `frames` is only the total that `progress` is given.
        options: How it is written.
        sound: The sound to copy.
        source: The clip that the frames are made from, which is never overwritten; None: the file
            of the sound.
        progress: Called after every frame.

    Returns:
        Number of frames written.

    Raises:
        UsageError: The suffix is unknown, or the container doesn't support the options.
        MagkitError: The result exists or can't be written, or there are no frames.
    """
    if source is None and sound is not None:
        source = sound.path
    check_output(path, source, overwrite=options.overwrite)
    stream, info = _spaced(path, _checked(frames, info, progress), info, options.rate)
    suffix = path.suffix.lower()
    if _is_folder(path) or suffix in STACKS:
        return _write_lossless(path, stream, info, options)
    _warn_of_shared_ticks(path, info)
    first, stream = _first(stream)
    deep = first.dtype == np.uint16
    encoding = choose_encoding(suffix, info, options, deep=deep)
    with atomic_path(path, overwrite=options.overwrite) as temporary:
        info = info if "10" in encoding.pixels else replace(info, hdr=None)
        pixels = raw_pixels(encoding, deep=deep)
        before, output, after = sound_args(sound, suffix, options.audio)
        chain = picture_filter(encoding, info, SCALE_FLAGS, pixels)
        picture = ["-filter_complex", f"[0:v]{chain}[v]"]
        picture += ["-map", "[v]", "-fps_mode", "passthrough", *_time_base(suffix, info)]
        coded = [*encoding.codec, *color_args(encoding, info), *_container_args(suffix)]
        target = [*picture, *coded, *output, f"file:{temporary.absolute()}"]
        arguments = ["-y", *_raw_input(info, pixels), *before, *target, *after]
        return _encode(arguments, _raw(stream, info, pixels), info, pixels, path)


def _write_lossless(
    path: Path, stream: Iterator[Frame], info: VideoInfo, options: WriteOptions
) -> int:
    """Write a folder of PNG frames, or a TIFF stack."""
    if options.quality is not None or options.pix_fmt is not None:
        raise UsageError(
            "folders of PNG frames and TIFF stacks are lossless: they have no quality or pixel "
            "format to set"
        )
    if _is_folder(path):
        with atomic_path(path, kind="folder", overwrite=options.overwrite) as folder:
            return _write_folder(folder, _first(stream)[1], info)
    if info.times is not None:
        raise UsageError(
            f"{path} can't keep the times of unevenly spaced frames",
            hint="--fps RATE writes a video at a constant rate; a folder of PNG frames keeps times",
        )
    if info.pixel_aspect != 1:
        _log.warning("%s: a TIFF stack keeps no pixel aspect, here %s", path, info.pixel_aspect)
    with atomic_path(path, overwrite=options.overwrite) as temporary:
        return write_stack(temporary, _first(stream)[1], info)


def _spaced(
    path: Path, stream: Iterator[Frame], info: VideoInfo, rate: Fraction | None
) -> tuple[Iterator[Frame], VideoInfo]:
    """The frames and their record, resampled if a constant rate is requested or needed."""
    if info.times is None:
        return stream, info
    if rate is None and path.suffix.lower() == ".gif":
        hundredths = [round(100 * time) for time in info.times]
        if min(b - a for a, b in pairwise(hundredths)) * GIF_MAX_RATE < 100:
            rate = GIF_MAX_RATE
    if rate is None:
        if path.suffix.lower() not in STACKS:
            _log.info("%s: frames are unevenly spaced; each keeps its time", path)
        return stream, info
    _log.info("%s: unevenly spaced frames, written at %g frames a second", path, rate)
    return resample(stream, info.times, rate), resampled_info(info, rate)


def _warn_of_shared_ticks(path: Path, info: VideoInfo) -> None:
    """Warn of frames that are closer than ffmpeg's tick in Matroska."""
    if path.suffix.lower() in {".mkv", ".webm"} and info.shortest_step < MATROSKA_TICK - 1e-6:
        _log.warning(
            "%s: some frames are less than 1 ms apart, and %s counts time in 1 ms: their times are "
            "rounded, and some are equal; mp4 and mov keep them",
            path, path.suffix,
        )  # fmt: skip


def check_output(path: Path, source: Path | None = None, *, overwrite: bool = False) -> None:
    """Check an output before any work is done for it.

    Raises:
        UsageError: Its suffix is unknown, or it is or holds the source.
        MagkitError: It exists and must not be replaced.
    """
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise UsageError(f"the output {path} is the input itself", hint="choose another output")
    folder = _is_folder(path)
    if source is not None and folder and path.is_dir() and _holds(path, source):
        raise UsageError(f"the output {path} holds the input", hint="choose another output")
    if not folder and path.suffix.lower() not in (*CONTAINERS, *STACKS):
        raise UsageError(
            f"{path.suffix} is no format that magkit writes",
            hint=f"{', '.join((*CONTAINERS, *STACKS))}, or no suffix for a folder of frames",
        )
    if path.exists() and not overwrite:
        raise MagkitError(f"{path} exists", hint="--overwrite replaces it")
    if folder and path.exists():
        _check_replaceable(path)


def _holds(folder: Path, source: Path) -> bool:
    return folder.resolve() in source.resolve().parents


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix


def _check_replaceable(folder: Path) -> None:
    """Refuse to delete a folder that holds more than frames."""
    frames = set(list_frames(folder)) if folder.is_dir() else set()
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry not in frames and entry.name != SIDECAR:
            raise MagkitError(
                f"{folder} holds more than frames ({entry.name}): it is not overwritten",
                hint="choose another output",
            )


def _checked(frames: Iterable[Frame], info: VideoInfo, progress: Progress) -> Iterator[Frame]:
    shape = (info.height, info.width, 3)
    for count, frame in enumerate(frames, 1):
        if frame.shape != shape or frame.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"frame {count} is {frame.dtype} {frame.shape}, not uint8 {shape}")
        yield np.ascontiguousarray(frame)
        progress(count, info.frames)


def _first(stream: Iterator[Frame]) -> tuple[Frame, Iterator[Frame]]:
    """The first frame, and the whole stream; MagkitError if it is empty."""
    try:
        first = next(stream)
    except StopIteration:
        raise MagkitError("there are no frames to write") from None
    return first, chain([first], stream)


def _write_folder(folder: Path, stream: Iterator[Frame], info: VideoInfo) -> int:
    count = 0
    for count, frame in enumerate(stream, 1):
        write_frame(folder, count - 1, grey_levels(frame) if info.grey else frame)
    write_sidecar(folder, info)
    return count


def _raw(stream: Iterator[Frame], info: VideoInfo, pixels: str) -> Iterator[Frame]:
    """The frames in the pixel format of `raw_pixels`."""
    if pixels == "rgb48le":
        return (frame.astype("<u2", copy=False) for frame in stream)
    if pixels == "rgb24":
        return (scale_values(frame, 65535, deep=False) for frame in stream)
    return (to_ycbcr(frame, info.color_matrix) for frame in stream)


def _in_matroska(info: VideoInfo) -> bool:
    """Whether frames are piped as Matroska, which carries times and HDR metadata."""
    return info.times is not None or info.hdr is not None


def _raw_input(info: VideoInfo, pixels: str) -> list[str]:
    size, rate = f"{info.width}x{info.height}", f"{info.rate.numerator}/{info.rate.denominator}"
    if _in_matroska(info):
        # -r sets an exact rate in place of rounded time stamps.
        even = ["-r", rate] if info.times is None else []
        return ["-f", "matroska", *even, "-i", "pipe:0"]
    return ["-f", "rawvideo", "-pix_fmt", pixels, "-s", size, "-framerate", rate, "-i", "pipe:0"]


def _chunks(
    number: int, frame: Frame, info: VideoInfo, pixels: str
) -> Iterator[bytes | memoryview]:
    """The bytes that are piped for one frame."""
    if _in_matroska(info):
        if number == 0:
            yield stream_header(info.width, info.height, pixels, info.hdr)
        yield frame_header(info.time_of(number), info.time_of(number + 1), frame.nbytes)
    yield frame.data


def _time_base(suffix: str, info: VideoInfo) -> list[str]:
    """A time base for unevenly spaced frames, whose times ffmpeg would round to a rate."""
    if info.times is None:
        return []
    return ["-enc_time_base", "1/100" if suffix == ".gif" else "1/90000"]


def _container_args(suffix: str) -> list[str]:
    # An index at the front lets browsers play while loading.
    front = ["-movflags", "+faststart"] if suffix in {".mp4", ".m4v", ".mov"} else []
    # ffmpeg's m4v muxer supports fewer codecs than mp4.
    form = ["-f", "mp4"] if suffix == ".m4v" else []
    # Matroska's segment and track UIDs are random otherwise.
    fixed = ["-fflags", "+bitexact"] if suffix in {".mkv", ".webm"} else []
    return [*front, *form, *fixed, "-map_metadata", "-1", "-map_chapters", "-1"]


def _encode(
    args: list[str], stream: Iterator[Frame], info: VideoInfo, pixels: str, path: Path
) -> int:
    with ffmpeg(args, feed=True) as child:
        assert child.process.stdin is not None
        count, whole = _feed(child.process.stdin, stream, info, pixels)
        if child.finish() != 0 or not whole:
            if any("No space left" in line for line in child.log.errors):
                raise MagkitError(f"the disk is full: {path} could not be written")
            has_sound = "-itsoffset" in args
            hint = "if the sound is at fault, --audio none leaves it out" if has_sound else ""
            raise MagkitError(f"{path} could not be written: {child.cause()}", hint)
    return count


def _feed(
    pipe: IO[bytes], stream: Iterator[Frame], info: VideoInfo, pixels: str
) -> tuple[int, bool]:
    """Pipe the frames; the number written, and whether ffmpeg took all of them."""
    count = 0
    for frame in stream:
        try:
            for chunk in _chunks(count, frame, info, pixels):
                pipe.write(chunk)
        except OSError:  # ffmpeg ended; its log tells why
            return count, False
        count += 1
    try:
        pipe.close()
    except OSError:
        return count, False
    return count, True
