"""The record of a video file, from one run of ffmpeg that reads every packet."""

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

# Frames that are decoded to see whether they hold two fields.
_DESCRIBED = 8

_NO_TIME = -(2**63)
_DISCARD = 0x4  # AV_PKT_FLAG_DISCARD: an edit list leaves the packet out

# Bare streams have no times, whatever ffmpeg makes up for some.
_BARE = re.compile("(m4v|h26[134]|hevc|vvc|evc|mpegvideo|mjpeg|obu|vc1|dirac|.*_pipe)(,|$)")

# Of a bare stream: frames a second that it may state.
_SLOWEST, _FASTEST = 1, 1000

# Their packets are whole frames. In others (transport and program streams) one may be a part.
_FRAMED = re.compile("(mov|matroska|avi|flv|asf|nut|ivf|yuv4mpegpipe|mxf|gxf)(,|$)")


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One sound track.

    Args:
        codec: As ffmpeg names it; "none" where it knows no name.
        start: Seconds from the first frame of the picture to the first sample; None if there is
            none, or the sound is so damaged that its sample rate is unknown.
        decodable: Whether this ffmpeg can decode it.
    """

    codec: str
    start: float | None
    has_decoder: bool


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A clip's record, and what reading and copying it need besides.

    Args:
        info: The record.
        container: ffmpeg's name of the demuxer.
        begin: Seconds from the file's zero, where players start it, to the first frame.
        decode_range: How to read luma: "tv", "pc", or "auto" for RGB, which needs no telling.
        tracks: The sound tracks, in the file's order.
        decoder: The decoder that has to be named, or an empty string.
        alpha: Whether pixels may be transparent.
        timed: Whether the file tells times; if not, `info.rate` is what it says or 25.
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
class _Listing:
    """What is picked from ffmpeg's messages, line by line (a file's own metadata is no message)."""

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
class _Stamps:
    """The time stamps of the picture's packets or frames, and of the first of each sound track.

    Args:
        base: Seconds a tick of the picture's stamps.
        codec: The picture's.
        picture: (dts, pts, duration) of each, in ticks.
        sound: Of each track that is listed, by its place among them, the seconds from the file's
            zero to its first sample.
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
    """Read a video file's record. The packets are read through once, and few frames decoded.

    Where packets can't tell when frames are shown (a packet may be a field, or have no time stamp),
    every frame is decoded once as well.

    Raises:
        MagkitError: The file is no video, or of a kind that makes ffmpeg open other files.
    """
    listing, stamps, child = _packets(path)
    if listing.unlisted:
        listing, stamps, child = _packets(path, listing.unlisted)
    if not listing.frames:
        raise open_error(path, child)
    return _describe(path, listing, stamps)


def _packets(path: Path, unlisted: Sequence[int] = ()) -> tuple[_Listing, _Stamps, FFmpegProcess]:
    """What ffmpeg says of a file and its packets; sound tracks of some numbers are passed over."""
    listing, stamps = _Listing(), _Stamps()
    # V leaves out cover pictures and thumbnails. Two outputs: some frames' description, and the
    # packets of the picture and of all sound: in one run all are timed from the same zero.
    few = ["-map", "0:V:0", "-vf", "showinfo=checksum=0", "-fps_mode", "passthrough"]
    few += ["-frames:v", str(_DESCRIBED), "-f", "null", "-"]
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


def _describe(path: Path, listing: _Listing, stamps: _Stamps) -> ProbeResult:
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


def _is_bitmap(listing: _Listing, stamps: _Stamps) -> bool:
    """Whether it is a Windows bitmap, whose fourth byte means nothing (BI_RGB of 32 bits)."""
    return listing.container == "avi" and stamps.codec == "rawvideo"


def _timing(
    path: Path, listing: _Listing, stamps: _Stamps, first: FrameInfo, interlaced: bool
) -> tuple[Fraction, int, Timing]:
    """Seconds from the file's zero to the first frame, how many frames there are, and when."""
    nominal = nominal_rate(Fraction(listing.rate or 0))
    framed = _FRAMED.match(listing.container)
    if _BARE.match(listing.container) or not (listing.has_start or framed):
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


def _packet_ticks(listing: _Listing, stamps: _Stamps, first: FrameInfo) -> list[int]:
    """The time stamps of the packets in the order of the frames; none where they tell no times."""
    if any(pts == _NO_TIME for _, pts, _ in stamps.picture):
        # AVI numbers packets in the order of decoding: as many frames are shown at as many times.
        ticks = sorted(dts for dts, _, _ in stamps.picture) if listing.container == "avi" else []
    else:
        # What comes before the first frame that can be decoded is never shown.
        earliest = -(2**62) if first.time is None else round(first.time / stamps.base) - 1
        ticks = sorted(pts for _, pts, _ in stamps.picture if pts >= earliest)
    return ticks if is_increasing(ticks) else []


def _stated_rate(stamps: _Stamps) -> Fraction | None:
    """The rate that a bare stream states, if it may be a true one.

    ffmpeg makes up its time stamps, or where it can't the lengths of its packets, by that rate.
    """
    ticks = sorted(pts for _, pts, _ in stamps.picture)
    lengths = sorted(duration for _, _, duration in stamps.picture)
    steps = [Fraction(lengths[len(lengths) // 2])]
    if len(ticks) > 1 and ticks[0] != _NO_TIME:
        steps.insert(0, Fraction(ticks[-1] - ticks[0], len(ticks) - 1))
    rates = (snap_rate(1 / (step * stamps.base)) for step in steps if step > 0)
    return next((rate for rate in rates if _SLOWEST <= rate <= _FASTEST), None)


def _last_duration(stamps: _Stamps) -> int:
    """How many ticks the last frame lasts, as its packet says; 0 where that can't be.

    Durations of packets may be those of decoding, or of a rate that nothing keeps to. A step that
    is shorter than half of the shortest between frames is none.
    """
    ordered = sorted((pts, duration) for _, pts, duration in stamps.picture)
    shortest = min((b - a for (a, _), (b, _) in pairwise(ordered)), default=0)
    return ordered[-1][1] if 2 * ordered[-1][1] >= shortest else 0


def _decoded(path: Path, listing: _Listing) -> _Stamps:
    """The time stamps of all frames, by decoding them."""
    stamps = _Stamps()
    # The sound is mapped so that the zero is the same as in the run that read the packets.
    coding = ["-c:v", "wrapped_avframe", "-c:a", "copy", "-enc_time_base", "demux"]
    coding += ["-fps_mode", "passthrough"]
    with ffmpeg([*input_args(path), *_listed(*coding, unlisted=listing.unlisted)]) as child:
        assert child.process.stdout is not None
        stamps.read(child.process.stdout)
        child.finish()
    return stamps


def open_error(path: Path, child: FFmpegProcess) -> MagkitError:
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
