"""The record of a video file, from one run of ffmpeg over all packets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import IO

from magkit.errors import MagkitError
from magkit.video.ffmpeg import FFmpegProcess, ffmpeg, has_decoder, input_args, strip_prefixes
from magkit.video.info import (
    Timing,
    VideoInfo,
    fit_timing,
    is_constant,
    is_increasing,
    nominal_rate,
    snap_rate,
)
from magkit.video.showinfo import FrameInfo, parse_frame, parse_hdr

# Frames decoded for their description, of which fields need several.
_DESCRIBED_FRAMES = 8

_NO_TIME = -(2**63)
_DISCARD = 0x4  # AV_PKT_FLAG_DISCARD: an edit list leaves the packet out

# Raw streams have no time stamps, though ffmpeg generates some.
_RAW_STREAM = re.compile("(m4v|h26[134]|hevc|vvc|evc|mpegvideo|mjpeg|obu|vc1|dirac|.*_pipe)(,|$)")

# Plausible stated rates of a raw stream.
_SLOWEST, _FASTEST = 1, 1000

# Containers whose packets are whole frames; those of transport and program streams may be parts.
_FRAMED = re.compile("(mov|matroska|avi|flv|asf|nut|ivf|yuv4mpegpipe|mxf|gxf)(,|$)")


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One sound track.

    Args:
        codec: ffmpeg's name; "none" if it is unknown.
        start: Seconds from the first video frame to the first sample; None without samples or a
            known sample rate.
        decodable: Whether this ffmpeg can decode it.
    """

    codec: str
    start: float | None
    has_decoder: bool


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A clip's record, and what decoding and copying it need besides.

    Args:
        info: The record.
        container: ffmpeg's name of the demuxer.
        begin: Seconds from the file's zero, where players start, to the first frame.
        decode_range: Range of stored luma: "tv", "pc", or "auto" for RGB.
        tracks: The sound tracks, in the file's order.
        decoder: A decoder that must be named, or "".
        alpha: Whether pixels may be transparent.
        timed: Whether the file has time stamps; if not, `info.rate` is the stated one or 25.
    """

    info: VideoInfo
    container: str
    begin: float
    decode_range: str
    tracks: tuple[AudioTrack, ...] = ()
    decoder: str = ""
    alpha: bool = False
    timed: bool = True


@dataclass(slots=True)
class _LogParser:
    """Parses ffmpeg's log, line by line."""

    container: str = ""
    audio: list[str] = field(default_factory=list)
    unlisted: list[int] = field(default_factory=list)
    rate: str = ""
    stated: Fraction | None = None
    frames: list[str] = field(default_factory=list)
    colors: str = ""
    hdr: str = ""
    has_start: bool = False
    alpha_mode: bool = False

    def watch(self, line: str) -> None:
        text = strip_prefixes(line)
        if text.startswith(("Input", "  Duration", "  Stream")):
            self._watch_header(text)
        elif re.match(r" +alpha_mode +: 1$", text):
            self.alpha_mode = True
        elif match := re.match(r"config in time_base: \S+ frame_rate: (\d+/\d+)", text):
            # A later one comes from frames that changed in the middle of the file.
            self.rate = self.rate or match[1]
        elif re.match(r"n: +\d+ pts:", text):
            self.frames.append(text)
        elif re.match(r"  side data - (Mastering|Content light)", text):
            self._add_hdr(text)
        elif text.startswith("color_range:") and not self.colors:
            self.colors = text

    def _watch_header(self, text: str) -> None:
        if match := re.match(r"Input #0, (\S+), from ", text):
            self.container = match[1]
        elif match := re.match(r"  Duration: \S+ (start: )?", text):
            self.has_start = bool(match[1])
        elif match := re.match(r"  Stream #0:\d+\S*: Audio: (\w+)(.*)", text):
            # Of damaged sound the sample rate may be unknown, and then no output takes it.
            if not re.search(r"\d Hz", match[2]):
                self.unlisted.append(len(self.audio))
            self.audio.append(match[1])
        elif match := re.match(r"  Stream #0:\d+\S*: Video: .* ([\d.]+)(k?) fps", text):
            # Later ones are those of the outputs.
            self.stated = self.stated or Fraction(match[1]) * (1000 if match[2] else 1)

    def _add_hdr(self, text: str) -> None:
        # Every frame repeats them: the first to tell counts.
        if text.partition(":")[0] not in self.hdr:
            self.hdr += text + "\n"


@dataclass(slots=True)
class _Timestamps:
    """Time stamps of all video packets or frames, and of the first of each sound track.

    Args:
        base: Seconds per tick of the video.
        codec: Of the video.
        picture: (dts, pts, duration) of each packet, in ticks.
        sound: Of each listed track, by its index among them, the seconds from the file's zero to
            its first sample.
    """

    base: Fraction = Fraction(1)
    codec: str = ""
    picture: list[tuple[int, int, int]] = field(default_factory=list)
    sound: dict[int, Fraction] = field(default_factory=dict)

    def read(self, pipe: IO[bytes]) -> None:
        bases: dict[bytes, Fraction] = {}
        for line in pipe:
            if match := re.match(rb"#tb (\d+): (\S+)", line):
                bases[match[1]] = Fraction(match[2].decode())
            elif match := re.match(rb"#codec_id 0: (\w+)", line):
                self.codec = match[1].decode()
            elif not line.startswith(b"#"):
                self._stamp(line, bases)
        self.base = bases.get(b"0", self.base)

    def _stamp(self, line: bytes, bases: dict[bytes, Fraction]) -> None:
        # stream, dts, pts, duration, size, checksum, and flags where they aren't those of a key.
        stream, dts, pts, duration, size, _, *rest = line.split(b",")
        if rest and (flags := re.match(rb" F=0x(\w+)", rest[0])) and int(flags[1], 16) & _DISCARD:
            return
        if stream == b"0":
            if int(size):
                self.picture.append((int(dts), int(pts), int(duration)))
        elif int(stream) - 1 not in self.sound and int(pts) != _NO_TIME:
            self.sound[int(stream) - 1] = int(pts) * bases[stream]


def probe(path: Path) -> ProbeResult:
    """Read a video file's record from one pass over its packets; few frames are decoded.

    All frames are decoded if packets are fields or have no time stamps.

    Raises:
        MagkitError: The file is no video, or makes ffmpeg open other files.
    """
    listing, stamps, child = _packets(path)
    if listing.unlisted:
        listing, stamps, child = _packets(path, listing.unlisted)
    if not listing.frames:
        raise open_error(path, child)
    return _describe(path, listing, stamps)


def _packets(
    path: Path, unlisted: Sequence[int] = ()
) -> tuple[_LogParser, _Timestamps, FFmpegProcess]:
    """The description by ffmpeg of a file and its packets, without some sound tracks."""
    listing, stamps = _LogParser(), _Timestamps()
    # V leaves out cover pictures. The two outputs, the description of some frames and all packets,
    # have the same zero of time in one run.
    few = ["-map", "0:V:0", "-vf", "showinfo=checksum=0", "-fps_mode", "passthrough"]
    few += ["-frames:v", str(_DESCRIBED_FRAMES), "-f", "null", "-"]
    arguments = [*input_args(path), *few, *_listed("-c", "copy", unlisted=unlisted)]
    with ffmpeg(arguments, watch=listing.watch) as child:
        assert child.process.stdout is not None
        stamps.read(child.process.stdout)
        child.finish()
    return listing, stamps, child


def _listed(*coding: str, unlisted: Sequence[int]) -> list[str]:
    passed_over = [argument for number in unlisted for argument in ("-map", f"-0:a:{number}")]
    maps = ["-map", "0:V:0", "-map", "0:a?", *passed_over]
    return [*maps, *coding, "-f", "framecrc", "pipe:1"]


def _describe(path: Path, listing: _LogParser, stamps: _Timestamps) -> ProbeResult:
    shown = [parse_frame(frame, listing.colors) for frame in listing.frames]
    first, interlaced = shown[0], any(frame.interlaced for frame in shown)
    begin, count, timing = _timing(path, listing, stamps, first, interlaced)
    info = VideoInfo(
        width=first.width,
        height=first.height,
        rate=timing.rate,
        frames=count,
        pixel_aspect=first.pixel_aspect,
        color_range=first.color_range,
        color_matrix=first.color_matrix,
        color_primaries=first.color_primaries,
        color_transfer=first.color_transfer,
        has_audio=bool(listing.audio),
        times=timing.times,
        bits=first.pixels.bits,
        interlaced=interlaced,
        hdr=parse_hdr(listing.hdr),
        grey=first.pixels.name.startswith(("gray", "ya")),
    )
    listed = [number for number in range(len(listing.audio)) if number not in listing.unlisted]
    starts = {listed[place]: float(start - begin) for place, start in stamps.sound.items()}
    # Transparency in VP8 and VP9 is a second picture, which only libvpx's decoders look at.
    decoder = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stamps.codec) if listing.alpha_mode else ""
    return ProbeResult(
        info,
        listing.container,
        float(begin),
        first.decode_range,
        tuple(AudioTrack(c, starts.get(n), has_decoder(c)) for n, c in enumerate(listing.audio)),
        decoder or "",
        alpha=bool(decoder) or (first.pixels.alpha and not _is_bitmap(listing, stamps)),
        timed=timing.stated,
    )


def _is_bitmap(listing: _LogParser, stamps: _Timestamps) -> bool:
    """Whether it is a Windows bitmap of 32 bits (BI_RGB), whose fourth byte is unused."""
    return listing.container == "avi" and stamps.codec == "rawvideo"


def _timing(
    path: Path, listing: _LogParser, stamps: _Timestamps, first: FrameInfo, interlaced: bool
) -> tuple[Fraction, int, Timing]:
    """Seconds from the file's zero to the first frame, the number of frames, and their timing."""
    nominal = nominal_rate(Fraction(listing.rate or 0))
    framed = _FRAMED.match(listing.container)
    if _RAW_STREAM.match(listing.container) or not (listing.has_start or framed):
        if interlaced:  # its packets may be fields
            return Fraction(0), len(_decoded(path, listing).picture), Timing(nominal, stated=False)
        rate = _stated_rate(stamps) or nominal
        return Fraction(0), len(stamps.picture), Timing(rate, stated=False)
    ticks = _packet_ticks(listing, stamps, first)
    # A packet may be a field, and VP8 hides packets that no frame shows.
    trusted = framed and stamps.codec != "vp8"
    told = not interlaced and (trusted or is_constant(ticks, stamps.base, nominal))
    if not (ticks and told):
        stamps = _decoded(path, listing)
        ticks = [pts for _, pts, _ in stamps.picture if pts != _NO_TIME]
        if ticks != sorted(ticks) or len(ticks) < len(stamps.picture):
            return Fraction(0), len(stamps.picture), Timing(nominal, stated=False)
    timing = fit_timing(ticks, stamps.base, _last_duration(stamps), (nominal,))
    stated = snap_rate(listing.stated or nominal)
    if stated * stamps.base > 1 and is_constant(ticks, stamps.base, stated):
        # Frames that share ticks (in Matroska, above 1000 a second) look unevenly spaced.
        timing = Timing(stated)
    return ticks[0] * stamps.base, len(ticks), timing


def _packet_ticks(listing: _LogParser, stamps: _Timestamps, first: FrameInfo) -> list[int]:
    """Time stamps of the packets in display order; [] if they are unusable."""
    if any(pts == _NO_TIME for _, pts, _ in stamps.picture):
        # AVI numbers packets in the order of decoding: as many frames are shown at as many times.
        ticks = sorted(dts for dts, _, _ in stamps.picture) if listing.container == "avi" else []
    else:
        # What comes before the first frame that can be decoded is never shown.
        earliest = -(2**62) if first.time is None else round(first.time / stamps.base) - 1
        ticks = sorted(pts for _, pts, _ in stamps.picture if pts >= earliest)
    return ticks if is_increasing(ticks) else []


def _stated_rate(stamps: _Timestamps) -> Fraction | None:
    """The stated rate of a raw stream, if plausible.

    ffmpeg generates its time stamps, or else the durations of its packets, by that rate.
    """
    ticks = sorted(pts for _, pts, _ in stamps.picture)
    lengths = sorted(duration for _, _, duration in stamps.picture)
    steps = [Fraction(lengths[len(lengths) // 2])]
    if len(ticks) > 1 and ticks[0] != _NO_TIME:
        steps.insert(0, Fraction(ticks[-1] - ticks[0], len(ticks) - 1))
    rates = (snap_rate(1 / (step * stamps.base)) for step in steps if step > 0)
    return next((rate for rate in rates if _SLOWEST <= rate <= _FASTEST), None)


def _last_duration(stamps: _Timestamps) -> int:
    """Ticks of the last packet's duration; 0 if it is below half of the shortest interval.

    Durations of packets may belong to decoding, or to a nominal rate.
    """
    ordered = sorted((pts, duration) for _, pts, duration in stamps.picture)
    shortest = min((b - a for (a, _), (b, _) in pairwise(ordered)), default=0)
    return ordered[-1][1] if 2 * ordered[-1][1] >= shortest else 0


def _decoded(path: Path, listing: _LogParser) -> _Timestamps:
    """The time stamps of all frames, by decoding them."""
    stamps = _Timestamps()
    # The sound is mapped so that the zero is the same as in the run that read the packets.
    coding = ["-c:v", "wrapped_avframe", "-c:a", "copy", "-enc_time_base", "demux"]
    coding += ["-fps_mode", "passthrough"]
    with ffmpeg([*input_args(path), *_listed(*coding, unlisted=listing.unlisted)]) as child:
        assert child.process.stdout is not None
        stamps.read(child.process.stdout)
        child.finish()
    return stamps


def open_error(path: Path, child: FFmpegProcess) -> MagkitError:
    """The error for a file that ffmpeg doesn't open."""
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
