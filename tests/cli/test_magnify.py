"""`magkit magnify` from end to end, and all that may be wrong with what it is given."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.cli import run
from magkit.video import open_video

Clip = Callable[..., Path]

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")


@pytest.fixture
def magnify(weights: Path, here: Path) -> Callable[..., int]:
    """Runs `magkit magnify ARGUMENTS` here, with the small network."""

    def command(*arguments: str | Path) -> int:
        return run(["magnify", "--weights", str(weights), *map(str, arguments)])

    return command


Magnify = Callable[..., int]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ([], "clip_x10.mp4"),
        (["--factor", "2.5", "--mode", "dynamic"], "clip_x2.5_dynamic.mp4"),
        (["-f", "50", "--band", "72-92", "--capture-fps", "600"], "clip_x50_72-92Hz.mp4"),
        (["-f", "0", "--band", "0-3", "--order", "1"], "clip_x0_0-3Hz.mp4"),
        (["--mode", "follow"], "clip_x10_follow.mp4"),
        (["--mode", "follow", "--band", "2-4", "--limit", "3"], "clip_x10_follow_2-4Hz.mp4"),
        (["--limit", "0", "--average", "3"], "clip_x10.mp4"),
    ],
)
def test_the_result_is_a_clip_like_its_source(
    magnify: Magnify, clip: Clip, here: Path, options: list[str], name: str
) -> None:
    source = clip()
    assert magnify(source, *options) == 0
    assert [path.name for path in here.iterdir()] == [name]
    before, after = open_video(source), open_video(here / name)
    assert after.info == before.info
    assert len(list(after)) == 8


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (41, 23)])
@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_any_size(
    magnify: Magnify, clip: Clip, here: Path, size: tuple[int, int], mode: str
) -> None:
    source = clip(size=size, count=3)
    assert magnify(source, "-o", "out.mp4", "--mode", mode) == 0
    assert [frame.shape for frame in open_video(here / "out.mp4")] == [(size[1], size[0], 3)] * 3


def test_a_folder_of_frames_becomes_one(magnify: Magnify, clip: Clip, here: Path) -> None:
    source = clip("frames", rate=Fraction(25, 2))
    assert magnify(source, "--factor", "2.5") == 0
    made = here / "frames_x2_5"
    assert open_video(made).info == open_video(source).info
    assert len(list(made.glob("*.png"))) == 8


def test_a_factor_of_one_is_the_clip_to_the_bit(magnify: Magnify, clip: Clip, here: Path) -> None:
    source = clip("frames")
    assert magnify(source, "--factor", "1", "-o", "same") == 0
    assert np.array_equal(list(open_video(here / "same")), list(open_video(source)))


def test_another_factor_is_not(magnify: Magnify, clip: Clip, here: Path) -> None:
    source = clip("frames")
    assert magnify(source, "-o", "more") == 0
    first, *rest = zip(open_video(here / "more"), open_video(source), strict=True)
    assert np.array_equal(*first)
    assert not any(np.array_equal(*pair) for pair in rest[:2])


def test_an_animated_image_becomes_a_gif(magnify: Magnify, clip: Clip, here: Path) -> None:
    assert magnify(clip("clip.gif", rate=Fraction(20)), "--factor", "3") == 0
    assert len(list(open_video(here / "clip_x3.gif"))) == 8


def test_a_video_of_one_frame(magnify: Magnify, clip: Clip, here: Path) -> None:
    assert magnify(clip(count=1)) == 0
    assert len(list(open_video(here / "clip_x10.mp4"))) == 1


def test_a_part_of_a_clip(magnify: Magnify, clip: Clip, here: Path) -> None:
    source = clip("frames", rate=Fraction(10))
    assert magnify(source, "--start", "0.2", "--end", "0.5", "-o", "part") == 0
    assert np.array_equal(next(iter(open_video(here / "part"))), list(open_video(source))[2])
    assert len(list(open_video(here / "part"))) == 3


def test_several_clips_go_into_a_folder(
    magnify: Magnify, clip: Clip, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = clip("a.mp4"), clip("b.mkv", count=3)
    assert magnify(one, other, "-o", "made/here", "--json") == 0
    made = here / "made" / "here"
    assert sorted(path.name for path in made.iterdir()) == ["a_x10.mp4", "b_x10.mkv"]
    said = json.loads(capsys.readouterr().out)
    assert [result["frames"] for result in said["results"]] == [8, 3]
    assert said["results"][1]["input"] == str(other)
    assert (said["factor"], said["mode"], said["bands"]) == (10, "static", [])


def test_a_container_that_is_not_written_becomes_mp4(
    magnify: Magnify, clip: Clip, here: Path
) -> None:
    source = clip()
    assert magnify(source.rename(source.with_suffix(".avi"))) == 0
    assert (here / "clip_x10.mp4").is_file()


@dataclass
class At:
    """What a faulty command line can be made of."""

    clip: Clip
    tmp: Path


Fault = tuple[Callable[[At], list[str | Path]], int, str]


def cut(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[:-600])
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def mixed(folder: Path) -> Path:
    folder.mkdir()
    for index, side in enumerate((4, 4, 6)):
        Image.new("RGB", (side, 4)).save(folder / f"{index}.png")
    return folder


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


FAULTS: dict[str, Fault] = {
    "missing": (lambda at: [at.tmp / "no.mp4"], 1, "no.mp4 does not exist"),
    "empty file": (lambda at: [text(at.tmp / "a.mp4", "")], 1, "a.mp4 is empty"),
    "cut": (lambda at: [cut(at.clip(count=60, size=(64, 64)))], 1, "clip.mp4"),
    "cut later": (lambda at: [cut(at.clip("a.mkv", 90, (96, 96)))], 1, "a.mkv breaks off"),
    "text": (lambda at: [text(at.tmp / "a.mp4", "hello, this is text\n" * 9)], 1, "a.mp4"),
    "playlist": (
        lambda at: [text(at.tmp / "a.mp4", "#EXTM3U\n#EXTINF:5,\nb.mp4\n")],
        1,
        "a.mp4",
    ),
    "empty folder": (lambda at: [empty(at.tmp / "none")], 1, "none holds no frames"),
    "mixed sizes": (lambda at: [mixed(at.tmp / "mixed")], 1, "2.png is 6x4"),
    "band too high": (lambda at: [at.clip(), "--band", "10-15"], 2, "half the clip's rate"),
    "band upside down": (lambda at: [at.clip(), "--band", "3-1"], 2, "3-1 Hz is no band"),
    "band of words": (lambda at: [at.clip(), "--band", "low-high"], 2, "'low-high' is no band"),
    "band below 0": (lambda at: [at.clip(), "--band=-1-3"], 2, "'-1-3' is no band"),
    "band, dynamic": (
        lambda at: [at.clip(), "--band", "1-3", "--mode", "dynamic"],
        2,
        "needs the mode static",
    ),
    "limit": (lambda at: [at.clip(), "--limit", "-1"], 2, "the limit must not be negative"),
    "no mean": (lambda at: [at.clip(), "--average", "0"], 2, "must be of 1 to 64 frames"),
    "mean, dynamic": (
        lambda at: [at.clip(), "--average", "8", "--mode", "dynamic"],
        2,
        "the mode dynamic has no reference",
    ),
    "path of a slow band": (
        lambda at: [at.clip(), "--mode", "follow", "--band", "0.1-3"],
        2,
        "begins too low for the mode follow",
    ),
    "path in a band": (
        lambda at: [at.clip(), "--mode", "follow", "--band", "0-3"],
        2,
        "includes the path",
    ),
    "capture rate": (
        lambda at: [at.clip(), "--band", "1-3", "--capture-fps", "nan"],
        2,
        "rate of filming must be above 0",
    ),
    "capture rate alone": (
        lambda at: [at.clip(), "--capture-fps", "250"],
        2,
        "matters to a band alone",
    ),
    "factor -1": (lambda at: [at.clip(), "--factor", "-1"], 2, "not -1"),
    "factor nan": (lambda at: [at.clip(), "--factor", "nan"], 2, "not nan"),
    "factor 301": (lambda at: [at.clip(), "--factor", "301"], 2, "from 0 to 300"),
    "wrong weights": (
        lambda at: [at.clip(), "--weights", text(at.tmp / "w.pt", "no weights")],
        1,
        "w.pt is not a weights file",
    ),
    "no weights": (
        lambda at: [at.clip(), "--weights", at.tmp / "w.pt"],
        1,
        "there is no weights file",
    ),
    "other magnifier": (
        lambda at: [at.clip(), "--magnifier", "magnet"],
        2,
        "of the magnifier 'magnet-fast', not of 'magnet'",
    ),
    "no magnifier": (
        lambda at: [at.clip(), "--magnifier", "magnet-fst"],
        2,
        "no magnifier is named 'magnet-fst'",
    ),
    "no option": (
        lambda at: [at.clip(), "--opt", "depth=3"],
        2,
        "no option of magnifier 'magnet-fast' is named 'depth'",
    ),
    "no device": (lambda at: [at.clip(), "--device", "tpu"], 2, "no device is named 'tpu'"),
    "format": (lambda at: [at.clip(), "-o", "a.txt"], 2, ".txt is no format"),
    "end before start": (
        lambda at: [at.clip(), "--start", "0.2", "--end", "0.1"],
        2,
        "must come after the start",
    ),
    "past the end": (lambda at: [at.clip(), "--start", "99"], 2, "past the end"),
    "quality": (lambda at: [at.clip(), "--quality", "60"], 2, "quality runs from 0"),
    "two into one": (
        lambda at: [at.clip("a.mp4"), at.clip("b.mp4"), "-o", "c.mp4"],
        2,
        "2 clips can't go into the one file c.mp4",
    ),
    "two of a name": (
        lambda at: [at.clip("a/c.mp4"), at.clip("b/c.mp4")],
        2,
        "would both become c_x10.mp4",
    ),
    "the second is missing": (
        lambda at: [at.clip(), at.tmp / "no.mp4"],
        1,
        "no.mp4 does not exist",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_a_sentence_and_leave_nothing(
    magnify: Magnify,
    clip: Clip,
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    make, code, words = FAULTS[fault]
    assert magnify(*make(At(clip, tmp_path))) == code
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert "an error of its own" not in shown.err
    assert shown.out == ""
    assert not list(here.iterdir())


def test_an_existing_output_stays_unless_told_otherwise(
    magnify: Magnify, clip: Clip, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "out.mp4").write_text("mine")
    assert magnify(clip(), "-o", "out.mp4") == 1
    assert "out.mp4 exists" in capsys.readouterr().err
    assert (here / "out.mp4").read_text() == "mine"
    assert magnify(clip("b.mp4"), "-o", "out.mp4", "--overwrite") == 0
    assert len(list(open_video(here / "out.mp4"))) == 8


def test_the_input_is_never_overwritten(
    magnify: Magnify, clip: Clip, capsys: pytest.CaptureFixture[str]
) -> None:
    source = clip()
    before = source.read_bytes()
    assert magnify(source, "-o", source, "--overwrite") == 2
    assert "is the input itself" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_no_input_is_overwritten_by_the_result_of_another(
    magnify: Magnify, clip: Clip, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = clip("a.mp4"), clip("a_x10.mp4")
    before = other.read_bytes()
    assert magnify(one, other, "-o", other.parent, "--overwrite") == 2
    assert "a_x10.mp4 is the input itself" in capsys.readouterr().err
    assert other.read_bytes() == before


def test_a_magnifier_without_weights_says_so(
    clip: Clip, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["magnify", str(clip()), "--magnifier", "magnet"]) == 1
    shown = capsys.readouterr().err
    assert "no weights ship with the magnifier 'magnet'" in shown
    assert "--weights FILE" in shown
    assert not list(here.iterdir())


FULL = """
import resource, sys
from magkit.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.argv = ["magkit", "magnify", *sys.argv[1:]]
main()
"""


@POSIX
@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_a_full_disk(
    clip: Clip, weights: Path, here: Path, name: str, preloaded_python: str
) -> None:
    """A limit on the size of files stands for it."""
    source = clip("noise", count=20, size=(160, 160))
    rng = np.random.default_rng(0)
    for path in source.glob("*.png"):
        Image.fromarray(rng.integers(0, 256, (160, 160, 3), np.uint8)).save(path)
    arguments = [str(source), "-o", name, "--weights", str(weights)]
    done = subprocess.run(
        [preloaded_python, "-c", FULL, *arguments],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "disk is full" in done.stderr or "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(here.iterdir())


@POSIX
def test_an_interrupt_leaves_nothing(clip: Clip, weights: Path, here: Path) -> None:
    source = clip(count=250, size=(192, 192))
    process = subprocess.Popen(
        [sys.executable, "-m", "magkit", "magnify", str(source), "--weights", str(weights)],
        cwd=here,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(here.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [path.name[0] for path in here.iterdir()] == ["."]  # half-written, under another name
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("magkit: interrupted\n")
    assert "Traceback" not in errors
    assert not list(here.iterdir())
