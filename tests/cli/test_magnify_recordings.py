"""`magkit magnify` on recordings of high-speed cameras and on arrays."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from magkit.cli import run
from magkit.video import ReadOptions, open_video

Codes = NDArray[np.uint16]


def vibration(count: int = 12) -> Codes:
    """A bar that swings, (T, 24, 40) in 12 bits."""
    x = np.arange(40.0) - 20 - 0.3 * np.sin(np.arange(count) * np.pi / 3)[:, None, None]
    bar = 400 + 3600 * np.exp(-((x / 4) ** 2))
    codes: Codes = np.broadcast_to(bar, (count, 24, 40)).round().astype(np.uint16)
    return codes


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """12 frames of 16 bits, 12 of them in use, at 10,000 frames a second."""
    folder = tmp_path / "camera"
    folder.mkdir()
    vibration().astype("<u2").tofile(folder / "shot.mraw")
    told = {
        "Record Rate(fps)": 10000, "Total Frame": 12, "Image Width": 40, "Image Height": 24,
        "Color Type": "Mono", "Color Bit": 16, "EffectiveBit Depth": 12,
    }  # fmt: skip
    lines = ["#Camera Information Header", *(f"{name} : {value}" for name, value in told.items())]
    (folder / "shot.cih").write_text("\n".join(lines))
    return folder / "shot.cih"


def magnify(*arguments: object) -> int:
    return run(["magnify", "--magnifier", "linear", *map(str, arguments)])


@pytest.mark.parametrize("factor", [1, 2])
def test_a_recording_becomes_a_video(
    recording: Path, here: Path, capsys: pytest.CaptureFixture[str], factor: int
) -> None:
    assert magnify(recording, "--factor", factor, "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["results"][0]["output"] == f"shot_x{factor}.mp4"
    assert "warning" not in told.err
    info = open_video(here / f"shot_x{factor}.mp4").info
    assert (info.width, info.height, info.frames, info.bits) == (40, 24, 12, 10)
    assert info.rate == 10000


def test_codes_survive_in_a_folder(recording: Path, here: Path) -> None:
    assert magnify(recording.with_suffix(".mraw"), "--factor", 1, "-o", "frames") == 0
    made = open_video(here / "frames", ReadOptions(deep=True))
    assert (made.info.rate, made.info.bits) == (Fraction(10000), 12)
    codes = np.rint(np.stack(list(made)) * (4095 / 65535))
    assert (codes == vibration()[..., None]).all()


def test_a_band_is_in_hertz_of_the_scene(
    recording: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert magnify(recording, "--band", "1200-2200", "-o", "band.mp4") == 0
    assert magnify(recording, "--band", "1200-6000", "-o", "high.mp4") == 2
    assert "6000" in capsys.readouterr().err


def test_a_result_may_play_slowly(recording: Path, here: Path) -> None:
    rates = ["--fps", 30, "--capture-fps", 10000, "--band", "1200-2200"]
    assert magnify(recording, *rates, "-o", "slow") == 0
    assert magnify(recording, "--band", "1200-2200", "-o", "fast") == 0
    slow, fast = open_video(here / "slow"), open_video(here / "fast")
    assert (slow.info.rate, fast.info.rate) == (Fraction(30), Fraction(10000))
    first, *rest = fast
    assert any((one != first).any() for one in rest)
    assert all((one == other).all() for one, other in zip(slow, fast, strict=True))


def test_an_array_becomes_a_video(
    tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "shot.npy", vibration())
    assert magnify(tmp_path / "shot.npy", "--factor", 1, "--bits", 12, "--fps", 500) == 0
    assert "warning" not in capsys.readouterr().err
    assert open_video(here / "shot_x1.mp4").info.rate == 500


def test_a_missing_file_is_told_with_a_hint(
    recording: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording.with_suffix(".mraw").unlink()
    assert magnify(recording) == 1
    assert "shot.mraw is missing" in capsys.readouterr().err


def test_a_stack_has_the_depth_and_rate_of_the_recording(recording: Path, here: Path) -> None:
    assert magnify(recording, "--factor", 1, "-o", "made.tif") == 0
    pages = tifffile.imread(here / "made.tif")
    assert pages.dtype == np.uint16
    assert (np.rint(pages * (4095 / 65535)) == vibration()).all()
    info = open_video(here / "made.tif").info
    assert (info.rate, info.bits, info.grey) == (Fraction(10000), 12, True)


def test_all_codes_of_twelve_bits_survive_in_stacks(here: Path) -> None:
    codes = np.arange(4096 * 4, dtype=np.uint16).reshape(4, 64, 64) % 4096
    np.save(here / "codes.npy", codes)
    options = ("--bits", 12, "--fps", 250, "--factor", 1)
    assert magnify("codes.npy", *options, "-o", "one.tif") == 0
    assert magnify("one.tif", "--factor", 1, "-o", "two.tiff") == 0
    pages = tifffile.imread(here / "two.tiff")
    assert pages.shape == codes.shape
    assert (np.rint(pages * (4095 / 65535)) == codes).all()
    assert open_video(here / "two.tiff").info.rate == 250


@pytest.mark.parametrize("flags", [["--compare"], ["--slice", "line.png", "--slice-at", "y=3"]])
def test_a_stack_takes_the_other_options(recording: Path, here: Path, flags: list[str]) -> None:
    assert magnify(recording, "--factor", 2, "-o", "made.tif", *flags) == 0
    pages = tifffile.imread(here / "made.tif")
    assert pages.dtype == np.uint16
    assert len(pages) == 12
    assert pages.shape[2] == (88 if "--compare" in flags else 40)


def test_a_stack_has_no_quality(
    recording: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert magnify(recording, "-o", "made.tif", "--quality", 3) == 2
    assert "lossless" in capsys.readouterr().err
    assert not list(here.iterdir())
