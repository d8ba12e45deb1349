"""Reading agrees with what ffmpeg was told to make: colours, rates, turns, parts."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.video import count_frames, open_video

Ffmpeg = Callable[..., str]

# The 75 % blue of each standard, worked out by hand: Y, Cb, Cr to the nearest whole number.
FLAT = [
    ("smpte170m", "tv", (35, 212, 114), (0, 0, 191)),
    ("bt709", "tv", (28, 212, 120), (0, 0, 191)),
    ("smpte170m", "pc", (22, 224, 112), (0, 0, 191)),
    ("bt709", "pc", (14, 224, 119), (0, 1, 192)),
]


@pytest.mark.parametrize(("matrix", "span", "ycc", "rgb"), FLAT)
def test_colours_follow_the_tags(
    tmp_path: Path, matrix: str, span: str, ycc: tuple[int, ...], rgb: tuple[int, ...]
) -> None:
    raw = tmp_path / "flat.yuv"
    raw.write_bytes(b"".join(bytes([value]) * 1024 for value in ycc))
    path = tmp_path / "flat.mp4"
    _encode_raw(raw, path, matrix, span)
    video = open_video(path)
    assert (video.info.color_matrix, video.info.color_range) == (matrix, span)
    (frame,) = video
    assert frame.shape == (32, 32, 3)
    assert np.abs(frame.astype(int) - np.array(rgb)).max() <= 1


def _encode_raw(raw: Path, path: Path, matrix: str, span: str) -> None:
    import imageio_ffmpeg

    tags = f"setparams=colorspace={matrix}:range={span}"
    line = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-s", "32x32"]
    line += ["-pix_fmt", "yuv444p", "-i", str(raw), "-vf", tags]
    line += ["-color_range", span, "-colorspace", matrix, "-qp", "0", str(path)]
    subprocess.run(line, check=True)


@pytest.mark.parametrize(("size", "matrix"), [("720x576", "smpte170m"), ("1280x720", "bt709")])
def test_untagged_colours_follow_the_size(
    tmp_path: Path, ffmpeg: Ffmpeg, size: str, matrix: str
) -> None:
    path = tmp_path / "plain.avi"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:d=0.04", "-c:v", "mpeg4", path)
    assert open_video(path).info.color_matrix == matrix


def test_rgb_in_a_video_is_read_as_it_is(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "rgb.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=0x4080C0:s=16x16:d=0.04,format=rgb24", "-c:v", "png", path)
    (frame,) = open_video(path)
    assert (frame == (0x40, 0x80, 0xC0)).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm", ".flv"])
@pytest.mark.parametrize("rate", ["30000/1001", "25"])
def test_rate_and_count_are_exact(tmp_path: Path, ffmpeg: Ffmpeg, suffix: str, rate: str) -> None:
    path = tmp_path / f"clip{suffix}"
    source = f"testsrc2=s=32x32:r={rate}"
    codec = {".flv": ["-c:v", "flv"], ".avi": ["-c:v", "mpeg4"]}.get(suffix, [])
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", "37", *codec, path)
    video = open_video(path)
    assert sum(1 for _ in video) == 37
    assert count_frames(path) == 37
    # FLV and MPEG-TS say no rate; ffmpeg finds the common ones in the timestamps.
    assert video.info.rate == Fraction(rate)


def test_a_turned_clip_comes_upright(tmp_path: Path, ffmpeg: Ffmpeg, clip: Path) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", clip, "-c", "copy", turned)
    video = open_video(turned)
    assert (video.info.width, video.info.height) == (48, 64)
    upright, flat = next(iter(video)), next(iter(open_video(clip)))
    # Chroma is enlarged along other axes, so only nearly the same.
    assert np.abs(np.rot90(flat).astype(int) - upright).mean() < 3
    assert np.abs(np.rot90(flat, 3).astype(int) - upright).mean() > 20


@pytest.mark.parametrize("degrees", ["10", "30"])
def test_a_turn_by_no_quarter_is_read_whole(
    tmp_path: Path, ffmpeg: Ffmpeg, clip: Path, degrees: str
) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", degrees, "-i", clip, "-c", "copy", turned)
    video = open_video(turned)
    assert (float(video.info.rate), video.info.frames) == (25, 50)
    assert sum(1 for _ in video) == 50


def test_pixel_aspect_is_kept_and_turns_with_the_clip(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    wide, turned = tmp_path / "wide.mp4", tmp_path / "turned.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x42:d=0.2,setsar=7/6", wide)
    ffmpeg("-display_rotation", "90", "-i", wide, "-c", "copy", turned)
    assert open_video(wide).info.pixel_aspect == Fraction(7, 6)
    assert open_video(turned).info.pixel_aspect == Fraction(6, 7)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_uneven_frames_come_once_each_at_their_times(
    tmp_path: Path, ffmpeg: Ffmpeg, suffix: str
) -> None:
    path = tmp_path / f"uneven{suffix}"
    # A second at 30, then every fifth frame for three seconds and the last one.
    keep = "select='lt(n,30)+not(mod(n,5))+eq(n,119)'"
    source = "testsrc2=s=32x32:r=30:d=4"
    ffmpeg("-f", "lavfi", "-i", source, "-vf", keep, "-fps_mode", "vfr", path)
    video = open_video(path)
    assert sum(1 for _ in video) == 30 + 18 + 1
    shown = [*range(30), *range(30, 119, 5), 119]
    assert video.info.times is not None
    np.testing.assert_allclose(video.info.times[:-1], np.array(shown) / 30, atol=1e-3)
    assert float(video.info.rate) == pytest.approx(49 / video.info.duration, rel=1e-3)


PARTS = [(0.0, None), (0.4, None), (None, 0.36), (0.4, 1.0), (0.41, 0.99), (1.96, None), (0, 2)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_part_is_exact_to_the_frame(
    tmp_path: Path, ffmpeg: Ffmpeg, clip: Path, suffix: str
) -> None:
    path = tmp_path / f"other{suffix}"
    ffmpeg("-i", clip, "-an", "-c", "copy", path)
    whole = list(open_video(path))
    for start, end in PARTS:
        part = open_video(path, start=start, end=end)
        frames = list(part)
        expected = [
            frame
            for n, frame in enumerate(whole)
            if (start is None or n / 25 >= start) and (end is None or n / 25 < end)
        ]
        assert len(frames) == len(expected) == part.info.frames, (start, end)
        assert all(np.array_equal(a, b) for a, b in zip(frames, expected, strict=True))


@pytest.mark.parametrize(("suffix", "offset"), [(".mp4", 0), (".mkv", 0), (".mkv", 1.5)])
def test_a_part_far_into_the_clip_is_sought_exactly(
    tmp_path: Path, ffmpeg: Ffmpeg, suffix: str, offset: float
) -> None:
    path = tmp_path / f"long{suffix}"
    source = "testsrc2=s=32x32:r=30000/1001:d=20"
    keys = ["-pix_fmt", "yuv420p", "-g", "50", "-bf", "3"]
    ffmpeg("-f", "lavfi", "-i", source, *keys, "-output_ts_offset", str(offset), path)
    whole = list(open_video(path))
    for start in (5.0, 9.5, 16.0):
        frames = list(open_video(path, start=start, end=start + 0.5))
        first = next(n for n in range(len(whole)) if n * 1001 / 30000 >= start)
        assert len(frames) == 15
        assert all(np.array_equal(a, b) for a, b in zip(frames, whole[first:], strict=False))


BAD_PARTS = [(-1.0, None), (float("nan"), None), (1.0, 1.0), (1.0, 0.5), (9.0, None), (9.0, 10.0)]


@pytest.mark.parametrize(("start", "end"), BAD_PARTS)
def test_a_part_outside_the_clip_is_refused(
    clip: Path, start: float | None, end: float | None
) -> None:
    with pytest.raises(UsageError):
        open_video(clip, start=start, end=end)


@pytest.mark.parametrize(("end", "warned"), [(2.05, False), (2.5, True), (1e6, True)])
def test_an_end_past_the_picture_takes_all_there_is(
    clip: Path, end: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    part = open_video(clip, start=1.0, end=end)
    assert part.info.frames == len(list(part)) == 25
    assert ("2.00 s" in caplog.text) == warned


def test_an_end_past_a_folder_takes_all_frames(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(6):
        Image.new("L", (8, 6), number).save(tmp_path / f"{number}.png")
    assert len(list(open_video(tmp_path, end=3.0))) == 6
    assert "0.25 s" in caplog.text


def test_iterating_twice_gives_the_same_frames_and_writable_ones(clip: Path) -> None:
    video = open_video(clip)
    first, second = list(video), list(video)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    first[0][:] = 0


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts processes through /proc")
def test_the_reader_ends_when_iteration_stops_early(clip: Path) -> None:
    others = _children()
    frames = iter(open_video(clip))
    next(frames)
    assert _children() - others
    del frames
    gc.collect()
    assert not _children() - others


def _children() -> set[str]:
    mine = f"/proc/{os.getpid()}/task"
    return {c for t in Path(mine).iterdir() for c in (t / "children").read_text().split()}


@pytest.mark.parametrize("size", ["1x1", "5x3", "2x2"])
def test_tiny_clips_are_read(tmp_path: Path, ffmpeg: Ffmpeg, size: str) -> None:
    path = tmp_path / "tiny.mkv"
    ffmpeg("-f", "lavfi", "-i", f"color=red:s={size}:d=0.04,format=gbrp", "-c:v", "ffv1", path)
    (frame,) = open_video(path)
    assert "{1}x{0}".format(*frame.shape) == size
    assert frame[..., 0].min() >= 252
    assert frame[..., 1:].max() <= 2


CLIPS = {
    "evm_baby.mp4": (301, "30", 960, 544),
    "evm_wrist.mp4": (894, "30", 640, 352),
    "evm_guitar.mp4": (300, "30000/1001", 432, 192),
    "crane_crop.mp4": (212, "24", 280, 280),
    "water.avi": (180, "30", 568, 320),
    "butterfly.mp4": (25, "30", 1280, 720),
    "candle.mp4": (470, "25", 640, 360),
    "twocats.mp4": (261, "30", 908, 760),
    "vibration/input/tuning_hz32_fps250_50-1_640x420.mp4": (888, "50", 640, 420),
}


@pytest.mark.parametrize("name", CLIPS)
def test_real_clips_are_read_whole(data_root: Path, name: str) -> None:
    """To their last frame, and through all of them where they are small."""
    frames, rate, width, height = CLIPS[name]
    path = data_root / "clips" / name
    video = open_video(path)
    assert (video.info.width, video.info.height) == (width, height)
    assert video.info.rate == Fraction(rate)
    assert video.info.frames == frames
    if frames * width * height > 40_000_000:
        video = open_video(path, start=video.info.time_of(frames - 5))
        frames = 5
    assert sum(1 for _ in video) == frames


def test_real_clips_keep_what_makes_them_special(data_root: Path) -> None:
    clips = data_root / "clips"
    crane = open_video(clips / "crane_crop.mp4").info
    assert (crane.color_range, crane.color_matrix, crane.has_audio) == ("pc", "bt470bg", True)
    fork = open_video(clips / "vibration/input/tuning_hz32_fps250_50-1_640x420.mp4").info
    assert (fork.color_matrix, fork.pixel_aspect) == ("bt709", Fraction(7, 6))
    assert open_video(clips / "evm_baby.mp4").info.color_matrix == "smpte170m"


PEAK = """
import resource, sys
from pathlib import Path
from magkit.video import open_video
n = sum(1 for _ in open_video(Path(sys.argv[1])))
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_memory_does_not_grow_with_the_length(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    peaks = []
    for seconds in (1, 20):
        path = tmp_path / f"{seconds}.mp4"
        source = f"testsrc2=s=320x240:r=25:d={seconds}"
        ffmpeg("-f", "lavfi", "-i", source, "-preset", "ultrafast", path)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, check=True, text=True
        )
        frames, peak = map(int, done.stdout.split())
        assert frames == 25 * seconds
        peaks.append(peak)
    # 475 more frames are 107 MiB; the two runs may differ by a twentieth of that.
    assert peaks[1] - peaks[0] < 6 * 1024 * (1024 if sys.platform == "darwin" else 1)


def test_no_moving_picture_is_said_plainly(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "sound.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", path)
    with pytest.raises(MagkitError, match="no moving picture"):
        open_video(path)
