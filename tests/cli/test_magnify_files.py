"""`magkit magnify` on files as people have them: times, tracks, depths, fields, folders."""

import json
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from magkit.cli import run
from magkit.video import ReadOptions, open_video

Magnify = Callable[..., int]
SIZE = "64x48"


@pytest.fixture
def copy(here: Path) -> Magnify:
    """Runs `magkit magnify --factor 1 ARGUMENTS` here: reading and writing alone are tried."""

    def command(*arguments: str | Path) -> int:
        return run(["magnify", "--factor", "1", "--magnifier", "linear", *map(str, arguments)])

    return command


def ffmpeg(*args: str | Path) -> str:
    line = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *map(str, args)]
    return subprocess.run(line, capture_output=True, check=True, text=True).stderr


def streams(path: Path) -> str:
    return ffmpeg("-i", path, "-map", "0", "-c", "copy", "-f", "null", "-").split("Output")[0]


def film(path: Path, source: str = f"testsrc2=s={SIZE}:r=25:d=1", *args: str) -> Path:
    ffmpeg("-f", "lavfi", "-i", source, *args, path)
    return path


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    """Ten frames in the first second, 25 in the next."""
    frames = f"testsrc2=s={SIZE}:r=50:d=2,select='not(mod(n,if(lt(t,1),5,2)))'"
    return film(tmp_path / "uneven.mp4", frames, "-fps_mode", "vfr", "-bf", "0")


def test_uneven_frames_are_told_of_and_kept(
    copy: Magnify, uneven: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert copy(uneven) == 0
    assert "unevenly spaced" in capsys.readouterr().err
    info, made = open_video(uneven).info, open_video(here / "uneven_x1.mp4").info
    assert info.times is not None
    assert info.frames == 35
    assert made.times == pytest.approx(info.times, abs=1e-3)


def test_fps_makes_an_uneven_clip_even(
    copy: Magnify, uneven: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert copy(uneven, "--fps", "29.97", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["results"][0]["frames"] == 60
    assert "29.97 frames a second" in told.err
    info = open_video(here / "uneven_x1.mp4").info
    assert (info.rate, info.times) == (Fraction(30000, 1001), None)


def test_fps_states_the_rate_of_a_bare_stream(
    copy: Magnify, tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = film(tmp_path / "bare.h264", f"testsrc2=s={SIZE}:r=30:d=1")
    assert copy(bare, "--quiet") == 0
    assert "warning" in capsys.readouterr().err
    assert copy(bare, "--fps", "240", "-o", "stated.mp4", "--quiet") == 0
    assert capsys.readouterr().err == ""
    assert open_video(here / "stated.mp4").info.rate == 240


@pytest.mark.parametrize("fps", ["0", "x", "-3", "1e9"])
def test_rates_that_are_none(copy: Magnify, uneven: Path, fps: str) -> None:
    assert copy(uneven, f"--fps={fps}") == 2


@pytest.mark.parametrize(("choice", "count"), [("all", 2), ("first", 1), ("none", 0)])
def test_sound_tracks_are_chosen(
    copy: Magnify, tmp_path: Path, here: Path, choice: str, count: int
) -> None:
    sounds = ["-f", "lavfi", "-i", "sine=d=1", "-map", "0", "-map", "1", "-map", "1"]
    source = film(tmp_path / "two.mkv", f"testsrc2=s={SIZE}:r=25:d=1", *sounds, "-c:a", "flac")
    assert copy(source, "-o", "out.mp4", "--audio", choice) == 0
    assert streams(here / "out.mp4").count("Audio: flac") == count


def test_ten_bits_stay_or_become_what_is_asked_for(
    copy: Magnify, tmp_path: Path, here: Path
) -> None:
    pixels = ["-pix_fmt", "yuv420p10le", "-c:v", "ffv1"]
    source = film(tmp_path / "deep.mkv", f"testsrc2=s={SIZE}:r=25:d=0.2", *pixels)
    assert copy(source, "-o", "deep.mp4") == 0
    assert "yuv420p10le" in streams(here / "deep.mp4")
    assert copy(source, "-o", "shallow.mp4", "--pix-fmt", "yuv420p") == 0
    assert re.search(r"h264.*yuv420p\(", streams(here / "shallow.mp4"))
    assert copy(source, "-o", "wrong.mp4", "--pix-fmt", "yuv420p11") == 2
    assert not (here / "wrong.mp4").exists()


def test_fields_are_warned_of_or_removed(
    copy: Magnify, tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = f"testsrc2=s={SIZE}:r=50:d=1,tinterlace=mode=interleave_top,setfield=tff"
    flags = ["-flags", "+ilme+ildct", "-c:v", "mpeg2video"]
    source = film(tmp_path / "fields.mpg", fields, *flags)
    assert copy(source, "--quiet") == 0
    assert "--deinterlace" in capsys.readouterr().err
    assert copy(source, "--quiet", "--deinterlace", "-o", "whole.mp4") == 0
    assert capsys.readouterr().err == ""
    assert open_video(here / "whole.mp4").info.frames == open_video(source).info.frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Frames 1 to 12 of 12 bits in 16, a missing one, and a thumbnail."""
    path = tmp_path / "frames"
    path.mkdir()
    for number in set(range(1, 13)) - {5}:
        grey = (np.arange(SIZE_ := 48 * 64).reshape(48, 64) * 4095 // SIZE_).astype(np.uint16)
        Image.fromarray(grey).save(path / f"img_{number}.png")
    return path


def test_a_missing_frame_is_refused_or_leaves_a_gap(
    copy: Magnify, folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert copy(folder, "-o", "out.mp4") == 1
    assert "5" in capsys.readouterr().err
    assert copy(folder, "-o", "out.mp4", "--gaps", "--fps", "10") == 0
    info = open_video(here / "out.mp4").info
    assert info.times is not None
    shown = [number / 10 for number in range(12) if number != 4]
    assert info.times[:-1] == pytest.approx(shown, abs=1e-3)


def test_a_picture_of_another_size_is_refused_or_left_out(
    copy: Magnify, folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (8, 6)).save(folder / "thumb_5.png")
    assert copy(folder, "-o", "out.mp4", "--gaps") == 1
    assert "thumb_5.png" in capsys.readouterr().err
    assert copy(folder, "-o", "out.mp4", "--gaps", "--pattern", "IMG_*") == 0
    assert open_video(here / "out.mp4").info.frames == 11


def test_twelve_bits_are_warned_of_or_stated(
    copy: Magnify, folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert copy(folder, "-o", "dark", "--gaps", "--quiet") == 0
    assert "--bits 12" in capsys.readouterr().err
    assert copy(folder, "-o", "right", "--gaps", "--bits", "12", "--quiet") == 0
    assert capsys.readouterr().err == ""
    frame = next(iter(open_video(here / "right", ReadOptions(gaps=True, deep=True))))
    assert frame[-1, -1, 0] == pytest.approx(4093 / 4095 * 65535, abs=32)


def test_a_stack_becomes_a_video(copy: Magnify, tmp_path: Path, here: Path) -> None:
    pages = [Image.new("L", (64, 48), 20 * number) for number in range(5)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    assert copy(tmp_path / "stack.tif") == 0
    assert open_video(here / "stack_x1.mp4").info.frames == 5


def test_a_folder_that_holds_the_input_is_not_replaced(
    copy: Magnify, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    pages = [Image.new("L", (64, 48), 20 * number) for number in range(4)]
    pages[0].save(own / "stack.tif", save_all=True, append_images=pages[1:])
    assert copy(own / "stack.tif", "-o", own, "--overwrite") == 2
    assert [path.name for path in own.iterdir()] == ["stack.tif"]


def test_a_gif_keeps_each_delay(copy: Magnify, tmp_path: Path, here: Path) -> None:
    pages = [Image.new("L", (64, 48), 20 * number) for number in range(5)]
    delays = [40, 40, 40, 40, 2000]
    pages[0].save(tmp_path / "held.gif", save_all=True, append_images=pages[1:], duration=delays)
    assert copy(tmp_path / "held.gif") == 0
    for path in (here / "held_x1.gif", tmp_path / "held.gif"):
        assert open_video(path).info.times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 2.16])
    assert copy(tmp_path / "held.gif", "--end", "0.1", "-o", "part.mp4") == 0
    assert open_video(here / "part.mp4").info.frames == 3


def test_raw_motion_jpeg_is_a_video(copy: Magnify, tmp_path: Path, here: Path) -> None:
    source = film(tmp_path / "raw.mjpeg")
    for name in ("raw.mjpeg", "raw.jpg"):
        path = tmp_path / name
        path.write_bytes(source.read_bytes())
        assert copy(path, "-o", f"{name}.mp4") == 0
        assert open_video(here / f"{name}.mp4").info.frames == 25


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "still.jpg", "pages.tif"])
def test_what_is_no_clip_is_refused_in_one_sentence(
    copy: Magnify, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if path.suffix == ".HEIC":
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    elif path.suffix == ".jpg":
        Image.new("RGB", (64, 48)).save(path)
    else:
        one, other = Image.new("L", (64, 48)), Image.new("L", (16, 12))
        one.save(path, save_all=True, append_images=[other])
    assert copy(path) == 1
    said = capsys.readouterr().err
    assert name in said
    assert "Traceback" not in said
