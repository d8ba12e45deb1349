"""Frames into a video file, a GIF or a folder of PNG: whole, or not at all."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.runtime.atomic import atomic_path
from magkit.video.animation import is_picture
from magkit.video.encode import (
    CONTAINERS,
    audio_args,
    choose,
    color_args,
    picture_filter,
    raw_pixels,
)
from magkit.video.ffmpeg import ffmpeg, input_args
from magkit.video.folder import SIDECAR, list_frames, write_frame, write_sidecar
from magkit.video.info import VideoInfo
from magkit.video.probe import probe
from magkit.video.read import ACCURATE, first_time
from magkit.video.ycbcr import full_range

Frame = NDArray[np.uint8]


def write_video(
    path: Path,
    frames: Iterable[Frame],
    info: VideoInfo,
    *,
    source: Path | None = None,
    start: float | None = None,
    end: float | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> int:
    """Write a clip with exactly the frames, rate, size, pixel aspect and colours that are given.

    The suffix chooses the container: mp4, m4v, mov, mkv, webm or gif; without one the result is a
    folder of PNG frames with a sidecar. The frames are streamed.

    Args:
        path: Where the clip goes; folders on the way are made.
        frames: (H, W, 3) uint8 RGB, all of the size in `info`.
        info: The clip's record; `frames` there is only what `progress` hears as the total.
        source: The video whose sound goes along (a gif and a folder hold none).
        start: Seconds into `source` at which the frames start, or None.
        end: Seconds into `source` at which they end, or None.
        quality: The encoder's constant rate factor, 0 the best; None: near lossless.
        overwrite: Whether an existing result is replaced (never the source).
        progress: Hears of every frame written.

    Returns:
        How many frames were written.

    Raises:
        UsageError: The suffix is none of these, or the container can't do what is asked.
        MagkitError: The result exists or can't be written, or there are no frames.
    """
    check_output(path, source, overwrite=overwrite)
    suffix = path.suffix.lower()
    stream = _checked(frames, info, progress)
    if _is_folder(path):
        if quality is not None:
            raise UsageError("a folder of PNG is lossless: it has no quality to set")
        with atomic_path(path, kind="folder", overwrite=overwrite) as folder:
            return _write_folder(folder, stream, info)
    encoding = choose(suffix, info, quality)
    sound = _sound(suffix, source, start, end)
    with atomic_path(path, overwrite=overwrite) as temporary:
        pixels = raw_pixels(encoding)
        if pixels == "yuv444p":
            stream = (full_range(frame, info.color_matrix) for frame in stream)
        head = [*_raw_input(info, pixels), *sound]
        out = [*encoding.codec, *color_args(encoding, info), *_container_args(suffix)]
        picture = ["-filter_complex", f"[0:v]{picture_filter(encoding, info, ACCURATE)}[v]"]
        target = [*picture, "-map", "[v]", "-fps_mode", "passthrough", *out]
        return _encode([*head, *target, f"file:{temporary.absolute()}"], stream, path)


def check_output(path: Path, source: Path | None = None, *, overwrite: bool = False) -> None:
    """Refuse an output before any work is done for it.

    Raises:
        UsageError: It has a suffix that nothing is written for, or is the source itself.
        MagkitError: It exists and may not be replaced.
    """
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise UsageError(f"the output {path} is the input itself", hint="choose another output")
    folder = _is_folder(path)
    if not folder and path.suffix.lower() not in CONTAINERS:
        raise UsageError(
            f"{path.suffix} is no format that magkit writes",
            hint=f"{', '.join(CONTAINERS)}, or no suffix for a folder of frames",
        )
    if path.exists() and not overwrite:
        raise MagkitError(f"{path} exists", hint="--overwrite replaces it")
    if folder and path.exists():
        _check_replaceable(path)


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix


def _check_replaceable(folder: Path) -> None:
    """Replacing a folder deletes what is in it: only frames may be there."""
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
        if frame.shape != shape or frame.dtype != np.uint8:
            raise ValueError(f"frame {count} is {frame.dtype} {frame.shape}, not uint8 {shape}")
        yield np.ascontiguousarray(frame)
        progress(count, info.frames)


def _first(stream: Iterator[Frame]) -> Iterator[Frame]:
    """The same stream, after its first frame is there: no encoder starts on an empty one."""
    try:
        return chain([next(stream)], stream)
    except StopIteration:
        raise MagkitError("there are no frames to write") from None


def _write_folder(folder: Path, stream: Iterator[Frame], info: VideoInfo) -> int:
    count = 0
    for count, frame in enumerate(_first(stream), 1):
        write_frame(folder, count - 1, frame)
    write_sidecar(folder, info)
    return count


def _raw_input(info: VideoInfo, pixels: str) -> list[str]:
    size, rate = f"{info.width}x{info.height}", f"{info.rate.numerator}/{info.rate.denominator}"
    return ["-f", "rawvideo", "-pix_fmt", pixels, "-s", size, "-framerate", rate, "-i", "pipe:0"]


def _container_args(suffix: str) -> list[str]:
    # The index at the front lets a browser play before the file is loaded.
    front = ["-movflags", "+faststart"] if suffix in {".mp4", ".m4v", ".mov"} else []
    # To ffmpeg m4v is what one old player took, which is less than MP4.
    form = ["-f", "mp4"] if suffix == ".m4v" else []
    return [*front, *form, "-map_metadata", "-1", "-map_chapters", "-1"]


def _sound(suffix: str, source: Path | None, start: float | None, end: float | None) -> list[str]:
    """The second input, cut as the frames are, with every sound track of it."""
    if source is None or suffix == ".gif" or not source.is_file() or is_picture(source):
        return []
    probed = probe(source)
    if not probed.audio:
        return []
    # The result starts at zero with its first frame: the sound is cut where that was shown. Copied
    # sound is cut between packets (some 20 ms each), with its timestamps and so its sync kept.
    begin = first_time(probed, start)
    cut = ["-ss", f"{begin:.6f}"] if begin > 0 else []
    if end is not None:
        cut += ["-t", f"{end - begin:.6f}"]
    coding = audio_args(suffix, probed.audio, cut=begin > 0)
    return [*cut, *input_args(source), "-map", "1:a", *coding]


def _encode(args: list[str], stream: Iterator[Frame], path: Path) -> int:
    stream = _first(stream)
    with ffmpeg(["-y", *args], feed=True) as child:
        assert child.process.stdin is not None
        count, whole = _feed(child.process.stdin, stream)
        if child.finish() != 0 or not whole:
            if any("No space left" in line for line in child.log.errors):
                raise MagkitError(f"the disk is full: {path} could not be written")
            raise MagkitError(f"{path} could not be written: {child.cause()}")
    return count


def _feed(pipe: IO[bytes], stream: Iterator[Frame]) -> tuple[int, bool]:
    """Hand the frames over: how many went, and whether the encoder took them all."""
    count = 0
    for frame in stream:
        try:
            pipe.write(frame.data)
        except OSError:  # it died; its log says why
            return count, False
        count += 1
    try:
        pipe.close()
    except OSError:
        return count, False
    return count, True
