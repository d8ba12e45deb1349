"""Streams whose clock may start anew: a long pause is kept, a restart or a wrap is none."""

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from magkit.video import open_video, write_video

Ffmpeg = Callable[..., str]

RATE = 8000
LAVFI = ["-f", "lavfi", "-i"]


def write_paused(path: Path, ffmpeg: Ffmpeg, pause: int) -> None:
    """Two seconds, a pause, two seconds; beeps at 1 and 3 s, the pause not counted."""
    tone = "aevalsrc='.8*sin(2*PI*1000*t)*(between(t,1,1.2)+between(t,3,3.2))':s=48000:d=4"
    sources = [*LAVFI, "testsrc2=s=64x48:r=25:d=4", *LAVFI, tone]
    shift = ["-vf", f"setpts='PTS+gte(N,50)*{pause}/TB'"]
    shift += ["-af", f"asetpts='PTS+gte(T,2)*{pause}/TB'"]
    codec = "mpeg2video" if path.suffix == ".vob" else "libx264"
    as_timed = ["-fps_mode", "passthrough", "-enc_time_base:v", "1/25", "-pix_fmt", "yuv420p"]
    ffmpeg(*sources, *shift, "-c:v", codec, *as_timed, path)


def long_steps(times: tuple[float, ...] | None) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times or ()) if later - earlier > 0.1]


def beeps(path: Path, ffmpeg: Ffmpeg) -> list[float]:
    """Seconds from the file's zero to each beep; gaps in the sound count."""
    raw = path.with_suffix(".raw")
    filled = ["-af", "aresample=async=1:first_pts=0", "-ar", RATE, "-ac", 1, "-f", "s16le"]
    ffmpeg("-i", path, "-map", "0:a:0", *filled, raw)
    on = np.flatnonzero(np.abs(np.frombuffer(raw.read_bytes(), "<i2").astype(int)) > 5000)
    starts = on[np.insert(np.diff(on) > RATE // 2, 0, True)]
    return [float(start / RATE) for start in starts]


@pytest.mark.parametrize(
    ("source", "pause", "result"),
    [(".ts", 15, ".mp4"), (".ts", 60, ".webm"), (".m2ts", 60, ".mkv"), (".vob", 15, ".mp4")],
)
def test_a_pause_is_kept_in_picture_and_sound(
    tmp_path: Path, ffmpeg: Ffmpeg, source: str, pause: int, result: str
) -> None:
    path, out = tmp_path / f"paused{source}", tmp_path / f"out{result}"
    write_paused(path, ffmpeg, pause)
    video = open_video(path)
    assert write_video(out, video, video.info, sound=video.sound) == 100
    for info in (video.info, open_video(out).info):
        assert info.frames == 100
        assert long_steps(info.times) == pytest.approx([pause + 0.04], abs=0.002)
        assert info.duration == pytest.approx(4 + pause, abs=0.002)
    assert beeps(out, ffmpeg) == pytest.approx([1, 3 + pause], abs=0.03)


def test_a_part_after_a_pause_has_its_sound(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path, out = tmp_path / "paused.ts", tmp_path / "out.mp4"
    write_paused(path, ffmpeg, 60)
    video = open_video(path, start=62.5)
    first = 64 - video.info.duration  # seconds from the first frame of the file
    assert first == pytest.approx(62.5, abs=0.04)
    write_video(out, video, video.info, sound=video.sound)
    assert beeps(out, ffmpeg) == pytest.approx([63 - first], abs=0.03)


def test_hours_pass(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "paused.ts"
    write_paused(path, ffmpeg, 3 * 3600)
    info = open_video(path).info
    assert long_steps(info.times) == pytest.approx([3 * 3600 + 0.04], abs=0.002)
    assert info.duration == pytest.approx(3 * 3600 + 4, abs=0.002)


@pytest.fixture
def plain(tmp_path: Path, ffmpeg: Ffmpeg) -> Path:
    path = tmp_path / "plain.ts"
    sources = [*LAVFI, "testsrc2=s=64x48:r=25:d=4", *LAVFI, "sine=d=4"]
    ffmpeg(*sources, "-pix_fmt", "yuv420p", path)
    return path


def at_clock(path: Path, ffmpeg: Ffmpeg, start: int) -> Path:
    """The same with another time on its clock, which wraps after 2**33 / 90000 = 95443.7 s."""
    moved = path.with_stem(f"from{start}")
    offset = ["-copyts", "-c", "copy", "-output_ts_offset", start, "-dts_delta_threshold", 10**4]
    ffmpeg("-i", path, *offset, moved)
    found = re.search(r"start: (-?[\d.]+)", ffmpeg("-i", moved, "-c", "copy", "-f", "null", "-"))
    # Shortly before the wrap, ffmpeg counts from the wrap.
    assert found
    assert float(found[1]) % (2**33 / 90000) == pytest.approx(start, abs=3)
    return moved


def test_a_clock_that_wraps_makes_no_pause(ffmpeg: Ffmpeg, plain: Path) -> None:
    info = open_video(at_clock(plain, ffmpeg, 95440)).info
    assert (info.frames, info.rate, info.times) == (100, Fraction(25), None)


def test_a_clock_that_wraps_keeps_a_pause(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "paused.ts"
    write_paused(path, ffmpeg, 60)
    info = open_video(at_clock(path, ffmpeg, 95410)).info
    assert info.frames == 100
    assert long_steps(info.times) == pytest.approx([60.04], abs=0.002)
    assert info.duration == pytest.approx(64, abs=0.002)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (30000, 0), (30000, 20000), (0, 40000)])
def test_a_clock_that_starts_anew_makes_no_pause(
    tmp_path: Path, ffmpeg: Ffmpeg, plain: Path, first: int, second: int
) -> None:
    parts = [at_clock(plain, ffmpeg, start) if start else plain for start in (first, second)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    info = open_video(joined).info
    assert info.frames == 200
    assert info.duration == pytest.approx(8, abs=0.1)
    assert long_steps(info.times) == []
