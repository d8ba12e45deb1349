"""Sound that is easily put out of time or lost: late pictures, unknown codecs, layouts."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from magkit.video import WriteOptions, open_video, write_video
from magkit.video.sound import AudioTracks

Ffmpeg = Callable[..., str]
Describe = Callable[[Path], str]

RATE = 8000
BEEPS = (1.0, 3.0)  # seconds from the sound's own zero


def write_late(path: Path, ffmpeg: Ffmpeg, late: float) -> None:
    """Four seconds of sound with two beeps, and a picture that comes `late` seconds later."""
    tone = "aevalsrc='.8*sin(2*PI*1000*t)*(between(t,1,1.2)+between(t,3,3.2))':s=48000:d=6"
    picture = ["-itsoffset", str(late), "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=5"]
    codecs = {".wmv": ["-c:v", "wmv2", "-c:a", "wmav2"], ".flv": ["-c:v", "flv"]}
    codecs |= {".avi": ["-c:v", "mpeg4"], ".vob": ["-c:v", "mpeg2video", "-c:a", "ac3"]}
    codec = codecs.get(path.suffix, ["-c:v", "libx264"])
    if path.suffix == ".webm":
        codec = ["-c:v", "libvpx", "-c:a", "libopus"]
    as_timed = ["-fps_mode", "passthrough", "-pix_fmt", "yuv420p"]
    ffmpeg(*picture, "-f", "lavfi", "-i", tone, *codec, *as_timed, path)


def beeps(path: Path, ffmpeg: Ffmpeg, folder: Path) -> list[float]:
    """Seconds from the first frame to each beep, as a player that sees both streams times them."""
    raw = folder / "sound.raw"
    both, stamps = ["-map", "0:V:0", "-map", "0:a:0"], folder / "stamps.txt"
    frames = ["-c:v", "wrapped_avframe", "-enc_time_base:v", "demux", "-fps_mode", "passthrough"]
    ffmpeg("-i", path, *both, *frames, "-f", "framecrc", stamps)
    text = stamps.read_text()
    bases = [Fraction(base) for base in re.findall(r"^#tb \d: (\S+)", text, re.MULTILINE)]
    shown, heard = (
        min(int(pts) for pts in re.findall(rf"^{n}, +-?\d+, +(-?\d+),", text, re.MULTILINE))
        * bases[n]
        for n in (0, 1)
    )
    ffmpeg("-i", path, "-map", "0:a:0", "-ar", RATE, "-ac", 1, "-f", "s16le", raw)
    loud = np.abs(np.frombuffer(raw.read_bytes(), "<i2").astype(int)) > 5000
    on = np.flatnonzero(loud)
    starts = on[np.insert(np.diff(on) > RATE // 2, 0, True)] if on.size else on
    return [float(start / RATE + heard - shown) for start in starts]


@pytest.mark.parametrize("start", [None, 1.5])
@pytest.mark.parametrize(
    "suffix", [".ts", ".m2ts", ".vob", ".mkv", ".mp4", ".mov", ".flv", ".webm"]
)
def test_a_late_picture_keeps_its_sound_in_every_container(
    tmp_path: Path, ffmpeg: Ffmpeg, suffix: str, start: float | None
) -> None:
    late, path = tmp_path / f"late{suffix}", tmp_path / "out.mp4"
    write_late(late, ffmpeg, 0.8)
    video = open_video(late, start=start)
    write_video(path, video, video.info, sound=video.sound)
    whole, part = (sum(1 for _ in clip) for clip in (open_video(late), video))
    offset = (whole - part) / 25
    assert offset == pytest.approx(0 if start is None else 0.7, abs=0.03)
    expected = [beep - offset for beep in beeps(late, ffmpeg, tmp_path)]
    expected = [beep for beep in expected if beep > 0]
    assert len(expected) == (2 if start is None else 1)
    assert beeps(path, ffmpeg, tmp_path)[-len(expected) :] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".m4v"])
def test_a_late_picture_keeps_its_sound_into_every_container(
    tmp_path: Path, ffmpeg: Ffmpeg, suffix: str
) -> None:
    late, path = tmp_path / "late.ts", tmp_path / f"out{suffix}"
    write_late(late, ffmpeg, 0.8)
    video = open_video(late)
    write_video(path, video, video.info, sound=video.sound)
    expected = [beep - 0.8 for beep in BEEPS]
    assert beeps(path, ffmpeg, tmp_path) == pytest.approx(expected, abs=0.02)


def test_a_gap_in_samples_without_times_is_filled(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    source, path = tmp_path / "gap.mkv", tmp_path / "gap.mov"
    tone = "aevalsrc='.8*sin(2*PI*1000*t)*(between(t,0.3,0.5)+between(t,1.5,1.7))':s=48000:d=2"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", "-f", "lavfi", "-i", tone]
    drop = ["-c:a", "pcm_s16le", "-bsf:a", "noise=drop='between(pts*tb,0.6,1.2)'"]
    ffmpeg(*picture, "-c:v", "libx264", *drop, source)
    video = open_video(source)
    write_video(path, video, video.info, sound=video.sound)
    assert beeps(path, ffmpeg, tmp_path) == pytest.approx([0.3, 1.5], abs=0.02)


def test_h264_in_avi_has_its_sound_from_the_start(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    source, path = tmp_path / "reordered.avi", tmp_path / "out.mp4"
    tone = "aevalsrc='.8*sin(2*PI*1000*t)*between(t,1,1.2)':s=48000:d=2"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=30:d=2", "-f", "lavfi", "-i", tone]
    ffmpeg(*picture, "-c:v", "libx264", "-bf", "2", "-c:a", "pcm_s16le", source)
    video = open_video(source)
    write_video(path, video, video.info, sound=video.sound)
    assert beeps(path, ffmpeg, tmp_path) == pytest.approx([1], abs=0.02)


@pytest.fixture
def spatial(tmp_path: Path, ffmpeg: Ffmpeg) -> Path:
    """A stereo track that everything plays, and one of a codec that nothing decodes."""
    path = tmp_path / "spatial.mov"
    sources = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1"]
    codecs = ["-c:a:0", "pcm_s16le", "-c:a:1", "aac", "-map", "0:v", "-map", "1:a", "-map", "1:a"]
    ffmpeg(*sources, *codecs, path)
    data = path.read_bytes()
    assert data.count(b"sowt") == 1
    path.write_bytes(data.replace(b"sowt", b"apac"))
    return path


def tracks(path: Path, describe: Describe) -> list[str]:
    listing = describe(path)
    return re.findall(r"^  Stream #0:\d\S*: Audio: (\w+)", listing.split("Output")[0], re.MULTILINE)


@pytest.mark.parametrize("choice", ["all", "first", "none"])
@pytest.mark.parametrize(("suffix", "codec"), [(".mov", "aac"), (".mkv", "aac"), (".webm", "opus")])
def test_a_track_that_cannot_be_kept_is_left_out_with_a_word(
    tmp_path: Path,
    describe: Describe,
    spatial: Path,
    suffix: str,
    codec: str,
    choice: AudioTracks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    video, path = open_video(spatial), tmp_path / f"out{suffix}"
    write_video(path, video, video.info, WriteOptions(audio=choice), sound=video.sound)
    kept = [] if choice == "none" else [codec]
    assert tracks(path, describe) == kept
    assert ("left out" in caplog.text) == (choice != "none")


LAYOUTS = ["5.1(side)", "4.0", "2.1", "quad(side)", "7.1(wide)", "hexagonal", "6.1(back)", "mono"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "opus"), (".mp4", "aac")])
def test_channel_layouts_that_an_encoder_lacks_are_converted(
    tmp_path: Path, ffmpeg: Ffmpeg, describe: Describe, layout: str, suffix: str, codec: str
) -> None:
    source, path = tmp_path / "in.mov", tmp_path / f"out{suffix}"
    noise = f"anoisesrc=d=0.4:r=48000,aformat=channel_layouts={layout}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4", "-f", "lavfi", "-i", noise,
           "-c:a", "pcm_s24le", source)  # fmt: skip
    video = open_video(source)
    write_video(path, video, video.info, sound=video.sound)
    assert tracks(path, describe) == [codec]


@pytest.mark.parametrize(("choice", "count"), [("all", 2), ("first", 1), ("none", 0)])
def test_tracks_are_chosen(
    tmp_path: Path, ffmpeg: Ffmpeg, describe: Describe, clip: Path, choice: AudioTracks, count: int
) -> None:
    two, path = tmp_path / "two.mp4", tmp_path / "out.mp4"
    ffmpeg("-i", clip, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", two)
    video = open_video(two)
    write_video(path, video, video.info, WriteOptions(audio=choice), sound=video.sound)
    assert len(tracks(path, describe)) == count
