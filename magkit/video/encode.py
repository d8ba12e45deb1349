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

from dataclasses import dataclass
from fractions import Fraction

from magkit.errors import UsageError, did_you_mean
from magkit.video.info import UNKNOWN, ColorRange, VideoInfo

CONTAINERS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif")

PIXEL_FORMATS = (
    *("yuv420p", "yuv422p", "yuv444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le"),
)
"""The pixel formats that can be asked for, as ffmpeg names them."""

# Visually lossless at the size of a screen: a magnified video is looked at closely.
_H264_CRF = 15
_HEVC_CRF = 15
_VP9_CRF = 18

# Players slow a GIF down to 10 frames a second when its frames ask for 10 ms.
GIF_FASTEST = Fraction(50)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the picture is coded.

    Args:
        codec: ffmpeg's arguments for the encoder.
        pixels: ffmpeg's pixel format.
        color_range: How luma is stored.
    """

    codec: tuple[str, ...]
    pixels: str
    color_range: ColorRange


def choose(
    suffix: str,
    info: VideoInfo,
    quality: int | None,
    *,
    deep: bool = False,
    pix_fmt: str | None = None,
) -> Encoding:
    """The encoding of a video file.

    Args:
        suffix: One of `CONTAINERS`.
        info: The clip.
        quality: The constant rate factor, 0 (best) to 51 (63 for VP9); None: near lossless.
        deep: Whether the frames have more than 8 bits.
        pix_fmt: One of `PIXEL_FORMATS`; None: 4:2:0 with 8 bits, or with 10 if `deep`.

    Raises:
        UsageError: The container can't do it.
    """
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
    codec = ("-c:v", "libx264", "-preset", "medium", "-crf", crf, *_order(suffix, info))
    return Encoding(codec, pixels, info.color_range)


def _order(suffix: str, info: VideoInfo) -> tuple[str, ...]:
    """Frames in the order of their times, where the container would lose the last one's length.

    MP4 stores the steps between frames as they are decoded. Reordered frames of uneven lengths
    make the file end too early.
    """
    return ("-bf", "0") if info.times is not None and suffix != ".mkv" else ()


def _hevc(suffix: str, pixels: str, info: VideoInfo, quality: int | None) -> Encoding:
    crf = _rate_factor(quality, _HEVC_CRF, 51)
    # QuickTime plays hvc1, not hev1, which is ffmpeg's own choice.
    tag = () if suffix == ".mkv" else ("-tag:v", "hvc1")
    # x265 obeys its own options alone.
    options = ":".join(("log-level=error", *("bframes=0" for _ in _order(suffix, info)[:1])))
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
    if info.rate > GIF_FASTEST:
        raise UsageError(
            f"a gif plays at most {GIF_FASTEST} frames a second, this clip has "
            f"{float(info.rate):g}",
            hint="choose mp4 or webm",
        )
    return Encoding(("-c:v", "gif", "-loop", "0"), "pal8", "pc")


def _rate_factor(quality: int | None, default: int, worst: int) -> str:
    if quality is not None and not 0 <= quality <= worst:
        raise UsageError(f"quality runs from 0 (best) to {worst}, not {quality}")
    return str(default if quality is None else quality)


def picture_filter(encoding: Encoding, info: VideoInfo, flags: str, raw: str) -> str:
    """The filter that turns raw frames into what the encoder takes, and says what it did."""
    aspect = f"setsar={info.pixel_aspect.numerator}/{info.pixel_aspect.denominator}:max=65535"
    if encoding.pixels == "pal8":
        # A palette for every frame: one for all would need the whole clip at once.
        return (
            f"{aspect},split[a][b];[a]palettegen=stats_mode=single[p];"
            "[b][p]paletteuse=new=1:dither=sierra2_4a"
        )
    # What comes in is RGB, or YCbCr whose full range is to stay (see `raw_pixels`).
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
    """RGB to YCbCr with a colour for every pixel, by zimg (see `decode._to_deep_rgb`)."""
    planes = "gbrp16le" if raw == "rgb48le" else "gbrp"
    span = "full" if encoding.color_range == "pc" else "limited"
    return (
        f"format={planes},zscale=matrixin=gbr:rangein=full:matrix={info.color_matrix}:range={span}"
        f",format={'yuv444p10le' if '10' in encoding.pixels else 'yuv444p'}"
    )


def raw_pixels(encoding: Encoding, *, deep: bool) -> str:
    """The pixel format in which frames are fed; a full range of 8 bits as YCbCr (see `ycbcr`)."""
    if deep and encoding.pixels != "pal8":
        return "rgb48le"
    full = encoding.color_range == "pc" and encoding.pixels != "pal8"
    return "yuv444p" if full and "10" not in encoding.pixels else "rgb24"


def color_args(encoding: Encoding, info: VideoInfo) -> list[str]:
    """The tags by which a player undoes the conversion."""
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
