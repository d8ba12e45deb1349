"""Sound goes along untouched where it can, is cut as the frames are, and stays in time."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from magkit.video import open_video, write_video

Ffmpeg = Callable[..., str]
Describe = Callable[[Path], str]

SAMPLES = 48000


@pytest.fixture
def beeps(tmp_path: Path, ffmpeg: Ffmpeg) -> Path:
    """Four seconds; the picture turns white and a tone sounds from 2.0 to 2.2 s."""
    path = tmp_path / "beeps.mp4"
    tone = "aevalsrc='0.8*sin(2*PI*1000*t)*between(t,2,2.2)':s=48000:d=4"
    flash = "color=black:s=64x48:r=25:d=4,geq=lum='255*between(T,2,2.19)':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", tone, "-c:a", "aac", path)
    return path


def _onset(path: Path, ffmpeg: Ffmpeg, folder: Path) -> float:
    """Seconds from the first picture to the tone, as a player would time them."""
    raw = folder / "sound.raw"
    ffmpeg(
        *("-i", path, "-af", "aresample=async=1:first_pts=0"),
        *("-ar", str(SAMPLES), "-ac", "1", "-f", "s16le", raw),
    )
    loud = np.abs(np.frombuffer(raw.read_bytes(), "<i2").astype(int)) > 5000
    return float(loud.argmax() / SAMPLES)


def _flash(path: Path) -> float:
    video = open_video(path)
    bright = next(n for n, frame in enumerate(video) if frame.mean() > 128)
    return float(bright / video.info.rate)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("part", [(None, None), (0.5, None), (0.733, 3.0), (1.5, 2.5)])
def test_sound_and_picture_stay_together(
    tmp_path: Path,
    ffmpeg: Ffmpeg,
    beeps: Path,
    suffix: str,
    part: tuple[float | None, float | None],
) -> None:
    start, end = part
    video = open_video(beeps, start=start, end=end)
    path = tmp_path / f"out{suffix}"
    write_video(path, video, video.info, sound=video.sound)
    # The frame at or after the start is the first.
    first = int(np.ceil((start or 0) * 25 - 1e-6)) / 25
    assert _flash(path) == pytest.approx(2 - first, abs=0.001)
    assert _onset(path, ffmpeg, tmp_path) == pytest.approx(2 - first, abs=0.012)


def test_sound_ends_with_the_part(tmp_path: Path, ffmpeg: Ffmpeg, beeps: Path) -> None:
    video = open_video(beeps, start=1.0, end=2.0)
    path, raw = tmp_path / "out.mp4", tmp_path / "sound.raw"
    write_video(path, video, video.info, sound=video.sound)
    ffmpeg("-i", path, "-f", "s16le", "-ac", "1", raw)
    assert raw.stat().st_size / 2 / SAMPLES == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("start", "end", "length"), [(0, 3.0, 3), (0.52, 3.0, 2.48), (0, 1e30, 4)])
def test_sound_that_outlasts_the_picture_ends_where_the_part_does(
    tmp_path: Path, ffmpeg: Ffmpeg, beeps: Path, start: float, end: float, length: float
) -> None:
    longer, path, raw = (tmp_path / name for name in ("longer.mp4", "out.mp4", "sound.raw"))
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", "-i", beeps]
    ffmpeg(*picture, "-map", "0:v", "-map", "1:a", "-c:a", "copy", longer)
    video = open_video(longer, start=start, end=end)
    write_video(path, video, video.info, sound=video.sound)
    ffmpeg("-i", path, "-f", "s16le", "-ac", "1", raw)
    assert raw.stat().st_size / 2 / SAMPLES == pytest.approx(length, abs=0.05)
    assert sum(1 for _ in open_video(path)) == round(25 * (2 - start))


def test_a_picture_that_starts_late_keeps_its_sound_in_time(
    tmp_path: Path, ffmpeg: Ffmpeg, beeps: Path
) -> None:
    late, path = tmp_path / "late.mkv", tmp_path / "out.mp4"
    sources = ["-itsoffset", "0.4", "-i", beeps, "-i", beeps]
    ffmpeg(*sources, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    video = open_video(late)
    write_video(path, video, video.info, sound=video.sound)
    # The picture's flash is at 2.4 s of the source, its tone at 2.0: 0.4 s before, as it was.
    assert _flash(path) - _onset(path, ffmpeg, tmp_path) == pytest.approx(0.4, abs=0.012)


@pytest.mark.parametrize(
    ("codec", "source", "suffix", "result"),
    [
        ("aac", ".mp4", ".mp4", "aac"),
        ("aac", ".mp4", ".webm", "opus"),
        ("libmp3lame", ".mkv", ".mp4", "mp3"),
        ("adpcm_ms", ".avi", ".mp4", "aac"),
        ("pcm_s16le", ".avi", ".mov", "pcm_s16le"),
        ("pcm_s16le", ".avi", ".mp4", "aac"),
        ("libopus", ".webm", ".webm", "opus"),
        ("libvorbis", ".mkv", ".mp4", "aac"),
    ],
)
def test_sound_is_coded_anew_only_where_the_container_demands(
    tmp_path: Path,
    ffmpeg: Ffmpeg,
    describe: Describe,
    codec: str,
    source: str,
    suffix: str,
    result: str,
) -> None:
    path, out = tmp_path / f"in{source}", tmp_path / f"out{suffix}"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=32x32:r=25:d=1"]
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=d=1:r=48000", "-c:a", codec, path)
    video = open_video(path)
    assert video.info.has_audio
    assert write_video(out, video, video.info, sound=video.sound) == 25
    assert re.search(rf"Audio: {result}\b", describe(out))
    assert open_video(out).info.has_audio


def test_copied_sound_is_the_same_to_the_byte(tmp_path: Path, ffmpeg: Ffmpeg, clip: Path) -> None:
    video, out = open_video(clip), tmp_path / "out.mp4"
    write_video(out, video, video.info, sound=video.sound)
    streams = []
    for path in (clip, out):
        raw = tmp_path / f"{path.stem}.adts"
        ffmpeg("-i", path, "-map", "0:a", "-c", "copy", raw)
        streams.append(raw.read_bytes())
    assert streams[0] == streams[1]


def test_every_track_goes_along(
    tmp_path: Path, ffmpeg: Ffmpeg, describe: Describe, clip: Path
) -> None:
    two, out = tmp_path / "two.mp4", tmp_path / "out.mp4"
    ffmpeg("-i", clip, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", two)
    video = open_video(two)
    write_video(out, video, video.info, sound=video.sound)
    assert len(re.findall(r"^  Stream #0:\d.*Audio: aac", describe(out), re.MULTILINE)) == 2


def test_a_silent_source_gives_a_silent_result(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path, out = tmp_path / "silent.mp4", tmp_path / "out.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:r=25:d=0.2", path)
    video = open_video(path)
    assert video.info.rate == Fraction(25)
    write_video(out, video, video.info, sound=video.sound)
    assert not open_video(out).info.has_audio
