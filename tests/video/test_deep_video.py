"""More than 8 bits stay, transparency lies over black, and fields are seen and removed."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions, WriteOptions, open_video, plain_info, write_video

Ffmpeg = Callable[..., str]
Describe = Callable[[Path], str]

# Steps of 1/1023 are lost in 8 bits: a grey ramp over 64 neighbouring levels of 10 bits.
RAMP = "nullsrc=s=64x48:r=25:d=0.2,format=gray10le,geq=lum='400+X'"


@pytest.fixture
def hlg(tmp_path: Path, ffmpeg: Ffmpeg) -> Path:
    """A ramp as phones film it: HEVC, 10 bits, BT.2020, hybrid log-gamma."""
    path = tmp_path / "hlg.mov"
    tags = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=arib-std-b67:range=tv"
    options = (
        "lossless=1:log-level=error:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"
    )
    args = ["-c:v", "libx265", "-x265-params", options, "-tag:v", "hvc1"]
    ramp = RAMP.replace("format=gray10le", "format=yuv420p10le")
    ffmpeg(
        "-f", "lavfi", "-i", f"{ramp}:cb=512:cr=512,{tags}", "-pix_fmt", "yuv420p10le", *args, path
    )
    return path


def test_deep_frames_are_what_is_stored(hlg: Path) -> None:
    video = open_video(hlg, ReadOptions(deep=True))
    assert video.info.bits == 10
    frame = next(iter(video))
    assert frame.dtype == np.uint16
    # Studio range of 10 bits: (Y - 64) / 876, ITU-R BT.2100 table 9.
    expected = (400 + np.arange(64) - 64) / 876 * 65535
    np.testing.assert_allclose(frame[10, :, 1], expected, atol=40)
    shallow = next(iter(open_video(hlg)))
    assert shallow.dtype == np.uint8
    np.testing.assert_allclose(shallow[10, :, 1], expected / 257, atol=1)


def test_odd_sizes_of_ten_bits_go_in_and_out(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    odd, path = tmp_path / "odd.mkv", tmp_path / "out.mp4"
    ramp = RAMP.replace("64x48", "63x47").replace("gray10le", "yuv420p10le")
    ffmpeg("-f", "lavfi", "-i", f"{ramp}:cb=512:cr=512", "-c:v", "ffv1", odd)
    video = open_video(odd, ReadOptions(deep=True))
    write_video(path, video, video.info)
    again = open_video(path, ReadOptions(deep=True))
    assert (again.info.width, again.info.height, again.info.bits) == (63, 47, 10)
    before, after = next(iter(video)), next(iter(again))
    assert np.abs(before.astype(int) - after).max() <= 3 * 64


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "hevc"), (".mov", "hevc"), (".mkv", "hevc"), (".webm", "vp9")]
)
def test_ten_bits_and_tags_stay(
    tmp_path: Path, describe: Describe, hlg: Path, suffix: str, codec: str
) -> None:
    video, path = open_video(hlg, ReadOptions(deep=True)), tmp_path / f"out{suffix}"
    write_video(path, video, video.info)
    assert re.search(
        rf"Video: {codec}.*yuv420p10le\(tv, bt2020nc/bt2020/arib-std-b67", describe(path)
    )
    before, after = next(iter(video)), next(iter(open_video(path, ReadOptions(deep=True))))
    # A step of 10 bits is 64 of 16.
    assert np.abs(before.astype(int) - after).max() <= 2 * 64
    assert len(np.unique(after[..., 1])) > 40


def test_eight_bits_are_written_where_they_are_asked_for(
    tmp_path: Path, describe: Describe, hlg: Path
) -> None:
    video, path = open_video(hlg, ReadOptions(deep=True)), tmp_path / "out.mp4"
    write_video(path, video, video.info, WriteOptions(pix_fmt="yuv420p"))
    assert re.search(r"Video: h264.*yuv420p\(tv, bt2020nc/bt2020/arib-std-b67", describe(path))
    gif, folder = tmp_path / "out.gif", tmp_path / "out"
    assert write_video(gif, video, video.info) == write_video(folder, video, video.info) == 5
    assert next(iter(open_video(folder))).dtype == np.uint8


FORMATS = [
    *((".mp4", name) for name in ("yuv422p", "yuv444p", "yuv444p10le")),
    *((".webm", name) for name in ("yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le")),
    (".mov", "yuv422p10le"),
    (".mkv", "yuv422p10le"),
]


@pytest.mark.parametrize(("suffix", "pix_fmt"), FORMATS)
def test_pixel_formats_are_written_as_asked(
    tmp_path: Path, describe: Describe, clip: Path, suffix: str, pix_fmt: str
) -> None:
    video, path = open_video(clip, end=0.2), tmp_path / f"out{suffix}"
    write_video(path, video, video.info, WriteOptions(pix_fmt=pix_fmt))
    assert re.search(rf"Video: .*\b{pix_fmt}\(", describe(path))
    for before, after in zip(video, open_video(path), strict=True):
        assert np.abs(before.astype(int) - after).mean() < 8


@pytest.mark.parametrize(
    ("suffix", "pix_fmt"), [(".mp4", "yuv999"), (".gif", "yuv420p"), ("", "yuv420p")]
)
def test_pixel_formats_that_are_refused(
    tmp_path: Path, clip: Path, suffix: str, pix_fmt: str
) -> None:
    video = open_video(clip, end=0.2)
    with pytest.raises(UsageError):
        write_video(tmp_path / f"out{suffix}", video, video.info, WriteOptions(pix_fmt=pix_fmt))
    assert list(tmp_path.glob("out*")) == []


def test_a_full_range_of_ten_bits_comes_back(tmp_path: Path) -> None:
    from dataclasses import replace

    ramp = np.linspace(20000, 24000, 64).astype(np.uint16)
    frame = np.broadcast_to(ramp[None, :, None], (48, 64, 3))
    info = replace(plain_info(64, 48, Fraction(25), 3), color_range="pc", bits=10)
    path = tmp_path / "out.mp4"
    write_video(path, [frame] * 3, info, WriteOptions(quality=0))
    video = open_video(path, ReadOptions(deep=True))
    assert video.info.color_range == "pc"
    assert np.abs(next(iter(video)).astype(int) - frame).max() <= 2 * 64


# A white picture that is transparent on its left half, half transparent in a band, else opaque.
OPACITY = "255*gte(X,32)-128*between(X,48,55)"
ALPHA = f"nullsrc=s=64x48:r=25:d=0.2,format=rgba,geq=r=255:g=255:b=255:a='{OPACITY}'"
CODECS = {
    "png.mov": ["-c:v", "png", "-pix_fmt", "rgba"],
    "qtrle.mov": ["-c:v", "qtrle"],
    "prores.mov": ["-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"],
    "vp9.webm": ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-crf", "0", "-b:v", "0"],
    "vp8.webm": ["-c:v", "libvpx", "-pix_fmt", "yuva420p", "-crf", "4", "-auto-alt-ref", "0"],
    "ffv1.mkv": ["-c:v", "ffv1", "-pix_fmt", "yuva444p"],
    "utvideo.avi": ["-c:v", "utvideo", "-pix_fmt", "gbrap"],
    "raw.nut": ["-c:v", "rawvideo", "-pix_fmt", "bgra"],
}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", CODECS)
def test_what_is_transparent_lies_over_black(
    tmp_path: Path, ffmpeg: Ffmpeg, name: str, deep: bool
) -> None:
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", ALPHA, *CODECS[name], path)
    frame = next(iter(open_video(path, ReadOptions(deep=deep))))
    levels = frame[24].mean(-1) / np.iinfo(frame.dtype).max
    assert levels[4:28].max() < 0.03
    assert levels[34:46].min() > 0.97
    assert levels[50:54] == pytest.approx(127 / 255, abs=0.03)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("png", ".mov"), ("qtrle", ".mov"), ("ffv1", ".mkv"), ("rawvideo", ".nut")],
)
@pytest.mark.parametrize("level", [200, 255])
def test_what_is_opaque_keeps_its_level(
    tmp_path: Path, ffmpeg: Ffmpeg, codec: str, suffix: str, level: int
) -> None:
    path = tmp_path / f"opaque{suffix}"
    grey = f"color=0x{level:02x}{level:02x}{level:02x}:s=64x48:d=0.1,format=bgra"
    ffmpeg("-f", "lavfi", "-i", grey, "-c:v", codec, path)
    assert (next(iter(open_video(path))) == level).all()


def test_the_fourth_byte_of_a_bitmap_means_nothing(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    """Recorders leave it 0; ffmpeg calls it opacity."""
    raw, path = tmp_path / "pixels", tmp_path / "bitmap.avi"
    raw.write_bytes(bytes([10, 100, 200, 0]) * 64 * 48 * 3)
    form = ["-f", "rawvideo", "-pix_fmt", "bgra", "-s", "64x48", "-r", "25"]
    ffmpeg(*form, "-i", raw, "-c:v", "rawvideo", path)
    assert (next(iter(open_video(path))) == (200, 100, 10)).all()


def test_floating_point_is_written_and_read_back(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path, out = tmp_path / "float.mkv", tmp_path / "out"
    codec = ["-c:v", "ffv1", "-level", "4", "-strict", "-2", "-pix_fmt", "gbrpf32le"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2:r=25", *codec, path)
    video = open_video(path, ReadOptions(deep=True))
    write_video(out, video, video.info)
    assert open_video(out).info.frames == 5


def test_a_matrix_that_is_not_converted_is_named(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "ycgco.mp4"
    tags = ["-vf", "setparams=colorspace=ycgco", "-colorspace", "ycgco", "-pix_fmt", "yuv420p"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", *tags, path)
    with pytest.raises(MagkitError, match="ycgco"):
        open_video(path)


@pytest.fixture
def combed(tmp_path: Path, ffmpeg: Ffmpeg) -> Path:
    """25 interlaced frames a second, of a box that moves 4 pixels from field to field."""
    path = tmp_path / "combed.mkv"
    box = "nullsrc=s=128x96:r=50:d=2,geq=lum='235*between(X-mod(4*N,96),0,24)':cb=128:cr=128"
    fields = f"{box},tinterlace=mode=interleave_top,setfield=tff"
    flags = ["-flags", "+ilme+ildct", "-x264-params", "tff=1", "-qp", "0", "-pix_fmt", "yuv420p"]
    ffmpeg("-f", "lavfi", "-i", fields, "-c:v", "libx264", *flags, path)
    return path


def combing(frame: np.ndarray) -> float:
    """How much neighbouring rows differ, beyond rows two apart."""
    rows = frame[..., 1].astype(float)
    return float(np.abs(rows[1:] - rows[:-1]).mean() - np.abs(rows[2:] - rows[:-2]).mean())


def test_fields_are_warned_of_and_removed(combed: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = open_video(combed)
    assert "--deinterlace" in caplog.text
    caplog.clear()
    made = open_video(combed, ReadOptions(deinterlace=True))
    assert not caplog.text
    assert (left.info.interlaced, made.info.interlaced) == (True, False)
    before, after = list(left), list(made)
    assert len(before) == len(after) == left.info.frames == 50
    assert combing(before[10]) > 5 * max(combing(after[10]), 0.5)


def test_progressive_clips_are_warned_of_if_they_are_to_be_deinterlaced(
    clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not open_video(clip).info.interlaced
    assert not caplog.text
    open_video(clip, ReadOptions(deinterlace=True))
    assert "isn't marked as interlaced" in caplog.text
