"""Which codec and pixel format each container gets, so that the result is exact and plays.

H.264 in 4:2:0 is what every player shows, but its size is always even: the cropping rectangle
counts in steps of two pixels. Its 4:4:4 profile has no such limit and is shown by neither QuickTime
nor Firefox nor most hardware. So odd sizes go to a codec that allows them, in a form that players
of the container know: VP9 in mp4 and mkv (browsers, VLC, mpv, Windows), ProRes in mov (QuickTime,
editors). WebM always holds VP9; it stores the displayed size in whole pixels, so that an aspect of
7:6 comes back as 747:640.
"""

from dataclasses import dataclass
from fractions import Fraction

from magkit.errors import UsageError
from magkit.video.info import UNKNOWN, ColorRange, VideoInfo

CONTAINERS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif")

# What plays widely in each container; Matroska takes all that it is likely to meet.
_AAC_FAMILY = {"aac", "mp3", "ac3", "eac3", "alac"}
_CARRIED: dict[str, set[str]] = {
    ".mp4": _AAC_FAMILY | {"opus", "flac"},
    ".m4v": _AAC_FAMILY,
    ".mov": _AAC_FAMILY | {"pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be", "pcm_f32le"},
    ".mkv": _AAC_FAMILY
    | {"opus", "vorbis", "flac", "dts", "truehd", "mp2", "pcm_s16le", "pcm_s24le", "pcm_f32le"},
    ".webm": {"opus", "vorbis"},
}

# Visually lossless at the size of a screen: a magnified video is looked at closely.
_H264_CRF = 15
_VP9_CRF = 18

# Players slow a GIF down to 10 frames a second when its frames ask for 10 ms.
_GIF_FASTEST = Fraction(50)


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


def choose(suffix: str, info: VideoInfo, quality: int | None) -> Encoding:
    """The encoding of a video file.

    Args:
        suffix: One of `CONTAINERS`.
        info: The clip.
        quality: The constant rate factor, 0 (best) to 51 (63 for VP9); None: near lossless.

    Raises:
        UsageError: The container can't do it.
    """
    odd = info.width % 2 == 1 or info.height % 2 == 1
    if suffix == ".gif":
        return _gif(info, quality)
    if suffix == ".mov" and odd:
        return _prores(quality)
    if suffix == ".webm" or odd:
        return _vp9(info, quality)
    crf = _rate_factor(quality, _H264_CRF, 51)
    codec = ("-c:v", "libx264", "-preset", "medium", "-crf", crf)
    return Encoding(codec, "yuv420p", info.color_range)


def _vp9(info: VideoInfo, quality: int | None) -> Encoding:
    crf = _rate_factor(quality, _VP9_CRF, 63)
    rate = ("-crf", crf, "-b:v", "0")
    speed = ("-deadline", "good", "-cpu-used", "4", "-row-mt", "1")
    return Encoding(("-c:v", "libvpx-vp9", *rate, *speed), "yuv420p", info.color_range)


def _prores(quality: int | None) -> Encoding:
    if quality is not None:
        raise UsageError("a mov of odd size is ProRes, which has no quality to set")
    codec = ("-c:v", "prores_ks", "-profile:v", "hq", "-vendor", "apl0")
    return Encoding(codec, "yuv422p10le", "tv")  # ProRes knows no full range


def _gif(info: VideoInfo, quality: int | None) -> Encoding:
    if quality is not None:
        raise UsageError("a gif has no quality to set", hint="choose mp4 or webm")
    if info.rate > _GIF_FASTEST:
        raise UsageError(
            f"a gif plays at most {_GIF_FASTEST} frames a second, this clip has "
            f"{float(info.rate):g}",
            hint="choose mp4 or webm",
        )
    return Encoding(("-c:v", "gif", "-loop", "0"), "pal8", "pc")


def _rate_factor(quality: int | None, default: int, worst: int) -> str:
    if quality is not None and not 0 <= quality <= worst:
        raise UsageError(f"quality runs from 0 (best) to {worst}, not {quality}")
    return str(default if quality is None else quality)


def picture_filter(encoding: Encoding, info: VideoInfo, flags: str) -> str:
    """The filter that turns RGB frames into what the encoder takes, and says what it did."""
    aspect = f"setsar={info.pixel_aspect.numerator}/{info.pixel_aspect.denominator}:max=65535"
    if encoding.pixels == "pal8":
        # A palette for every frame: one for all would need the whole clip at once.
        return (
            f"{aspect},split[a][b];[a]palettegen=stats_mode=single[p];"
            "[b][p]paletteuse=new=1:dither=sierra2_4a"
        )
    # What comes in is RGB, or YCbCr whose full range is to stay (see `raw_pixels`).
    scale = (
        f"scale=in_range=pc:out_range={encoding.color_range}:in_color_matrix={info.color_matrix}"
        f":out_color_matrix={info.color_matrix}:flags={flags}"
    )
    # H.264 and VP9 players take chroma as placed at the left: (0, half) in 256ths of a pixel.
    if encoding.pixels == "yuv420p":
        scale += ":out_h_chr_pos=0:out_v_chr_pos=128"
    tags = (
        f"setparams=range={encoding.color_range}:colorspace={info.color_matrix}"
        f":color_primaries={info.color_primaries}:color_trc={info.color_transfer}"
    )
    return f"{scale},format={encoding.pixels},{tags},{aspect}"


def raw_pixels(encoding: Encoding) -> str:
    """The pixel format in which the encoder is fed."""
    full = encoding.color_range == "pc" and encoding.pixels != "pal8"
    return "yuv444p" if full else "rgb24"


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


def audio_args(suffix: str, codecs: tuple[str, ...], *, cut: bool) -> list[str]:
    """Copy the sound where the container carries it, code it anew where it doesn't."""
    if all(codec in _CARRIED[suffix] for codec in codecs):
        # Without the second option the sound before a cut goes along; with it and no cut, the
        # packet by which AAC warms up would be lost.
        return ["-c:a", "copy", *(["-copypriorss:a", "0"] if cut else [])]
    if suffix == ".webm":
        return ["-c:a", "libopus", "-b:a", "160k"]
    return ["-c:a", "aac", "-b:a", "256k"]
