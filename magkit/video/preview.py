"""A clip in a page: a small video within it, or a still picture."""

from __future__ import annotations

import base64
import io
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from magkit.errors import MagkitError
from magkit.runtime.ahead import close
from magkit.video.depth import scale_values
from magkit.video.encode import WriteOptions
from magkit.video.info import Frame, plain_info
from magkit.video.read import VideoSource
from magkit.video.write import write_video

MOST_BYTES = 2_000_000  # of a preview in its page
MOST_FRAMES = 240
MOST_SIDE = 480  # pixels
QUALITIES = (23, 32)  # constant rate factors, the better first
SLOWEST, FASTEST = 1, 60  # frames per second that are shown as they are
SHOWN = Fraction(30)  # frames per second of others


def preview(video: VideoSource) -> str:
    """Return HTML that shows a clip, of at most 2 MB: a video that repeats, or a still picture.

    The first 240 frames are shown, at most 480 pixels wide and high. Clips of less than 1 or more
    than 60 frames per second are shown at 30.

    Raises:
        MagkitError: the clip can't be read.
    """
    rate = video.info.rate
    shown = rate if SLOWEST <= rate <= FASTEST else SHOWN
    stream = iter(video)
    frames = [_small(frame) for frame in islice(stream, MOST_FRAMES)]
    close(stream)
    notes = []
    if video.info.frames and video.info.frames > len(frames):
        notes.append(f"the first {len(frames)} of {video.info.frames} frames")
    if shown != rate:
        notes.append(f"shown at {float(shown):g} frames per second, of {float(rate):g}")
    coded = _coded(frames, shown)
    if coded is None:
        note = _note(["the first frame: the video is too large for a preview"])
        return f'<img src="{_still(frames[0])}" alt="The first frame" style="{STYLE}">{note}'
    data = base64.b64encode(coded).decode()
    source = f"data:video/mp4;base64,{data}"
    flags = "controls loop muted autoplay playsinline"
    return f'<video src="{source}" {flags} style="{STYLE}"></video>{_note(notes)}'


STYLE = "display: block; min-width: 15rem; max-width: 100%"


def _note(notes: list[str]) -> str:
    return f'<small style="opacity: .7">{"; ".join(notes)}</small>' if notes else ""


def _small(frame: Frame) -> Frame:
    """Return a frame of 8 bits with even sides of at most `MOST_SIDE` pixels."""
    height, width = frame.shape[:2]
    factor = min(1.0, MOST_SIDE / max(height, width))
    size = tuple(max(2, 2 * round(side * factor / 2)) for side in (width, height))
    flat = scale_values(frame, 65535, deep=False)
    if size == (width, height):
        return flat
    picture = Image.fromarray(flat).resize(size, Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(picture)


def _coded(frames: list[Frame], rate: Fraction) -> bytes | None:
    """Return the frames as MP4 that every browser plays; None: it is too large."""
    height, width = frames[0].shape[:2]
    info = plain_info(width, height, rate, len(frames))
    with TemporaryDirectory(prefix="magkit-") as folder:
        for quality in QUALITIES:
            path = Path(folder, f"{quality}.mp4")
            try:
                write_video(path, frames, info, WriteOptions(quality=quality))
            except MagkitError:
                return None
            if path.stat().st_size * 4 / 3 <= MOST_BYTES:  # as base64
                return path.read_bytes()
    return None


def _still(frame: Frame) -> str:
    data = io.BytesIO()
    Image.fromarray(frame).save(data, "jpeg", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
