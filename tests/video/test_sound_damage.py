"""Sound whose data are damaged is left out by name, and costs neither picture nor good sound."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from magkit.video import WriteOptions, open_video, write_video
from magkit.video.sound import AudioTracks

Ffmpeg = Callable[..., str]
Describe = Callable[[Path], str]

LAVFI = ["-f", "lavfi", "-i"]
NOISE = "noise=amount=1"  # every byte of every packet is made up


def write_damaged(path: Path, ffmpeg: Ffmpeg, codec: str, *damage: str) -> None:
    """Three seconds, with a track of 440 Hz for each word of `damage`: a filter or none."""
    sources = [*LAVFI, "testsrc2=s=64x48:r=25:d=3", *LAVFI, "sine=d=3:r=48000"]
    maps, filters = ["-map", "0:v"], []
    for number, word in enumerate(damage):
        maps += ["-map", "1:a"]
        filters += [f"-bsf:a:{number}", word] if word else []
    coding = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", codec, "-strict", "-2"]
    ffmpeg(*sources, *maps, *coding, *filters, path)


def tracks(path: Path, describe: Describe) -> list[str]:
    listing = describe(path).split("Output")[0]
    return re.findall(r"^  Stream #0:\d\S*: Audio: (\w+)", listing, re.MULTILINE)


def is_tone(path: Path, ffmpeg: Ffmpeg) -> bool:
    """Whether the first track is mostly 440 Hz."""
    raw = path.with_suffix(".raw")
    ffmpeg("-i", path, "-map", "0:a:0", "-ar", 8000, "-ac", 1, "-f", "s16le", raw)
    heard = np.frombuffer(raw.read_bytes(), "<i2")[2000:18000]
    return abs(int(np.abs(np.fft.rfft(heard)).argmax()) * 8000 / 16000 - 440) < 2


CODECS = [("aac", ".mp4"), ("aac", ".ts"), ("ac3", ".ts"), ("libmp3lame", ".mkv"), ("flac", ".mkv"),
          ("adpcm_ms", ".avi"), ("dca", ".mkv")]  # fmt: skip


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(("codec", "source"), CODECS)
def test_a_damaged_track_is_left_out_by_name(
    tmp_path: Path,
    ffmpeg: Ffmpeg,
    describe: Describe,
    codec: str,
    source: str,
    suffix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path, out = tmp_path / f"in{source}", tmp_path / f"out{suffix}"
    write_damaged(path, ffmpeg, codec, NOISE, "")
    video = open_video(path)
    assert video.info.frames == 75
    assert write_video(out, video, video.info, sound=video.sound) == 75
    assert len(tracks(out, describe)) == 1
    assert is_tone(out, ffmpeg)
    assert re.findall(r"sound track (\d)", caplog.text) == ["1"]


@pytest.mark.parametrize(("choice", "named"), [("all", "13"), ("first", "1"), ("none", "")])
def test_the_first_track_is_the_first_that_decodes(
    tmp_path: Path,
    ffmpeg: Ffmpeg,
    describe: Describe,
    choice: AudioTracks,
    named: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path, out = tmp_path / "in.mkv", tmp_path / "out.mp4"
    write_damaged(path, ffmpeg, "aac", NOISE, "", NOISE)
    video = open_video(path)
    write_video(out, video, video.info, WriteOptions(audio=choice), sound=video.sound)
    assert tracks(out, describe) == ([] if choice == "none" else ["aac"])
    assert "".join(re.findall(r"sound track (\d)", caplog.text)) == named


@pytest.mark.parametrize("source", [".mkv", ".ts"])
def test_where_all_sound_is_damaged_the_picture_remains(
    tmp_path: Path, ffmpeg: Ffmpeg, describe: Describe, source: str
) -> None:
    path, out = tmp_path / f"in{source}", tmp_path / "out.webm"
    write_damaged(path, ffmpeg, "aac", NOISE)
    video = open_video(path, start=1.0)
    assert write_video(out, video, video.info, sound=video.sound) == 50
    assert tracks(out, describe) == []


@pytest.mark.parametrize("broken", ["lt(pts*tb,1.8)", "gt(pts*tb,0.6)*lt(pts*tb,2.9)"])
def test_a_track_with_damage_keeps_what_is_good(
    tmp_path: Path, ffmpeg: Ffmpeg, describe: Describe, broken: str
) -> None:
    path, out = tmp_path / "in.mkv", tmp_path / "out.webm"
    write_damaged(path, ffmpeg, "libmp3lame", f"noise=amount='if({broken},1,0)'")
    video = open_video(path)
    assert write_video(out, video, video.info, sound=video.sound) == 75
    assert tracks(out, describe) == ["opus"]


def test_sound_that_decodes_to_no_number_ends_no_encoder(
    tmp_path: Path, ffmpeg: Ffmpeg, describe: Describe
) -> None:
    path, out = tmp_path / "in.mkv", tmp_path / "out.mp4"
    tone = "aevalsrc='sin(2*PI*440*t)/not(between(t,1,1.01))':s=48000:d=3"
    sources = [*LAVFI, "testsrc2=s=64x48:r=25:d=3", *LAVFI, tone]
    ffmpeg(*sources, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "pcm_f32le", path)
    assert np.float32(np.inf).tobytes() in path.read_bytes()
    video = open_video(path)
    assert write_video(out, video, video.info, sound=video.sound) == 75
    assert tracks(out, describe) == ["aac"]


def test_a_part_in_which_no_sound_is_heard_is_written(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path, out = tmp_path / "in.mkv", tmp_path / "out.webm"
    sources = [*LAVFI, "testsrc2=s=64x48:r=25:d=3", *LAVFI, "sine=d=1"]
    ffmpeg(*sources, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", path)
    video = open_video(path, start=2.0)
    assert write_video(out, video, video.info, sound=video.sound) == 25
