"""Each frame has its own time, from whatever container it comes, and keeps it in a result."""

import logging
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.video import ReadOptions, VideoInfo, WriteOptions, open_video, write_video

Ffmpeg = Callable[..., str]
FieldCoded = Callable[[NDArray[np.uint8]], bytes]

PICTURE = ["-f", "lavfi", "-i"]


def times(info: VideoInfo) -> list[float]:
    assert info.frames is not None
    return [info.time_of(number) for number in range(info.frames + 1)]


@pytest.fixture
def fields(tmp_path: Path, ffmpeg: Ffmpeg, field_coded: FieldCoded) -> Path:
    """Two seconds of 25 frames a second, whose packets are 100 fields, beside two of sound."""
    bare, path = tmp_path / "fields.h264", tmp_path / "fields.mts"
    levels = np.arange(20, 70, dtype=np.uint8)[:, None, None]
    bare.write_bytes(field_coded(np.broadcast_to(levels, (50, 64, 64))))
    stamps = ["-bsf:v", "setts=ts=N*24000"]
    ffmpeg("-i", bare, *PICTURE, "sine=d=2", "-c:v", "copy", *stamps, "-c:a", "ac3", path)
    return path


def test_frames_of_fields_are_counted_by_decoding(fields: Path) -> None:
    video = open_video(fields)
    assert (video.info.rate, video.info.frames, video.info.times) == (Fraction(25), 50, None)
    assert sum(1 for _ in video) == 50
    assert open_video(fields, end=1.0).info.frames == 25


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_fields_in_packets_of_their_own_are_counted_by_decoding(
    tmp_path: Path, ffmpeg: Ffmpeg, fields: Path, suffix: str
) -> None:
    path = tmp_path / f"copied{suffix}"
    ffmpeg("-i", fields, "-map", "0", "-c", "copy", path)
    info = open_video(path).info
    assert (info.rate, info.frames, info.times) == (Fraction(25), 50, None)


def test_a_bare_stream_of_fields_is_counted_by_decoding(fields: Path) -> None:
    assert open_video(fields.with_suffix(".h264")).info.frames == 50


# Frames 0 to 39 at 10 a second, then 240 at 60: as a screen or a phone records.
UNEVEN = [number / 10 for number in range(40)] + [4 + number / 60 for number in range(240)]


@pytest.fixture
def uneven(tmp_path: Path, ffmpeg: Ffmpeg) -> Path:
    path = tmp_path / "uneven.mp4"
    levels = "color=gray:s=64x48:r=60:d=8,geq=lum='16+mod(37*N,211)':cb=128:cr=128"
    source = f"{levels},select='gte(t,4)+not(mod(n,6))',settb=1/60000"
    sound = [*PICTURE, "sine=d=8", "-c:a", "aac", "-pix_fmt", "yuv420p"]
    ffmpeg(*PICTURE, source, *sound, "-enc_time_base", "1/60000", "-fps_mode", "vfr", path)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".m4v"])
def test_uneven_frames_keep_their_times(
    tmp_path: Path, uneven: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="magkit")
    video, path = open_video(uneven), tmp_path / f"out{suffix}"
    assert times(video.info)[:-1] == pytest.approx(UNEVEN, abs=1e-4)
    assert write_video(path, video, video.info, sound=video.sound) == 280
    assert "unevenly spaced" in caplog.text
    again = open_video(path)
    # Matroska counts in milliseconds.
    assert times(again.info)[:-1] == pytest.approx(UNEVEN, abs=6e-4)
    assert again.info.duration == pytest.approx(8, abs=0.002)


def test_an_uneven_clip_is_cut_by_true_times(uneven: Path) -> None:
    part = open_video(uneven, start=2.0, end=5.0)
    assert part.info.frames == 20 + 60
    expected = [time - 2 for time in UNEVEN if 2 <= time < 5] + [3.0]
    assert times(part.info) == pytest.approx(expected, abs=1e-4)
    frames, whole = list(part), list(open_video(uneven))
    assert all(np.array_equal(a, b) for a, b in zip(frames, whole[20:100], strict=True))


def test_an_uneven_clip_is_written_at_the_rate_that_is_asked_for(
    tmp_path: Path, uneven: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="magkit")
    video, path = open_video(uneven), tmp_path / "out.mkv"
    assert write_video(path, video, video.info, WriteOptions(rate=Fraction(30))) == 240
    assert "30 frames a second" in caplog.text
    whole, made = list(video), list(open_video(path))
    # At 1 s the eleventh frame is shown, and still .07 s later.
    for number, source in ((30, 10), (32, 10), (33, 11), (119, 39), (120, 40), (121, 42)):
        assert made[number].mean() == pytest.approx(whole[source].mean(), abs=4)
    assert (open_video(path).info.rate, open_video(path).info.times) == (Fraction(30), None)


def test_a_gif_cannot_hold_steps_below_20_ms_and_gets_a_rate(
    tmp_path: Path, uneven: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="magkit")
    path = tmp_path / "out.gif"
    video = open_video(uneven, start=3.0, end=5.0)
    assert write_video(path, video, video.info) == 100
    assert "50 frames a second" in caplog.text
    slow = open_video(uneven, start=1.0, end=2.0)
    assert write_video(path, slow, slow.info, WriteOptions(overwrite=True)) == 10


@pytest.mark.parametrize("rate", ["10000/333", "299/10", "1000/41"])
@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_avi_keeps_rates_that_nobody_else_has(
    tmp_path: Path, ffmpeg: Ffmpeg, rate: str, codec: str
) -> None:
    path = tmp_path / "odd.avi"
    ffmpeg(*PICTURE, f"testsrc2=s=64x48:d=20:r={rate}", "-c:v", codec, path)
    assert open_video(path).info.rate == Fraction(rate)


def test_the_last_frame_lasts_as_long_as_its_packet(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "held.mkv"
    source = "testsrc2=s=64x48:d=3:r=25,select='lt(t,0.4)+between(t,2.38,2.42)'"
    ffmpeg(*PICTURE, source, "-fps_mode", "passthrough", "-c:v", "libx264", path)
    info = open_video(path).info
    assert info.time_of(info.frames - 1 if info.frames else 0) == pytest.approx(2.4)
    assert info.duration == pytest.approx(2.44)


@pytest.mark.parametrize("rate", ["12", "25/2", "120", "240", "24000/1001"])
@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".h264"), ("libx265", ".hevc")])
def test_bare_streams_state_many_rates(
    tmp_path: Path, ffmpeg: Ffmpeg, rate: str, codec: str, suffix: str
) -> None:
    path = tmp_path / f"bare{suffix}"
    ffmpeg(*PICTURE, f"testsrc2=s=64x48:r={rate}:d=0.5", "-c:v", codec, path)
    assert open_video(path).info.rate == Fraction(rate)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".wmv", ".mpg"])
def test_one_frame_lasts_as_long_as_its_packet(tmp_path: Path, ffmpeg: Ffmpeg, suffix: str) -> None:
    path = tmp_path / f"one{suffix}"
    ffmpeg(*PICTURE, "testsrc2=s=64x48:r=25:d=0.04", path)
    info = open_video(path).info
    assert (info.rate, info.frames) == (Fraction(25), 1)


TRUE_TICKS = "h264_metadata=tick_rate=2000000:fixed_frame_rate_flag=0"


@pytest.mark.parametrize(("edit", "rate"), [("null", 30), (TRUE_TICKS, 25)])
def test_a_bare_stream_plays_at_the_rate_that_it_states_or_at_25(
    tmp_path: Path, ffmpeg: Ffmpeg, edit: str, rate: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bare.h264"
    ffmpeg(*PICTURE, "testsrc2=s=64x48:r=30:d=3", "-c:v", "libx264", "-bsf:v", edit, path)
    video = open_video(path)
    assert (float(video.info.rate), video.info.frames) == (rate, 90)
    assert "--fps" in caplog.text
    stated = open_video(path, ReadOptions(rate=Fraction(50)), start=1.0)
    assert (float(stated.info.rate), stated.info.frames) == (50, 40)
    assert sum(1 for _ in stated) == 40


def test_bare_pictures_one_after_another_are_a_video(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "bare.m2v"
    ffmpeg(*PICTURE, "testsrc2=s=64x48:r=24:d=1", path)
    assert (float(open_video(path).info.rate), open_video(path).info.frames) == (24, 24)


def test_a_stated_rate_replaces_a_wrong_one(
    clip: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    video = open_video(clip, ReadOptions(rate=Fraction(100)), end=0.25)
    assert (float(video.info.rate), video.info.frames) == (100, 25)
    # Its sound would last four times as long as the picture.
    assert video.sound is None
    assert "sound" in caplog.text
    write_video(tmp_path / "out.mp4", video, video.info)
    assert open_video(tmp_path / "out.mp4").info.rate == 100
    with pytest.raises(UsageError):
        open_video(clip, ReadOptions(rate=Fraction(100)), start=0.6)


def test_h264_in_avi_starts_at_zero(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    """AVI has no times of frames; ffmpeg's own come late by as many as are reordered."""
    path = tmp_path / "reordered.avi"
    ffmpeg(*PICTURE, "testsrc2=s=64x48:r=30:d=2", "-c:v", "libx264", "-bf", "2", path)
    for end, count in ((0.2, 6), (0.5, 15), (None, 60)):
        video = open_video(path, end=end)
        assert video.info.frames == count == sum(1 for _ in video)


def test_an_avi_that_drops_a_frame_keeps_the_gap(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "dropped.avi"
    source = "testsrc2=s=64x48:r=30:d=2,select='not(between(n,20,23))'"
    ffmpeg(*PICTURE, source, "-fps_mode", "vfr", "-c:v", "mpeg4", path)
    info = open_video(path).info
    shown = [number / 30 for number in range(60) if not 20 <= number <= 23]
    assert times(info)[:-1] == pytest.approx(shown, abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv", ".wmv", ".nut"])
def test_missing_frames_leave_the_others_at_their_times(
    tmp_path: Path, ffmpeg: Ffmpeg, suffix: str
) -> None:
    path = tmp_path / f"holes{suffix}"
    holes = {7, 8, 30, 41}
    kept = "*".join(f"not(eq(n,{hole}))" for hole in holes)
    codec = {".wmv": ["-c:v", "wmv2"], ".flv": ["-c:v", "flv"]}.get(suffix, ["-c:v", "libx264"])
    source = f"testsrc2=s=64x48:r=25:d=2,select='{kept}'"
    ffmpeg(*PICTURE, source, "-fps_mode", "vfr", *codec, path)
    info = open_video(path).info
    expected = [number / 25 for number in range(50) if number not in holes]
    assert times(info)[:-1] == pytest.approx(expected, abs=1.1e-3)


def test_a_clip_is_read_through_once(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening costs one run over the packets; reading, and taking the sound along, one each.

    One more decodes the first frames of the sound.
    """
    runs: list[str] = []
    plain = subprocess.Popen

    def counted(line: list[str], **options: Any) -> Any:
        runs.append(" ".join(line))
        return plain(line, **options)

    monkeypatch.setattr(subprocess, "Popen", counted)
    video = open_video(clip)
    assert sum(str(clip) in run for run in runs) == 1
    write_video(tmp_path / "out.mp4", video, video.info, sound=video.sound)
    # In all: the record, the picture's decoder, a try of the sound, and the encoder that copies it.
    assert sum(str(clip) in run for run in runs) == 4
    assert len([run for run in runs if "-frames:a 50" in run]) == 1
    assert len([run for run in runs if re.search(r"-c copy -f framecrc", run)]) == 1
