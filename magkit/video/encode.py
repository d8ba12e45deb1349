"""The codec and pixel format of each container, so that the result is exact and plays.

H.264 in 4:2:0 is what every player shows, but its size is always even: the cropping rectangle
counts in steps of two pixels. Its 4:4:4 profile has no such limit and is shown by neither QuickTime
nor Firefox nor most hardware. So odd sizes go to a codec that allows them, in a form that players
of the container know: VP9 in mp4 and mkv (browsers, VLC, mpv, Windows), ProRes in mov (QuickTime,
editors). WebM always holds VP9; it stores the displayed size in whole pixels, so that an aspect of
7:6 comes back as 747:640.

More than 8 bits go to HEVC's Main 10 profile, which phones, televisions and QuickTime play (H.264's
High 10 is played by hardly any hardware), and in WebM to VP9's profile 2.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from magkit.errors import UsageError, did_you_mean
from magkit.video.info import LUMA_WEIGHTS, UNKNOWN, ColorRange, Frame, StaticHdr, VideoInfo
from magkit.video.sound import AudioTracks

CONTAINERS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif")

PIXEL_FORMATS = (
    *("yuv420p", "yuv422p", "yuv444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le"),
)
"""ffmpeg's names of the pixel formats that can be written."""

# Visually lossless at the size of a screen.
_H264_CRF = 15
_HEVC_CRF = 15
_VP9_CRF = 18

# Players show frames of 10 ms for 100 ms.
GIF_MAX_RATE = Fraction(50)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Options of writing a clip.

    Args:
        audio: The sound tracks that are kept; a gif and a folder hold none.
        rate: The constant rate at which unevenly spaced frames are written; None: at their times.
        quality: The encoder's constant rate factor, 0 (best) to 51 (63 for VP9); None: near
            lossless.
        pix_fmt: One of `PIXEL_FORMATS`; None: 4:2:0 with the frames' depth, at most 10 bits.
        overwrite: Replace an existing result (never the source).
    """

    audio: AudioTracks = "all"
    rate: Fraction | None = None
    quality: int | None = None
    pix_fmt: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Encoding:
    """ffmpeg's arguments for an encoder, its pixel format, and the range of stored luma."""

    codec: tuple[str, ...]
    pixels: str
    color_range: ColorRange


def choose_encoding(suffix: str, info: VideoInfo, options: WriteOptions, *, deep: bool) -> Encoding:
    """The encoding of a video file.

    Args:
        suffix: One of `CONTAINERS`.
        info: The clip.
        options: Of these, `quality` and `pix_fmt` count.
        deep: Whether the frames have more than 8 bits.

    Raises:
        UsageError: The container doesn't support the options.
    """
    quality, pix_fmt = options.quality, options.pix_fmt
    if pix_fmt is not None and pix_fmt not in PIXEL_FORMATS:
        raise UsageError(f"'{pix_fmt}' is no pixel format", did_you_mean(pix_fmt, PIXEL_FORMATS))
    if suffix == ".gif":
        return _gif(info, quality, pix_fmt)
    pixels = pix_fmt or ("yuv420p10le" if deep else "yuv420p")
    odd = "444" not in pixels and (info.width % 2 == 1 or info.height % 2 == 1)
    if suffix == ".mov" and (odd or pixels == "yuv422p10le"):
        return _prores(quality, pix_fmt)
    if suffix == ".webm" or odd:
        return _vp9(pixels, info, quality)
    if "10" in pixels:
        return _hevc(suffix, pixels, info, quality)
    crf = _rate_factor(quality, _H264_CRF, 51)
    codec = ("-c:v", "libx264", "-preset", "medium", "-crf", crf, *_no_b_frames(suffix, info))
    return Encoding(codec, pixels, info.color_range)


def _no_b_frames(suffix: str, info: VideoInfo) -> tuple[str, ...]:
    """Disable B-frames of unevenly spaced frames in MP4.

    MP4 stores intervals in decoding order; reordered frames would shorten the last one.
    """
    return ("-bf", "0") if info.times is not None and suffix != ".mkv" else ()


def _hevc(suffix: str, pixels: str, info: VideoInfo, quality: int | None) -> Encoding:
    crf = _rate_factor(quality, _HEVC_CRF, 51)
    # QuickTime plays hvc1, not hev1, which is ffmpeg's own choice.
    tag = () if suffix == ".mkv" else ("-tag:v", "hvc1")
    options = ":".join(("log-level=error", *("bframes=0" for _ in _no_b_frames(suffix, info)[:1])))
    codec = ("-c:v", "libx265", "-preset", "medium", "-crf", crf, "-x265-params", options, *tag)
    return Encoding(codec, pixels, info.color_range)


def _vp9(pixels: str, info: VideoInfo, quality: int | None) -> Encoding:
    crf = _rate_factor(quality, _VP9_CRF, 63)
    rate = ("-crf", crf, "-b:v", "0")
    speed = ("-deadline", "good", "-cpu-used", "4", "-row-mt", "1")
    return Encoding(("-c:v", "libvpx-vp9", *rate, *speed), pixels, info.color_range)


def _prores(quality: int | None, pix_fmt: str | None) -> Encoding:
    if quality is not None:
        raise UsageError("a mov of odd size or 4:2:2 is ProRes, which has no quality to set")
    if pix_fmt not in {None, "yuv422p10le"}:
        raise UsageError(
            f"a mov of odd size is ProRes, which can't be {pix_fmt}",
            hint="choose yuv444p or yuv422p10le, or mp4",
        )
    codec = ("-c:v", "prores_ks", "-profile:v", "hq", "-vendor", "apl0")
    return Encoding(codec, "yuv422p10le", "tv")  # ProRes knows no full range


def _gif(info: VideoInfo, quality: int | None, pix_fmt: str | None) -> Encoding:
    if quality is not None or pix_fmt is not None:
        setting = "quality" if pix_fmt is None else "pixel format"
        raise UsageError(f"a gif has no {setting} to set", hint="choose mp4 or webm")
    if info.rate > GIF_MAX_RATE:
        raise UsageError(
            f"a gif plays at most {GIF_MAX_RATE} frames a second, this clip has "
            f"{float(info.rate):g}",
            hint="choose mp4 or webm",
        )
    return Encoding(("-c:v", "gif", "-loop", "0"), "pal8", "pc")


def _rate_factor(quality: int | None, default: int, worst: int) -> str:
    if quality is not None and not 0 <= quality <= worst:
        raise UsageError(f"quality runs from 0 (best) to {worst}, not {quality}")
    return str(default if quality is None else quality)


def picture_filter(encoding: Encoding, info: VideoInfo, flags: str, raw: str) -> str:
    """The filter that converts raw frames to the encoder's pixel format and tags their colours."""
    aspect = f"setsar={info.pixel_aspect.numerator}/{info.pixel_aspect.denominator}:max=65535"
    if encoding.pixels == "pal8":
        # A palette for every frame: one for all would need the whole clip at once.
        return (
            f"{aspect},split[a][b];[a]palettegen=stats_mode=single[p];"
            "[b][p]paletteuse=new=1:dither=sierra2_4a"
        )
    # The input is RGB, or full-range YCbCr (see `raw_pixels`).
    deep = raw == "rgb48le" or "10" in encoding.pixels
    spans = (encoding.color_range if deep else "pc", encoding.color_range)
    scale = (
        f"scale=in_range={spans[0]}:out_range={spans[1]}:in_color_matrix={info.color_matrix}"
        f":out_color_matrix={info.color_matrix}:flags={flags}"
    )
    # H.264 and VP9 players take chroma as placed at the left: (0, half) in 256ths of a pixel.
    if encoding.pixels.startswith("yuv420p"):
        scale += ":out_h_chr_pos=0:out_v_chr_pos=128"
    tags = (
        f"setparams=range={encoding.color_range}:colorspace={info.color_matrix}"
        f":color_primaries={info.color_primaries}:color_trc={info.color_transfer}"
    )
    to_ycbcr = f"{_deep_filter(encoding, info, raw)}," if deep else ""
    return f"{to_ycbcr}{scale},format={encoding.pixels},{tags},{aspect}"


def _deep_filter(encoding: Encoding, info: VideoInfo, raw: str) -> str:
    """RGB to 4:4:4 YCbCr by zimg (see `decode._to_deep_rgb`)."""
    planes = "gbrp16le" if raw == "rgb48le" else "gbrp"
    span = "full" if encoding.color_range == "pc" else "limited"
    return (
        f"format={planes},zscale=matrixin=gbr:rangein=full:matrix={info.color_matrix}:range={span}"
        f",format={'yuv444p10le' if '10' in encoding.pixels else 'yuv444p'}"
    )


def raw_pixels(encoding: Encoding, *, deep: bool) -> str:
    """The pixel format that is piped to ffmpeg; YCbCr for full-range 8-bit clips."""
    if deep and encoding.pixels != "pal8":
        return "rgb48le"
    full = encoding.color_range == "pc" and encoding.pixels != "pal8"
    return "yuv444p" if full and "10" not in encoding.pixels else "rgb24"


def color_args(encoding: Encoding, info: VideoInfo) -> list[str]:
    """The ffmpeg arguments that tag the colours."""
    if encoding.pixels == "pal8":
        return []
    args = ["-color_range", encoding.color_range, "-colorspace", info.color_matrix]
    args += ["-chroma_sample_location", "left"]
    for flag, value in (
        ("-color_primaries", info.color_primaries),
        ("-color_trc", info.color_transfer),
    ):
        if value != UNKNOWN:
            args += [flag, value]
    return args


def to_ycbcr(frame: Frame, matrix: str) -> Frame:
    """Convert uint8 RGB (H, W, 3) to full-range YCbCr (3, H, W), chroma around 128.

    Args:
        frame: The frame.
        matrix: A key of `LUMA_WEIGHTS`.
    """
    red, blue = LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    rows = [luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)]
    planes = np.stack(rows).astype(np.float32) @ frame.reshape(-1, 3).T.astype(np.float32)
    planes += np.array([[0.5], [128.5], [128.5]], np.float32)  # the half rounds
    return planes.clip(0, 255).astype(np.uint8).reshape(3, *frame.shape[:2])


_UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"

# FourCCs of raw pixel formats (libavcodec/raw.c).
_FOURCC = {
    "rgb24": b"RGB\x18",
    "rgb48le": b"RGB0",
    "yuv444p": b"444P",
}


def stream_header(width: int, height: int, pixels: str, hdr: StaticHdr | None = None) -> bytes:
    """The header of a Matroska stream of raw frames.

    Args:
        width: In pixels.
        height: In pixels.
        pixels: ffmpeg's pixel format: rgb24, rgb48le or yuv444p.
        hdr: Static HDR metadata.
    """
    kind = _number("4286", 1) + _number("42F7", 1) + _number("42F2", 4) + _number("42F3", 8)
    kind += _element("4282", b"matroska") + _number("4287", 4) + _number("4285", 2)
    info = _number("2AD7B1", 1)  # nanoseconds per tick
    info += _element("4D80", b"magkit") + _element("5741", b"magkit")
    video = _number("B0", width) + _number("BA", height) + _element("2EB524", _FOURCC[pixels])
    video += _colour(hdr) if hdr else b""
    track = _number("D7", 1) + _number("73C5", 1) + _number("83", 1)
    track += _element("86", b"V_UNCOMPRESSED") + _element("E0", video)
    segment = bytes.fromhex("18538067") + _UNKNOWN_SIZE
    tracks = _element("1654AE6B", _element("AE", track))
    return _element("1A45DFA3", kind) + segment + _element("1549A966", info) + tracks


def _colour(hdr: StaticHdr) -> bytes:
    """The element Colour (RFC 9559, 5.1.4.1.28.16)."""
    levels = zip(("55BC", "55BD"), hdr.light_levels or (), strict=False)
    display = b""
    for number, value in enumerate(value for point in hdr.primaries or () for value in point):
        display += _real(f"{0x55D1 + number:X}", value)
    for identifier, value in zip(("55DA", "55D9"), hdr.luminance or (), strict=False):
        display += _real(identifier, value)
    content = b"".join(_number(identifier, level) for identifier, level in levels)
    return _element("55B0", content + (_element("55D0", display) if display else b""))


def frame_header(start: float, end: float, size: int) -> bytes:
    """The header of a frame of `size` bytes that is shown from `start` to `end` seconds."""
    first, last = round(start * 1e9), round(end * 1e9)
    stamp, duration = _number("E7", first), _number("9B", last - first)
    # Track 1, offset 0 from the cluster's time, no flags.
    block = b"\x81\0\0\0"
    block = _head("A1", len(block) + size) + block
    group = _head("A0", len(duration) + len(block) + size) + duration + block
    return _head("1F43B675", len(stamp) + len(group) + size) + stamp + group


def _head(identifier: str, size: int) -> bytes:
    """An element's identifier and its size in eight bytes (RFC 8794)."""
    return bytes.fromhex(identifier) + (size | 1 << 56).to_bytes(8, "big")


def _element(identifier: str, content: bytes) -> bytes:
    return _head(identifier, len(content)) + content


def _number(identifier: str, value: int) -> bytes:
    return _element(identifier, value.to_bytes(8, "big"))


def _real(identifier: str, value: float) -> bytes:
    return _element(identifier, struct.pack(">d", value))
