"""`magkit stitch` from end to end, and all that may be wrong with what it is given."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from magkit.cli import run
from magkit.video import open_video

Clip = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def stitch(*arguments: str | Path) -> int:
    return run(["stitch", *map(str, arguments)])


def said(capsys: Capture, *arguments: str | Path) -> Any:
    """What --json prints."""
    assert stitch(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def fill(folder: Path, count: int = 4, side: int = 8, suffix: str = "png") -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", (side, 8), (9 * index,) * 3).save(folder / f"{index:05d}.{suffix}")
    return folder


def test_a_folder_becomes_a_video_here(here: Path, tmp_path: Path, capsys: Capture) -> None:
    assert stitch(fill(tmp_path / "in" / "walk.v2")) == 0
    assert [path.name for path in here.iterdir()] == ["walk.v2.mp4"]
    video = open_video(here / "walk.v2.mp4")
    assert len(list(video)) == 4
    assert video.info.rate == 24
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("wrote walk.v2.mp4\nnext: ")


def test_json(here: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = fill(tmp_path / "walk", 6)
    (folder / "00002.png").unlink()
    (folder / "notes.txt").write_text("not a frame")
    told = said(capsys, folder, "--fps", "29.97", "--gaps", "-o", "out.mkv")
    assert told == {
        "output": "out.mkv",
        "frames": 5,
        "fps": 30000 / 1001,
        "rate": "30000/1001",
        "size": [8, 8],
        "missing": [2],
        "missing_count": 1,
        "foreign": [str(folder / "notes.txt")],
    }
    assert open_video(here / "out.mkv").info.rate == Fraction(30000, 1001)


def test_what_is_left_out_is_named(here: Path, tmp_path: Path, capsys: Capture) -> None:
    folder, other = fill(tmp_path / "walk"), fill(tmp_path / "other", 6)
    (folder / "00002.png").unlink()
    (folder / "notes.txt").write_text("not a frame")
    assert stitch(folder, "--gaps", "--beside", other) == 0
    warned = capsys.readouterr().err
    assert "warning: joined without missing frames: 2\n" in warned
    assert f"warning: ignored, not frames: {folder / 'notes.txt'}\n" in warned
    spare = ", ".join(str(other / f"0000{index}.png") for index in (2, 4, 5))
    assert f"ignored, no frame of the same name: {spare}\n" in warned


def test_magnified_frames_keep_their_rate_count_and_colours(
    here: Path, clip: Clip, weights: Path, capsys: Capture
) -> None:
    source = clip()
    assert run(["magnify", str(source), "--weights", str(weights), "-o", "frames"]) == 0
    assert stitch("frames", "-o", "clip2.mp4") == 0
    before, after = open_video(source), open_video(here / "clip2.mp4")
    assert after.info == before.info
    assert len(list(after)) == len(list(before)) == 8


def test_the_same_bits_from_folder_to_folder(here: Path, clip: Clip) -> None:
    source = clip("frames")
    assert stitch(source, "-o", "copy") == 0
    assert open_video(here / "copy").info == open_video(source).info
    assert np.array_equal(list(open_video(here / "copy")), list(open_video(source)))


def test_panels_of_a_job(here: Path, tmp_path: Path, capsys: Capture) -> None:
    for panel, suffix in (("frames", "png"), ("masks", "png"), ("real", "jpg")):
        fill(tmp_path / "job" / "bear" / panel, suffix=suffix)
    told = said(capsys, tmp_path / "job", "--panels", "masks, frames,real", "--fps", "10")
    assert (told["output"], told["size"], told["frames"]) == ("bear.mp4", [32, 8], 4)
    assert [frame.shape for frame in open_video(here / "bear.mp4")] == [(8, 32, 3)] * 4


def test_folders_beside_come_in_the_order_given(
    here: Path, tmp_path: Path, capsys: Capture
) -> None:
    folders = [fill(tmp_path / name, side=side) for name, side in (("a", 8), ("b", 3), ("c", 6))]
    first, *others = [str(folder) for folder in folders]
    told = said(capsys, first, "--beside", others[0], "--beside", others[1], "-o", "out")
    assert told["size"] == [25, 8]
    last = list(open_video(here / "out"))[-1]
    white = [x for x in range(25) if (last[:, x] == 255).all()]
    assert white == [*range(8, 12), *range(15, 19)]


def test_a_stated_depth_and_a_pattern(here: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "walk", 2)
    for index in range(2):
        values = np.full((8, 8), 4095, np.uint16)
        Image.fromarray(values).save(folder / f"{index:05d}.tif")
    assert stitch(folder, "--pattern", "*.TIF", "--bits", "12", "-o", "out") == 0
    assert [int(frame.min()) for frame in open_video(here / "out")] == [255, 255]


def test_options_from_a_file(here: Path, tmp_path: Path, capsys: Capture) -> None:
    folder, other = fill(tmp_path / "walk"), fill(tmp_path / "other")
    (here / "stitch.toml").write_text(f"fps = 12\nbeside = {json.dumps([str(other)])}\n")
    told = said(capsys, folder, "--config", "stitch.toml")
    assert (told["fps"], told["size"]) == (12, [20, 8])


def gap(folder: Path) -> Path:
    fill(folder, 12)
    for number in (2, 3, 5, 6, 7, 9):
        (folder / f"{number:05d}.png").unlink()
    return folder


def doubled(folder: Path) -> Path:
    fill(folder)
    Image.new("RGB", (8, 8)).save(folder / "1.jpg")
    return folder


def mixed(folder: Path) -> Path:
    fill(folder)
    Image.new("RGB", (6, 8)).save(folder / "00002.png")
    return folder


def damaged(folder: Path, content: bytes = b"") -> Path:
    path = fill(folder) / "00002.png"
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(content or path.read_bytes()[:100])
    return folder


def wrong_sidecar(folder: Path) -> Path:
    (fill(folder) / "magkit.json").write_text('{"rate": "fast"}')
    return folder


def text(path: Path) -> Path:
    path.write_text("hello")
    return path


def clips(folder: Path) -> Path:
    for name in ("cows", "bear"):
        fill(folder / name / "frames")
    return folder


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


Fault = tuple[Callable[[Path], list[str | Path]], int, str]

FAULTS: dict[str, Fault] = {
    "missing": (lambda tmp: [fill(tmp / "bear").with_name("baer")], 1, "baer does not exist"),
    "mistyped": (lambda tmp: [fill(tmp / "bear").with_name("baer")], 1, "did you mean 'bear'?"),
    "a file": (lambda tmp: [text(tmp / "a.mp4")], 1, "a.mp4 is a file, not a folder of frames"),
    "empty": (lambda tmp: [empty(tmp / "none")], 1, "none holds no frames"),
    "gap": (lambda tmp: [gap(tmp / "a")], 1, "a: 2, 3, 5, 6, 7, ... (6 in all)"),
    "gap's hint": (lambda tmp: [gap(tmp / "a")], 1, "hint: --gaps joins"),
    "twice": (lambda tmp: [doubled(tmp / "a")], 1, "1.jpg and 00001.png are both frame 1"),
    "mixed sizes": (
        lambda tmp: [mixed(tmp / "a")],
        1,
        "00002.png is 6x8, not 8x8",
    ),
    "cut": (lambda tmp: [damaged(tmp / "a")], 1, "00002.png is damaged"),
    "no picture": (
        lambda tmp: [damaged(tmp / "a", b"hello")],
        1,
        "00002.png is not a picture that can be read",
    ),
    "cut beside": (
        lambda tmp: [fill(tmp / "a"), "--beside", damaged(tmp / "b")],
        1,
        "00002.png is damaged",
    ),
    "pattern": (lambda tmp: [fill(tmp / "a"), "--pattern", "*.jpg"], 2, "'*.jpg'"),
    "depth": (lambda tmp: [fill(tmp / "a"), "--bits", "12"], 2, "8 bits a value, not 12"),
    "sidecar": (lambda tmp: [wrong_sidecar(tmp / "a")], 1, "magkit.json is not a sidecar"),
    "several clips": (lambda tmp: [clips(tmp / "job")], 2, "several clips: bear, cows"),
    "several clips' hint": (lambda tmp: [clips(tmp / "job")], 2, "name one: magkit stitch"),
    "fewer beside": (
        lambda tmp: [fill(tmp / "a"), "--beside", fill(tmp / "b", 2)],
        1,
        "b has no pictures named 00002, 00003",
    ),
    "nothing beside": (
        lambda tmp: [fill(tmp / "a"), "--beside", tmp / "no"],
        1,
        "no does not exist",
    ),
    "no panel": (
        lambda tmp: [fill(tmp / "bear" / "frames"), "--panels", "frames,seen,real"],
        2,
        "no folder for the panels 'seen', 'real'",
    ),
    "fps 0": (lambda tmp: [fill(tmp / "a"), "--fps", "0"], 2, "not at 0"),
    "fps of words": (lambda tmp: [fill(tmp / "a"), "--fps", "slow"], 2, "'slow' is no frame rate"),
    "format": (lambda tmp: [fill(tmp / "a"), "-o", "a.txt"], 2, ".txt is no format"),
    "quality": (
        lambda tmp: [fill(tmp / "a"), "--quality", "60"],
        2,
        "quality runs from 0",
    ),
    "into the input": (
        lambda tmp: [fill(tmp / "a"), "-o", tmp / "a" / "out.mp4"],
        2,
        "out.mp4 would be written into",
    ),
    "over the input": (
        lambda tmp: [fill(tmp / "a"), "-o", tmp / "a", "--overwrite"],
        2,
        "whose pictures it is made of",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_a_sentence_and_leave_nothing(
    here: Path, tmp_path: Path, capsys: Capture, fault: str
) -> None:
    make, code, words = FAULTS[fault]
    arguments = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert stitch(*arguments) == code
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert "an error of its own" not in shown.err
    assert shown.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_an_existing_output_stays_unless_told_otherwise(
    here: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = fill(tmp_path / "walk")
    (here / "walk.mp4").write_text("mine")
    assert stitch(folder) == 1
    assert "walk.mp4 exists" in capsys.readouterr().err
    assert (here / "walk.mp4").read_text() == "mine"
    assert stitch(folder, "--overwrite") == 0
    assert len(list(open_video(here / "walk.mp4"))) == 4


def test_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(fill(tmp_path / "walk"))
    assert stitch(".") == 2
    assert "hint: choose another --output" in capsys.readouterr().err
    assert stitch(".", "-o", "../walk.mp4") == 0
    assert len(list(open_video(tmp_path / "walk.mp4"))) == 4
    assert len(list((tmp_path / "walk").iterdir())) == 4


def test_a_stack_keeps_16_bits(here: Path, tmp_path: Path) -> None:
    for name, size, factor in (("frames", (8, 8), 1), ("other", (4, 4), 2)):
        (tmp_path / name).mkdir()
        for index in range(3):
            levels = np.full(size, factor * (1000 + index), np.uint16)
            Image.fromarray(levels).save(tmp_path / name / f"{index}.png")
    frames, other = tmp_path / "frames", tmp_path / "other"
    arguments = (frames, "--beside", other, "--fps", "50", "--bits", "16", "-o", "out.tif")
    assert stitch(*arguments) == 0
    pages = tifffile.imread(here / "out.tif")
    assert pages.dtype == np.uint16
    assert pages.shape == (3, 8, 20)
    assert (pages[:, 5, [4, 9, 15]] == [[1000 + n, 65535, 2000 + 2 * n] for n in range(3)]).all()
    assert open_video(here / "out.tif").info.rate == 50


def test_a_stack_of_8_bits(here: Path, tmp_path: Path) -> None:
    assert stitch(fill(tmp_path / "a"), "-o", "out.tif") == 0
    pages = tifffile.imread(here / "out.tif")
    assert pages.dtype == np.uint8
    assert pages.shape == (4, 8, 8, 3)
    assert pages[:, 0, 0, 1].tolist() == [0, 9, 18, 27]
