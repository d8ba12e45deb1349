"""Frames as they are after coding by a video codec, through ffmpeg and pipes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Literal

import numpy as np

from magkit.errors import MagkitError
from magkit.video.ffmpeg import SCALE_FLAGS, binary, strip_prefixes
from magkit.video.info import Frame

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")
"""x264's names of speeds, the fastest first."""

Codec = Literal["h264", "hevc", "mpeg4"]

_COLOURS = "in_color_matrix=bt709:out_color_matrix=bt709"


def code_x264(
    frames: Frame, crf: int, *, preset: str = "medium", keyint: int = 250, bframes: int = 3
) -> Frame:
    """Code a clip as H.264 (yuv420p, BT.709, limited range) and decode it.

    One thread codes, so equal arguments give equal bytes on any number of processors.

    Args:
        frames: uint8 RGB (T, H, W, 3), at 25 frames a second; odd sides are padded by a pixel.
        crf: x264's constant rate factor, 0 (lossless but for the colours) to 51.
        preset: one of `PRESETS`.
        keyint: most frames from one key frame to the next.
        bframes: most B-frames in a row.

    Returns:
        As many frames of the same shape.

    Raises:
        ValueError: an argument is out of its range.
        MagkitError: ffmpeg fails.
    """
    if not 0 <= crf <= 51 or preset not in PRESETS or keyint < 1 or not 0 <= bframes <= 16:
        raise ValueError(f"x264 codes at no crf {crf}, {preset}, keyint {keyint}, {bframes} B")
    options = ("-crf", str(crf), "-preset", preset, "-g", str(keyint), "-bf", str(bframes))
    return _code(frames, ("libx264", *options), "h264")


def code_clip(frames: Frame, codec: Codec, quality: int) -> Frame:
    """Code a clip by one of several codecs and decode it; see `code_x264`.

    Args:
        frames: uint8 RGB (T, H, W, 3).
        codec: H.264, HEVC, or MPEG-4 part 2.
        quality: the constant rate factor of H.264 and HEVC, 0 to 51; the quantiser of MPEG-4, 1 to
            31. Greater is worse.

    Raises:
        ValueError: an argument is out of its range.
        MagkitError: ffmpeg fails.
    """
    if codec == "h264":
        return code_x264(frames, quality)
    if codec == "hevc" and 0 <= quality <= 51:
        options = ("-crf", str(quality), "-x265-params", "pools=none:frame-threads=1:log-level=1")
        return _code(frames, ("libx265", *options), "hevc")
    if codec == "mpeg4" and 1 <= quality <= 31:
        return _code(frames, ("mpeg4", "-q:v", str(quality)), "m4v")
    raise ValueError(f"no codec {codec} of quality {quality}")


def _code(frames: Frame, coder: Sequence[str], stream_format: str) -> Frame:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"frames must be uint8 (T, H, W, 3), not {frames.dtype} {frames.shape}")
    count, height, width, _ = frames.shape
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    shape = even.shape
    stream = _ffmpeg(
        ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape[2]}x{shape[1]}", "-r", "25"),
        (*_scale("pc", "tv", "yuv420p"), "-c:v", *coder, "-f", stream_format),
        even.tobytes(),
    )
    shown = (*_scale("tv", "pc", "rgb24"), "-fps_mode", "passthrough", "-f", "rawvideo")
    decoded = np.frombuffer(_ffmpeg(("-f", stream_format, "-r", "25"), shown, stream), np.uint8)
    if decoded.size != even.size:
        raise MagkitError(
            f"ffmpeg gave back {decoded.size * count / even.size:g} of {count} frames"
        )
    return decoded.reshape(shape)[:, :height, :width]


def _scale(source: str, target: str, pixels: str) -> tuple[str, str]:
    """The filter between RGB and BT.709, chroma placed at the left."""
    chroma = (
        "in_h_chr_pos=0:in_v_chr_pos=128"
        if pixels == "rgb24"
        else "out_h_chr_pos=0:out_v_chr_pos=128"
    )
    ranges = f"in_range={source}:out_range={target}"
    return "-vf", f"scale={_COLOURS}:{ranges}:{chroma}:flags={SCALE_FLAGS},format={pixels}"


def _ffmpeg(source: Sequence[str], target: Sequence[str], data: bytes) -> bytes:
    """Run ffmpeg on one thread, from bytes to bytes."""
    done = subprocess.run(
        [
            *(binary(), "-hide_banner", "-loglevel", "level+error", "-filter_threads", "1"),
            *("-threads", "1", *source, "-i", "pipe:0", *target, "-threads", "1", "pipe:1"),
        ],
        input=data,
        capture_output=True,
        check=False,
        start_new_session=os.name == "posix",  # the terminal's Ctrl-C is not for it
    )
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").splitlines()
        cause = strip_prefixes(lines[0]) if lines else f"it ended with status {done.returncode}"
        raise MagkitError(f"ffmpeg could not code the clip: {cause}")
    return done.stdout
