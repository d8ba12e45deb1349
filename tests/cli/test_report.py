"""`magkit report` from end to end."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magkit.cli import run
from magkit.evaluate import report as reports
from magkit.evaluate.report import FILES
from magkit.video import WriteOptions, open_video, plain_info, write_video
from tests.measure.textures import Texture, sine

COUNT, RATE = 48, 24
NAMES = sorted(FILES)
ROI = ("--roi", "40,28,48,40")


def write_clip(path: Path, moves: Iterable[float], noise: float = 0.0) -> Path:
    """A square of texture before another that is still, lossless."""
    ground, thing = Texture(96, 128, seed=1).displaced(0), Texture(56, 64, seed=2)
    rng = np.random.default_rng(3)

    def frame(x: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        picture = ground.copy()
        picture[20:76, 32:96] = thing.displaced(x)
        picture += noise * rng.standard_normal(picture.shape)
        return np.repeat((picture.clip(0, 1) * 255).round().astype(np.uint8)[..., None], 3, 2)

    info, lossless = plain_info(128, 96, Fraction(RATE), COUNT), WriteOptions(quality=0)
    write_video(path, map(frame, moves), info, lossless)
    return path


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It vibrates by 0.4 px at 4 Hz, and has a name that is no HTML."""
    path = tmp_path_factory.mktemp("report") / "a <b>&'bearing'.mkv"
    return write_clip(path, sine(COUNT, 0.4, 8))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("still") / "still.mkv", [0.0] * COUNT, noise=0.02)


@pytest.fixture
def report(
    here: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Run `magkit report ARGUMENTS --json` here with a small network; return its record."""

    def command(*arguments: object) -> dict[str, Any]:
        texts = [*map(str, arguments), "--weights", str(weights), "--threads", "1"]
        assert run(["report", *texts, "--json"]) == 0
        record: dict[str, Any] = json.loads(capsys.readouterr().out)
        return record

    return command


def test_a_vibration(moving: Path, here: Path, report: Callable[..., dict[str, Any]]) -> None:
    record = report(moving, *ROI, "--factor", "4")
    folder = here / "a <b>&'bearing'-report"
    assert record["output"] == folder.name
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert [path.name for path in here.iterdir()] == [folder.name]
    said = json.loads((folder / "measurement.json").read_text())
    assert said == {name: value for name, value in record.items() if name in said}
    made, gain = said["magnified"], said["magnified"]["gain"]
    assert made["bands"] == [pytest.approx([3, 5], abs=0.02)]
    assert gain["before"] == pytest.approx(0.4, rel=0.02)
    assert gain["frequency"] == pytest.approx(4, abs=0.02)
    assert gain["ratio"] == pytest.approx(gain["after"] / gain["before"])
    assert 1.5 < gain["ratio"] < 6  # even an untrained network measures by least squares
    for path, digest in (
        (moving, said["clip"]["sha256"]),
        (folder / made["file"], made["sha256"]),
    ):
        assert digest == sha256(path.read_bytes()).hexdigest()
    assert open_video(folder / "magnified.mp4").info.frames == COUNT
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "<h1>a &lt;b&gt;&amp;&#x27;bearing&#x27;.mkv</h1>" in page
    assert 'href="magnified.mp4"' in page
    assert page.count("data:image/png") == 2
    assert len(page) < 500_000


def test_the_ratio_is_that_of_the_trained_network(
    moving: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(moving), *ROI, "--factor", "3", "--threads", "1", "-o", "there"]
    assert run(["report", *arguments]) == 0
    gain = json.loads((here / "there" / "measurement.json").read_text())["magnified"]["gain"]
    assert gain["ratio"] == pytest.approx(3, rel=0.25)
    shown = capsys.readouterr()
    assert "0.4 px at 4 Hz" in shown.out
    assert "of 3 asked for" in shown.out
    assert str(Path("there", "index.html")) in shown.err


def test_units_and_the_rate_of_filming(
    moving: Path, here: Path, report: Callable[..., dict[str, Any]]
) -> None:
    units = ("--scale", "0,0,100,0=50mm", "--unit", "um", "--reading", "pp")
    gain = report(moving, *ROI, *units, "--capture-fps", "2400", "-o", "out")["magnified"]["gain"]
    assert gain["frequency"] == pytest.approx(400, abs=2)
    assert gain["before"] == pytest.approx(0.4 * 2 * 500, rel=0.02)
    page = (here / "out" / "index.html").read_text(encoding="utf-8")
    assert "Amplitude (um, peak to peak)" in page
    assert "2400 frames per second" in page


def test_a_folder_of_frames(
    moving: Path, here: Path, tmp_path: Path, report: Callable[..., dict[str, Any]]
) -> None:
    folder = tmp_path / "v1.2 frames"
    folder.mkdir()
    for number, frame in enumerate(open_video(moving)):
        Image.fromarray(frame).save(folder / f"{number:03d}.png")
    record = report(folder, *ROI, "--factor", "3")
    assert record["clip"]["sha256"] is None
    assert record["magnified"]["gain"]["ratio"] > 1
    page = (here / "v1.2 frames-report" / "index.html").read_text(encoding="utf-8")
    assert "it is a folder of frames" in page


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text(
    still: Path, here: Path, tmp_path: Path, report: Callable[..., dict[str, Any]]
) -> None:
    clip = tmp_path / os.fsdecode(b"caf\xe9 \n.mkv")
    clip.write_bytes(still.read_bytes())
    report(clip, *ROI, "-o", "out")
    assert "caf? \n.mkv" in (here / "out" / "index.html").read_text(encoding="utf-8")


def test_a_still_clip_is_noise_and_not_magnified(
    still: Path, here: Path, report: Callable[..., dict[str, Any]]
) -> None:
    record = report(still, *ROI)
    assert record["magnified"] is None
    folder = here / "still-report"
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "measurement.json"]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "noise: nothing above the detection limit" in page
    assert "the clip was not magnified" in page


def test_a_still_clip_in_a_band_has_no_gain(
    still: Path, here: Path, report: Callable[..., dict[str, Any]]
) -> None:
    record = report(still, *ROI, "--band", "3-5", "--band", "7-8", "-o", "out")
    assert record["magnified"]["bands"] == [[3, 5], [7, 8]]
    assert record["magnified"]["gain"] is None
    assert (here / "out" / "magnified.mp4").exists()
    page = (here / "out" / "index.html").read_text(encoding="utf-8")
    assert "there is no gain to state" in page
    assert "the motion from 3 to 5 Hz and from 7 to 8 Hz 10 times" in page
    assert "No motion in these bands" in page


def test_what_is_removed_is_gone(
    moving: Path, here: Path, report: Callable[..., dict[str, Any]]
) -> None:
    gain = report(moving, *ROI, "--factor", "0", "-o", "out")["magnified"]["gain"]
    assert gain["after"] is None or gain["ratio"] < 0.5


def test_an_earlier_report_is_replaced_and_nothing_else(
    still: Path, here: Path, report: Callable[..., dict[str, Any]], capsys: Any
) -> None:
    report(still, *ROI)
    assert run(["report", str(still)]) == 1
    assert "--overwrite replaces it" in capsys.readouterr().err
    report(still, *ROI, "--overwrite")
    (here / "still-report" / "mine.txt").write_text("mine")
    assert run(["report", str(still), "--overwrite"]) == 1
    assert "more than an earlier report's folder" in capsys.readouterr().err
    assert (here / "still-report" / "mine.txt").read_text() == "mine"


def test_a_magnified_clip_is_not_overwritten_by_its_own_report(
    still: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / "folder"
    folder.mkdir()
    clip = folder / "magnified.mp4"
    clip.write_bytes(still.read_bytes())
    assert run(["report", str(clip), "-o", str(folder), "--overwrite"]) == 2
    assert "is or holds the input" in capsys.readouterr().err
    assert clip.exists()


def test_a_failure_leaves_nothing(
    moving: Path,
    here: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reports, "page", fail)
    assert run(["report", str(moving), *ROI, "--weights", str(weights)]) == 1
    assert "disk is full" in capsys.readouterr().err
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--at", "5,5"), "outside the frame"),
        (("--unit", "um"), "needs the size of a pixel"),
        (("--capture-fps", "0"), "above 0"),
        (("--factor", "-1"), "from 0 to 300"),
        (("--band", "5"), "no band"),
        (("--band", "5-12"), "half the clip's rate"),
        (("--magnifier", "nothing"), "nothing"),
    ],
)
def test_what_is_refused(
    moving: Path,
    here: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["report", str(moving), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(here.iterdir())


def test_files_that_are_no_clips(
    here: Path, tmp_path: Path, moving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, cut = tmp_path / "empty.mp4", tmp_path / "cut.mkv"
    empty.write_bytes(b"")
    cut.write_bytes(moving.read_bytes()[:200])
    for path in (empty, cut, tmp_path / "missing.mp4"):
        assert run(["report", str(path)]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert not list(here.iterdir())


def test_it_needs_matplotlib(
    moving: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(["report", str(moving)]) == 1
    assert "magkit[plot]" in capsys.readouterr().err
    assert not list(here.iterdir())
