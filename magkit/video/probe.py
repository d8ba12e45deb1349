"""What ffmpeg tells about a file: one run that decodes one frame and counts the packets."""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO

from magkit.errors import MagkitError
from magkit.video.ffmpeg import Child, ffmpeg, input_args, message
from magkit.video.info import UNKNOWN, ColorRange, VideoInfo, guess_standard, snap_rate
from magkit.video.ycbcr import MATRICES

# A file without any rate (raw frames, one picture) plays at ffmpeg's own default.
_FALLBACK_RATE = Fraction(25)
_NO_TIME = -(2**63)


@dataclass(frozen=True, slots=True)
class Probed:
    """A clip's record, and what reading and copying it need besides.

    Args:
        info: The record.
        container: ffmpeg's name of the demuxer.
        begin: Seconds from the container's start to the first frame.
        duration: Seconds from the container's start to the end of the picture.
        decode_range: How to read luma: "tv", "pc", or "auto" for RGB, which needs no telling.
        audio: The codec of every sound track.
    """

    info: VideoInfo
    container: str
    begin: float
    duration: float
    decode_range: str
    audio: tuple[str, ...] = ()


@dataclass(slots=True)
class _Listing:
    """What is picked from ffmpeg's messages, line by line (a file's own metadata is no message)."""

    container: str = ""
    audio: list[str] = field(default_factory=list)
    rate: str = ""
    frame: str = ""
    colors: str = ""

    def watch(self, line: str) -> None:
        text = message(line)
        if match := re.match(r"Input #0, (\S+), from ", text):
            self.container = match[1]
        elif match := re.match(r"  Stream #0:\d+\S*: Audio: (\w+)", text):
            self.audio.append(match[1])
        elif match := re.match(r"config in time_base: \S+ frame_rate: (\d+/\d+)", text):
            # A later one comes from frames that changed in the middle of the file.
            self.rate = self.rate or match[1]
        elif re.match(r"n: +0 pts:", text):
            self.frame = text
        elif text.startswith("color_range:") and not self.colors:
            self.colors = text


@dataclass(slots=True)
class _Packets:
    """The pictures' packets: how many there are, and the seconds from the first to the last."""

    count: int = 0
    span: Fraction = Fraction(0)

    def read(self, pipe: IO[bytes]) -> None:
        base = Fraction(0)
        low, high = None, 0
        for line in pipe:
            if line.startswith(b"#"):
                base = Fraction(line[6:].strip().decode()) if line.startswith(b"#tb 0:") else base
                continue
            self.count += 1
            # stream, dts, pts, duration, size, checksum; times in ticks of the base.
            dts, pts = (int(part) for part in line.split(b",")[1:3])
            time = dts if pts == _NO_TIME else pts
            if time != _NO_TIME:
                low, high = min(time, time if low is None else low), max(time, high)
        self.span = base * (high - low) if low is not None else Fraction(0)


def probe(path: Path) -> Probed:
    """Read a video file's record. The packets are read through once; one frame is decoded.

    Raises:
        MagkitError: The file is no video, or of a kind that makes ffmpeg open other files.
    """
    listing, packets = _Listing(), _Packets()
    # V leaves out cover pictures and thumbnails. Two outputs: a frame's description, the packets'.
    frame = ["-map", "0:V:0", "-vf", "showinfo=checksum=0", "-frames:v", "1", "-f", "null", "-"]
    copied = ["-map", "0:V:0", "-c", "copy", "-f", "framecrc", "pipe:1"]
    with ffmpeg([*input_args(path), *frame, *copied], watch=listing.watch) as child:
        assert child.process.stdout is not None
        packets.read(child.process.stdout)
        child.finish()
        if not listing.frame:
            raise unreadable(path, child)
    return _describe(listing, packets)


def _describe(listing: _Listing, packets: _Packets) -> Probed:
    width, height = (int(n) for n in _find(r" s:(\d+)x(\d+)", listing.frame))
    begin = float(_find(r" pts_time:(-?[\d.e+-]+|NOPTS)", listing.frame)[0].replace("NOPTS", "0"))
    pixels = _find(r" fmt:(\S+)", listing.frame)[0]
    rate = _true_rate(Fraction(*map(int, listing.rate.split("/"))), packets)
    decode_range, color_range = _ranges(pixels, _color(listing.colors, "range"))
    matrix, primaries, transfer = _standard(listing.colors, width, height)
    info = VideoInfo(
        width=width,
        height=height,
        rate=rate,
        frames=packets.count or None,
        pixel_aspect=_aspect(listing.frame),
        color_range=color_range,
        color_matrix=matrix,
        color_primaries=primaries,
        color_transfer=transfer,
        has_audio=bool(listing.audio),
    )
    duration = begin + float(max(packets.span + 1 / rate, packets.count / rate))
    return Probed(
        info, listing.container, begin, duration, decode_range, audio=tuple(listing.audio)
    )


def _find(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise MagkitError(f"this ffmpeg describes frames in a way unknown to magkit: {text}")
    return match.groups()


def _true_rate(nominal: Fraction, packets: _Packets) -> Fraction:
    """The exact rate of evenly spaced frames, the mean rate of others."""
    if not 0 < nominal <= 100_000:
        nominal = _FALLBACK_RATE
    steps = packets.count - 1
    # A frame and a half for edit lists and hidden packets; the nominal rate may be rounded itself.
    slack = max(1.5, steps * 2e-4)
    if steps < 1 or packets.span <= 0 or abs(steps - packets.span * nominal) <= slack:
        return snap_rate(nominal)
    return snap_rate(steps / packets.span)


def _aspect(frame: str) -> Fraction:
    """The pixels' aspect; 0/1 says that it is unknown."""
    wide, high = (int(n) for n in _find(r" sar:(\d+)/(\d+)", frame))
    return Fraction(wide, high) if wide and high else Fraction(1)


def _color(colors: str, what: str) -> str:
    match = re.search(rf"color_{what}:(\S+)", colors)
    value = match[1] if match else UNKNOWN
    return UNKNOWN if value in {"reserved", "unspecified", "nil"} else value


def _ranges(pixels: str, tagged: str) -> tuple[str, ColorRange]:
    """How to read the luma, and how a result is to store it."""
    if re.match(r"yuvj", pixels):
        return "pc", "pc"
    if not re.match(r"yuv|nv|p0|p2|p4|uyvy|yuyv|gray|y2|xv|ayuv|vuy", pixels):
        return "auto", "tv"  # RGB and palettes
    if tagged in {"tv", "pc"}:
        return tagged, "pc" if tagged == "pc" else "tv"
    # Untagged YCbCr is studio range by every standard; bare grey comes from pictures.
    return ("pc", "pc") if pixels.startswith("gray") else ("tv", "tv")


def _standard(colors: str, width: int, height: int) -> tuple[str, str, str]:
    """Matrix, primaries and transfer: as tagged, or all by the size where no matrix is told."""
    guess = guess_standard(width, height)
    tagged = _color(colors, "space")
    primaries, transfer = _color(colors, "primaries"), _color(colors, "trc")
    if tagged in MATRICES:
        return tagged, primaries, transfer
    return (
        guess,
        guess if primaries == UNKNOWN else primaries,
        guess if transfer == UNKNOWN else transfer,
    )


def unreadable(path: Path, child: Child) -> MagkitError:
    """The sentence for a file that ffmpeg does not open."""
    said = " ".join(child.log.errors)
    with path.open("rb") as file:
        head = file.read(512)
    if "whitelist" in said or re.search(rb"#EXTM3U|ffconcat|<MPD|\[playlist\]", head):
        return MagkitError(
            f"{path} is a playlist or script that would make ffmpeg open other files",
            hint="give the video itself",
        )
    if not re.search(rb"[^\t\n\r -~\x80-\xff]", head):
        return MagkitError(f"{path} is a text file, not a video")
    if "moov atom not found" in said and re.match(rb"(?s:.{4})(ftyp|mdat|wide|free|skip)", head):
        return MagkitError(
            f"{path} is cut short: its index, which stands at the end, is missing",
            hint="copy the file once more",
        )
    if "matches no streams" in said:
        return MagkitError(f"{path} holds no moving picture")
    if re.search("Invalid data found|misdetection possible|moov atom not found", said):
        return MagkitError(f"{path} is not a video that ffmpeg can read")
    cause = child.log.cause() or "it holds no frame that can be decoded"
    return MagkitError(f"{path} can't be read: {cause}")
