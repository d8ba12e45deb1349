"""RGB frames of a video file, streamed from ffmpeg, with detection of truncated files."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magkit.errors import MagkitError
from magkit.video.ffmpeg import SCALE_FLAGS, FFmpegProcess, ffmpeg, input_args
from magkit.video.info import Frame, ReadOptions, VideoInfo
from magkit.video.probe import ProbeResult

DType = np.dtype[np.unsignedinteger[Any]]

_log = logging.getLogger(__name__)

# Damage this many frames before the end is a truncation: threaded decoders run ahead.
_NEAR_END = 40

_LOST_PACKET = "(Error submitting packet to decoder|Decoding error).*"

# Start in seconds from which a part is sought, if the file has an index.
_WORTH_SEEKING = 5

_ROUNDING = 1e-6  # seconds: of times in floating point

# Deviation from announced times that is warned of.
_TIME_TOLERANCE = 2e-3  # seconds


@dataclass(frozen=True, slots=True)
class FrameRange:
    """The frames first <= n < last of a file; of its options `deep` and `deinterlace` count."""

    path: Path
    probed: ProbeResult
    first: int
    last: int
    options: ReadOptions

    @property
    def whole(self) -> bool:
        """Whether the part ends where the file does."""
        return self.last == self.probed.info.frames


def decode(part: FrameRange) -> Iterator[Frame]:
    """Stream frames (H, W, 3), RGB: uint8, or uint16 if `deep` and the file has more than 8 bits.

    Raises:
        MagkitError: The file breaks off or can't be decoded.
    """
    info = part.probed.info
    kind: DType = np.dtype("<u2") if part.options.deep and info.bits > 8 else np.dtype(np.uint8)
    watcher = _DamageDetector()
    read = 0
    with ffmpeg(_arguments(part, kind), watch=watcher) as child:
        while (frame := _read_frame(child, (info.height, info.width, 3), kind)) is not None:
            read += 1
            yield frame
        status = child.finish()
        problem = watcher.verdict() or (child.cause() if status else _shortage(part.path))
        if problem and (part.whole or read < part.last - part.first):
            raise MagkitError(
                f"{part.path} breaks off after {read} frames: {problem}",
                hint="copy the file once more, or end before the break with --end",
            )
    if not read:
        raise MagkitError(f"{part.path}: none of its frames can be decoded")
    _check_times(part, read, watcher.times)


class _DamageDetector:
    """Collects times of frames and signs of truncation from ffmpeg's log."""

    def __init__(self) -> None:
        self.frames = 0
        self.times: list[float] = []
        self.broken = ""
        self._suspect = ""
        self._suspect_at = 0

    def __call__(self, line: str) -> None:
        # A decoder's message may be appended to a frame's description.
        before = self.frames
        if match := re.search(r"\] n: *(\d+) pts:(?: *\S+ +pts_time:(-?[\d.]\S*))?", line):
            self.frames = int(match[1]) + 1
            self.times += [float(match[2])] if match[2] else []
        if match := re.search(r"partial file|File ended prematurely", line):
            self.broken = match[0]
        elif before and (match := re.search(_LOST_PACKET, line)):
            # Before the first frame it is only a recording that starts between two key frames.
            self.broken = match[0]
        elif match := re.search(r"corrupt (decoded frame|input packet)|Packet corrupt", line):
            self._suspect, self._suspect_at = match[0], self.frames

    def verdict(self) -> str:
        """The sign of truncation, or an empty string."""
        near = self.frames - self._suspect_at <= _NEAR_END
        return self.broken or (self._suspect if near else "")


def _shortage(path: Path) -> str:
    promised = declared_size(path) or 0
    missing = promised - path.stat().st_size
    return f"the file should have {promised} bytes, {missing} more" if missing > 0 else ""


def _check_times(part: FrameRange, read: int, decoded: list[float]) -> None:
    """Warn of unevenly spaced frames that were decoded at other times than their packets'."""
    times = part.probed.info.times
    if times is None or len(decoded) != read:
        return
    if read != part.last - part.first:
        _log.warning(
            "%s promised %d frames and gave %d: their times may be off",
            part.path, part.last - part.first, read,
        )  # fmt: skip
        return
    promised = np.array(times[part.first : part.last])
    error = np.abs((np.array(decoded) - decoded[0]) - (promised - promised[0])).max()
    if error > _TIME_TOLERANCE:
        _log.warning("%s: frames are off the times that it promised, by %.3f s", part.path, error)


def _arguments(part: FrameRange, kind: DType) -> list[str]:
    seek, select = _cut(part)
    decoder = ["-c:v", part.probed.decoder] if part.probed.decoder else []
    fields = ["bwdif=mode=send_frame:deint=all"] if part.options.deinterlace else []
    to_rgb = _to_rgb(part.probed) if kind.itemsize == 1 else _to_deep_rgb(part.probed)
    chain = [*select, "showinfo=checksum=0", *fields, *to_rgb]
    raw = ["-map", "0:V:0", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]
    return [*seek, *decoder, *input_args(part.path), "-vf", ",".join(chain), *raw]


def _to_rgb(probed: ProbeResult) -> list[str]:
    """The filters that convert to 8-bit RGB on black."""
    info = probed.info
    scale = (
        f"scale={info.width}:{info.height}:in_color_matrix={info.color_matrix}"
        f":in_range={probed.decode_range}:out_range=pc:flags={SCALE_FLAGS}"
    )
    return [scale, *_over_black(probed, "gbrap16le"), "format=rgb24"]


def _to_deep_rgb(probed: ProbeResult) -> list[str]:
    """The filters that convert to 16-bit RGB.

    zimg converts exactly; ffmpeg's scaler turns white of 65535 into 65280. zimg rejects subsampled
    chroma of odd sizes, which the scaler upsamples first.
    """
    planes = "gbrap16le" if probed.alpha else "gbrp16le"
    if probed.decode_range == "auto":
        return [f"format={planes}", *_over_black(probed, planes), "format=rgb48le"]
    info, alpha = probed.info, "a" if probed.alpha else ""
    bits = info.bits if info.bits in {10, 12} else 16
    limits = {"tv": "limited", "pc": "full"}[probed.decode_range]
    fill = f"scale={info.width}:{info.height}:flags={SCALE_FLAGS}:in_range={probed.decode_range}"
    fill += f":out_range={probed.decode_range},format=yuv{alpha}444p{bits}le"
    convert = f"zscale=matrixin={info.color_matrix}:rangein={limits}:matrix=gbr:range=full"
    return [fill, f"{convert},format={planes}", *_over_black(probed, planes), "format=rgb48le"]


def _over_black(probed: ProbeResult, planes: str) -> list[str]:
    # In 16 bits, as the filter rounds down and would turn 8-bit white into 254.
    return [f"format={planes},premultiply=inplace=1"] if probed.alpha else []


def _cut(part: FrameRange) -> tuple[list[str], list[str]]:
    """Arguments that seek, and the filters that select the part."""
    info, begin = part.probed.info, part.probed.begin
    if part.first == 0 and part.whole:
        return [], []
    start = begin + info.time_of(part.first)
    # Frames that share a tick can't be selected by time.
    told = {"mov": 0, "matroska": MATROSKA_TICK}.get(part.probed.container.split(",")[0])
    if start < _WORTH_SEEKING or told is None or info.shortest_step < told - _ROUNDING:
        last = "" if part.whole else f":end_frame={part.last}"
        return [], [f"trim=start_frame={part.first}{last}"]
    # Seek to a key frame before the start, and select frames by their times in the whole file, with
    # half the interval to their neighbours as tolerance.
    seek = ["-noaccurate_seek", "-ss", f"{start - 3:.6f}", "-copyts", "-start_at_zero"]
    conditions = [f"gte(t,{begin + _between(info, part.first):.9f})"]
    stop = []
    if not part.whole:
        end = begin + _between(info, part.last)
        conditions.append(f"lt(t,{end:.9f})")
        stop = [f"trim=end={end + 1:.6f}"]  # ends reading; the expression selects
    return seek, [*stop, f"select='{'*'.join(conditions)}'"]


def _between(info: VideoInfo, number: int) -> float:
    """Half way from the frame before to this one, in seconds from the first."""
    return (info.time_of(max(number - 1, 0)) + info.time_of(number)) / 2


def _read_frame(child: FFmpegProcess, shape: tuple[int, int, int], kind: DType) -> Frame | None:
    """The next whole frame, or None at the end."""
    frame: Frame = np.empty(shape, kind)
    pipe = child.process.stdout
    assert pipe is not None
    view, filled = frame.data.cast("B"), 0
    while filled < len(view):
        got: int = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            return None
        filled += got
    return frame


_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_MAX_HEADER = 4096  # bytes

MATROSKA_TICK = 0.001
"""Seconds per tick of nearly all Matroska files, and of all that ffmpeg writes."""


def declared_size(path: Path) -> int | None:
    """Return the size in bytes that a Matroska header states, if any.

    It reveals a truncation between two frames, which a decoder doesn't notice.
    Source: RFC 8794, section 5 (element identifiers and sizes), and RFC 9559, section 5.1.
    """
    with path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    if not start.startswith(_EBML):
        return None
    at, size = _size(start, len(_EBML))
    at += size or 0
    if start[at : at + len(_SEGMENT)] != _SEGMENT:
        return None
    at, size = _size(start, at + len(_SEGMENT))
    return None if size is None else at + size


def _size(data: bytes, at: int) -> tuple[int, int | None]:
    """Read an element's size: the offset of its content, and its length, if known."""
    length = 9 - int.from_bytes(data[at : at + 1]).bit_length()  # leading zeros say how long
    ones = (1 << 7 * length) - 1
    value = int.from_bytes(data[at : at + length]) & ones
    return at + length, None if value == ones else value
