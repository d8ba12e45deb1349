"""`magkit magnify` with an axis, a mask, a rectangle, a ramp; side by side; slices."""

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image

from magkit.cli import run
from magkit.evaluate.vibration import patches_at, track
from magkit.video import Frame, open_video, plain_info, write_video
from magkit.video.compare import GAP, compared_info

HEIGHT, WIDTH, COUNT = 72, 96, 8
MOTION = np.array([0.35, 0.25])  # pixels, x and y: the amplitude
Clip = Callable[..., Path]


def moving(count: int = COUNT) -> Iterator[Frame]:
    """A texture that swings diagonally, by cubic splines of one with a margin."""
    texture = np.random.default_rng(0).standard_normal((HEIGHT + 20, WIDTH + 20))
    texture = scipy.ndimage.gaussian_filter(texture, 1.8)
    texture = 255 * (texture - texture.min()) / np.ptp(texture)
    for index in range(count):
        x, y = MOTION * np.sin(2 * np.pi * index / 4)
        moved = scipy.ndimage.shift(texture, (y, x), order=5)[10:-10, 10:-10]
        yield np.repeat(moved.clip(0, 255).round().astype(np.uint8)[..., None], 3, 2)


@pytest.fixture(scope="module")
def swinging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of lossless frames."""
    folder = tmp_path_factory.mktemp("clips") / "swinging"
    write_video(folder, moving(), plain_info(WIDTH, HEIGHT, Fraction(30), COUNT))
    return folder


def magnify(*arguments: str | Path) -> int:
    """Run the command with the weights that come with it."""
    return run(["magnify", *map(str, arguments), "--threads", "1", "--average", "1"])


def frames(path: Path) -> NDArray[np.uint8]:
    return np.stack(list(open_video(path))).astype(np.uint8)


def gains(source: Path, result: Path, place: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """The growth of the motion along x and y of a rectangle."""
    before, after = frames(source), frames(result)
    patches = patches_at(place, before[0])
    old, new = (track(before[0], clip, patches)[:, 0] for clip in (before, after))
    growth: NDArray[np.float64] = (old * new).sum(1) / (old**2).sum(1)
    return growth


WHOLE = (16, 16, 64, 40)


@pytest.mark.parametrize(("axis", "exact"), [("0", (6, 1)), ("90", (1, 6)), ("-90", (1, 6))])
def test_an_axis(swinging: Path, here: Path, axis: str, exact: tuple[float, float]) -> None:
    assert magnify(swinging, "--axis", axis, "-f", "6", "-o", "made") == 0
    assert gains(swinging, here / "made", WHOLE) == pytest.approx(exact, rel=0.1)


def drawn(path: Path, height: int = HEIGHT, width: int = WIDTH) -> Path:
    """A mask that is white on the right."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 255
    if path.suffix == ".npy":
        np.save(path, mask > 0)
    else:
        Image.fromarray(mask).save(path)
    return path


@pytest.mark.parametrize("name", ["mask.png", "mask.npy"])
def test_a_mask(swinging: Path, here: Path, tmp_path: Path, name: str) -> None:
    mask = drawn(tmp_path / name)
    assert magnify(swinging, "--mask", mask, "-f", "6", "-o", "made") == 0
    before, after = frames(swinging), frames(here / "made")
    half = WIDTH // 2
    np.testing.assert_array_equal(after[:, :, :half], before[:, :, :half])
    right = (half + 16, 16, 24, 40)
    assert gains(swinging, here / "made", right) == pytest.approx((6, 6), rel=0.1)


def test_a_rectangle(swinging: Path, here: Path) -> None:
    assert magnify(swinging, "--roi", "20,10,60,50", "-f", "6", "-o", "made") == 0
    before, after = frames(swinging), frames(here / "made")
    changed = (before != after).any((0, 3))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (rows[0], rows[-1]) == (10, 59)
    assert (columns[0], columns[-1]) == (20, 79)
    assert gains(swinging, here / "made", (32, 20, 36, 30)) == pytest.approx((6, 6), rel=0.1)


def test_a_rectangle_of_a_mask(swinging: Path, here: Path, tmp_path: Path) -> None:
    mask = drawn(tmp_path / "mask.png", 2 * HEIGHT, 2 * WIDTH)  # is scaled
    assert magnify(swinging, "--mask", mask, "--roi", "0,0,96,36", "-f", "6", "-o", "made") == 0
    changed = (frames(swinging) != frames(here / "made")).any((0, 3))
    assert changed[:36, WIDTH // 2 + 2 :].mean() > 0.9
    assert not changed[36:].any()
    assert not changed[:, : WIDTH // 2 - 2].any()


def test_a_ramp(swinging: Path, here: Path) -> None:
    assert magnify(swinging, "--ramp", "1-8") == 0
    made = here / "swinging_x1-8"
    assert np.array_equal(frames(made)[0], frames(swinging)[0])
    first = frames(swinging)[0]
    patches = patches_at(WHOLE, first)
    old, new = (track(first, frames(path), patches)[:, 0] for path in (swinging, made))
    # The motion is 0 at every other frame, and the factor is the frame's number plus 1.
    assert new[:, 1::2] / old[:, 1::2] == pytest.approx(np.array([[2, 4, 6, 8]] * 2), rel=0.12)


def test_both_side_by_side(swinging: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert magnify(swinging, "-f", "6", "-o", "alone") == 0
    assert magnify(swinging, "-f", "6", "-o", "both", "--compare", "--overwrite") == 0
    both, info = frames(here / "both"), open_video(here / "both").info
    expected = compared_info(open_video(swinging).info)
    assert (info.width, info.height) == (2 * WIDTH + GAP, expected.height)
    assert info.rate == 30
    np.testing.assert_array_equal(both[:, -HEIGHT:, :WIDTH], frames(swinging))
    np.testing.assert_array_equal(both[:, -HEIGHT:, -WIDTH:], frames(here / "alone"))


@pytest.mark.parametrize("at", [[], ["--slice-at", "x=50"], ["--slice-at", "y=30"]])
@pytest.mark.parametrize("compare", [[], ["--compare"]])
def test_a_slice(
    swinging: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    at: list[str],
    compare: list[str],
) -> None:
    arguments = [*at, *compare, "-f", "6", "-o", "made", "--json"]
    assert magnify(swinging, "--slice", "slice.png", *arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["slice"] == "slice.png"
    assert not at or said["slice_at"] == at[1]
    picture = np.asarray(Image.open(here / "slice.png"))
    axis, position = said["slice_at"].split("=")
    both = frames(swinging), frames(here / "made")[:, -HEIGHT:, -WIDTH:]
    lines = [clip.take(int(position), 2 if axis == "x" else 1) for clip in both]
    size = HEIGHT if axis == "x" else WIDTH
    assert picture.shape == (2 * size + GAP, 600, 3)
    np.testing.assert_array_equal(picture[:size, ::75].swapaxes(0, 1), lines[0])
    np.testing.assert_array_equal(picture[-size:, ::75].swapaxes(0, 1), lines[1])


def test_the_slice_goes_through_what_is_magnified(
    swinging: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for left in (0, 48):
        arguments = ["--roi", f"{left},0,48,36", "-o", f"made{left}", "--json"]
        assert magnify(swinging, "--slice", f"{left}.png", *arguments) == 0
        axis, position = json.loads(capsys.readouterr().out)["slice_at"].split("=")
        assert int(position) in (range(left, left + 48) if axis == "x" else range(36))


def test_json_tells_the_settings(
    swinging: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = drawn(tmp_path / "mask.png")
    where = ["--axis", "30", "--mask", str(mask), "--roi", "9,8,80,60"]
    assert magnify(swinging, *where, "--ramp", "2-5", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    kept = {key: said[key] for key in ("axis", "mask", "roi", "factor", "ramp", "compare", "slice")}
    assert kept == {
        "axis": 30,
        "mask": str(mask),
        "roi": [9, 8, 80, 60],
        "factor": None,
        "ramp": [2, 5],
        "compare": False,
        "slice": None,
    }


FAULTS = {
    "--axis nan": "the axis must be from -360",
    "--axis up": "'--axis' must be a number",
    "--mask small.npy": "has 60 x 40 pixels, and the frames 96 x 72",
    "--mask square.png": "has 40 x 40 pixels, and the frames 96 x 72",
    "--mask mask.png --roi 0,0,40,40": "the mask is black in all of the rectangle 0,0,40,40",
    "--roi left": "not 4 whole numbers",
    "--roi 1,2,3": "not 4 whole numbers",
    "--roi 90,0,20,20": "not inside the frame of 96 x 72",
    "--roi 9,0,0,20": "is no rectangle of a frame",
    "--roi=-9,0,20,20": "is no rectangle of a frame",
    "--ramp 1-5 -f 10": "--ramp replaces --factor",
    "--ramp 5": "'5' is no ramp",
    "--ramp=-1-5": "'-1-5' is no ramp",
    "--ramp 1-301": "the factor must be from 0 to 300",
    "--slice a.jpg": "must end in .png",
    "--slice-at x=3": "--slice-at needs --slice",
    "--slice a.png --slice-at x=96": "the frame has no line x=96",
    "--slice a.png --slice-at middle": "'middle' is no line",
    "--band 1-3 --band 2-4": "the bands 1-3 Hz and 2-4 Hz overlap or touch",
    "--band 1-3 --band 9-15": "the band 9-15 Hz reaches half the clip's rate",
    "--band auto --band 9-12": "--band auto finds the only band",
    "--keep-camera-motion": "--keep-camera-motion needs --stabilize",
    "--magnifier linear --axis 0": "an axis needs a magnifier that measures displacements",
}


@pytest.mark.parametrize("line", FAULTS)
def test_faults_are_a_sentence_and_leave_nothing(
    swinging: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    masks = {"small.npy": (40, 60), "square.png": (40, 40), "mask.png": (HEIGHT, WIDTH)}
    arguments = [
        str(drawn(tmp_path / word, *masks[word])) if word in masks else word
        for word in line.split()
    ]
    assert magnify(swinging, *arguments) == 2
    shown = capsys.readouterr()
    assert FAULTS[line] in shown.err
    assert "Traceback" not in shown.err
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", ["no.png", "no.npy"])
def test_a_mask_that_is_missing(
    swinging: Path, here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert magnify(swinging, "--mask", name) == 1
    assert name in capsys.readouterr().err
    assert not list(here.iterdir())


def test_slices_of_several_clips_and_of_none_that_move(
    swinging: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert magnify(swinging, swinging, "--slice", "a.png", "-o", "made") == 2
    still = tmp_path / "still"
    write_video(still, [next(moving())] * 3, plain_info(WIDTH, HEIGHT, Fraction(30), 3))
    assert magnify(still, "--slice", "a.png") == 1
    assert "--slice-at" in capsys.readouterr().err
    assert not list(here.iterdir())
    (here / "a.png").write_text("mine")
    assert magnify(swinging, "--slice", "a.png") == 1
    assert "a.png exists" in capsys.readouterr().err


def test_the_input_is_never_overwritten_by_its_slice(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = (Image.fromarray(frame) for frame in moving(4))
    first.save(here / "clip.png", save_all=True, append_images=others)
    before = (here / "clip.png").read_bytes()
    assert magnify("clip.png", "-o", "a.gif", "--slice", "clip.png", "--overwrite") == 2
    assert "is the input itself" in capsys.readouterr().err
    assert (here / "clip.png").read_bytes() == before


def test_masks_go_with_magnifiers_without_displacements(swinging: Path, here: Path) -> None:
    chosen: list[Any] = ["--magnifier", "linear", "-f", "6", "--roi", "20,10,60,50"]
    assert run(["magnify", str(swinging), *chosen, "-o", "made"]) == 0
    changed = (frames(swinging) != frames(here / "made")).any((0, 3))
    assert changed[10:60, 20:80].mean() > 0.9
    changed[10:60, 20:80] = False
    assert not changed.any()


def shaken(count: int = COUNT) -> Iterator[Frame]:
    """A texture in front of a camera that shakes by some pixels."""
    texture = scipy.ndimage.gaussian_filter(np.random.default_rng(1).random((92, 116)), 2.0)
    texture = 255 * (texture - texture.min()) / np.ptp(texture)
    moves = np.random.default_rng(2).uniform(-3, 3, (count, 2))
    for y, x in moves - moves[0]:
        moved = scipy.ndimage.shift(texture, (y, x), order=5)[10:-10, 10:-10]
        yield np.repeat(moved.clip(0, 255).round().astype(np.uint8)[..., None], 3, 2)


@pytest.fixture(scope="module")
def shaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "shaking"
    write_video(folder, shaken(), plain_info(WIDTH, HEIGHT, Fraction(30), COUNT))
    return folder


@pytest.mark.parametrize("magnifier", ["magnet-fast", "linear", "phase", "colour"])
def test_a_shake_is_taken_out(
    shaking: Path, here: Path, capsys: pytest.CaptureFixture[str], magnifier: str
) -> None:
    chosen = ["--magnifier", magnifier, "--stabilize", "--json"]
    assert run(["magnify", str(shaking), *chosen]) == 0
    assert json.loads(capsys.readouterr().out)["stabilize"] == "out"
    before, after = (
        frames(path).astype(float) for path in (shaking, here / "shaking_x10_stabilized")
    )
    inside = np.s_[:, 16:-16, 16:-16]
    rest = [np.abs(clip - before[0])[inside].mean() for clip in (before, after)]
    assert rest[1] < 0.05 * rest[0]


def test_a_shake_is_put_back(shaking: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = ["--stabilize", "--keep-camera-motion", "--compare", "--slice", "a.png", "--json"]
    assert magnify(shaking, *how) == 0
    assert json.loads(capsys.readouterr().out)["stabilize"] == "back"
    after = frames(here / "shaking_x10_camera-kept")[:, -HEIGHT:, -WIDTH:]
    assert np.abs(after.astype(float) - frames(shaking)).mean() < 0.5
    assert (here / "a.png").exists()


def test_several_bands(swinging: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bands = ["--band", "6-9", "--band", "1-2"]
    assert magnify(swinging, *bands, "--slice", "a.png", "--compare", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bands"] == [{"low": 1, "high": 2}, {"low": 6, "high": 9}]
    assert (here / "swinging_x10_1-2Hz_6-9Hz").is_dir()
