"""Directions, masks and rectangles: what is magnified, and what stays as it is to the bit."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify
from magkit.magnify.region import BORDER, Controls, Mask, Region, read_mask
from magkit.protocols import Magnifier
from magkit.video import Frame

HEIGHT, WIDTH = 96, 128


class Painter:
    """A magnifier that measures one displacement, and paints all of a frame white."""

    stride, cell = 8, 4

    def __init__(self, x: float = 3.0, y: float = 1.0) -> None:
        self.found = torch.tensor([x, y]).view(1, 2, 1, 1)
        self.shown: list[torch.Tensor] = []

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: Any, current: torch.Tensor) -> torch.Tensor:
        height, width = current.shape[-2:]
        return self.found.repeat(1, 1, height // self.cell, width // self.cell)

    def displacement(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return self.motion(reference, current)

    def average(self, first: torch.Tensor, others: Iterable[torch.Tensor]) -> torch.Tensor:
        return first

    def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        self.shown.append(motion * (factor - 1))
        return torch.ones_like(current)


class Changes:
    """A magnifier without displacements, which paints all of a frame white."""

    stride, encode, render = 8, Painter.encode, Painter.render

    def __init__(self) -> None:
        self.shown: list[torch.Tensor] = []

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return current - reference


def noise(count: int, height: int, width: int, kind: type = np.uint8) -> list[Frame]:
    """Frames of one picture with small changes: no cuts."""
    most = np.iinfo(kind).max
    rng = np.random.default_rng(height * width)
    picture = rng.integers(0, int(0.9 * most), (1, height, width, 3))
    changes = rng.integers(0, int(0.04 * most), (count, height, width, 3))
    return list((picture + changes).astype(kind))


def shifted(x: float, y: float) -> Frame:
    """A periodic texture, displaced exactly: its spectrum is."""
    rng = np.random.default_rng(0)
    texture = rng.standard_normal((HEIGHT, WIDTH, 3))
    texture = scipy.ndimage.gaussian_filter(texture, (1.5, 1.5, 0), mode="wrap")
    texture = (texture - texture.min()) / np.ptp(texture)
    down, across = np.fft.fftfreq(HEIGHT)[:, None, None], np.fft.fftfreq(WIDTH)[:, None]
    phase = np.exp(-2j * np.pi * (across * x + down * y))
    moved = np.fft.ifft2(np.fft.fft2(texture, axes=(0, 1)) * phase, axes=(0, 1)).real
    return (moved.clip(0, 1) * 255).round().astype(np.uint8)


def displacement(first: Frame, moved: Frame) -> NDArray[np.float64]:
    """The displacement (x, y) of the middle between two frames, by least squares."""
    middle, found = np.s_[24:-24, 24:-24], np.zeros(2)
    spline = scipy.ndimage.spline_filter1d(
        scipy.ndimage.spline_filter1d(first.astype(float), axis=0, mode="grid-wrap"),
        *(3, 1),
        mode="grid-wrap",
    )
    for _ in range(8):
        at = (found[1], found[0], 0)
        warped = scipy.ndimage.shift(spline, at, order=3, mode="grid-wrap", prefilter=False)
        down, across = np.gradient(warped, axis=(0, 1))
        slopes = np.stack([-across[middle].ravel(), -down[middle].ravel()], 1)
        error = (moved - warped)[middle].ravel()
        found += np.linalg.lstsq(slopes, error, rcond=None)[0]
    return found


@pytest.fixture(scope="module")
def fast() -> Magnifier:
    return load_magnifier()


UP_RIGHT = np.array([0.3, -0.3])


@pytest.mark.parametrize(
    ("axis", "gains"),
    [
        (None, (8, 8)),
        (0.0, (8, 1)),
        (90.0, (1, 8)),
        (-90.0, (1, 8)),
        (45.0, (8, 8)),
        (225.0, (8, 8)),
        (135.0, (1, 1)),
        # The component along 30 degrees, (3 + sqrt 3, 1 + sqrt 3) / 4 of the motion, is added.
        (30.0, (1 + 7 * 1.18301, 1 + 7 * 0.68301)),
    ],
)
def test_only_the_component_along_an_axis_is_magnified(
    fast: Magnifier, axis: float | None, gains: tuple[float, float]
) -> None:
    still = shifted(0, 0)
    frames = [still, shifted(*UP_RIGHT)]
    *_, made = magnify(frames, fast, 8, controls=Controls(axis=axis), average=1)
    assert displacement(still, made) / UP_RIGHT == pytest.approx(gains, rel=0.1)


@pytest.mark.parametrize(("axis", "kept"), [(0.0, 1), (90.0, 0)])
def test_a_factor_of_zero_removes_one_component(fast: Magnifier, axis: float, kept: int) -> None:
    still = shifted(0, 0)
    frames = [still, shifted(*UP_RIGHT)]
    *_, made = magnify(frames, fast, 0, controls=Controls(axis=axis), average=1)
    gains = displacement(still, made) / UP_RIGHT
    assert gains[kept] == pytest.approx(1, abs=0.1)
    assert gains[1 - kept] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("grey", [0.25, 0.5])
def test_grey_magnifies_less(fast: Magnifier, grey: float) -> None:
    still = shifted(0, 0)
    mask = np.full(still.shape[:2], grey, np.float32)
    frames = [still, shifted(*UP_RIGHT)]
    *_, made = magnify(frames, fast, 9, controls=Controls(mask=mask), average=1)
    gain = 1 + 8 * grey
    assert displacement(still, made) / UP_RIGHT == pytest.approx((gain, gain), rel=0.1)


def halves(height: int = HEIGHT, width: int = WIDTH) -> Mask:
    """Black on the left, white on the right."""
    mask = np.zeros((height, width), np.float32)
    mask[:, width // 2 :] = 1
    return mask


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_what_is_black_stays_as_it_is(fast: Magnifier, mode: Any) -> None:
    frames = [shifted(0, 0), shifted(0.5, 0.2), shifted(-0.4, 0.1)]
    mask = halves()
    for controls in (Controls(mask=mask), Controls(roi=(WIDTH // 2, 0, WIDTH // 2, HEIGHT))):
        made = list(magnify(frames, fast, 12, mode=mode, controls=controls))
        for frame, shown in zip(frames[1:], made[1:], strict=True):
            np.testing.assert_array_equal(shown[mask == 0], frame[mask == 0])
            inside = mask > 0
            assert np.abs(shown[inside].astype(int) - frame[inside]).mean() > 3


@settings(max_examples=40, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from([np.uint8, np.uint16]))
def test_nothing_outside_of_a_region_changes(data: Any, displaced: bool, kind: type) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    roi = (
        *(left, top),
        data.draw(st.integers(1, width - left)),
        data.draw(st.integers(1, height - top)),
    )
    shares = np.random.default_rng(height).choice([0.0, 0.3, 1.0], (height, width))
    shares[top, left] = 1
    controls = Controls(mask=shares.astype(np.float32), roi=roi)
    frames = noise(2, height, width, kind)
    model = Painter() if displaced else Changes()
    _, made = magnify(frames, model, 5, controls=controls)
    inside = np.zeros((height, width), bool)
    inside[top : top + roi[3], left : left + roi[2]] = True
    inside &= shares > 0
    np.testing.assert_array_equal(made[~inside], frames[1][~inside])
    assert (made[inside] > frames[1][inside]).all()
    assert made.dtype == kind


def test_the_edge_of_a_region_is_soft() -> None:
    frames = [np.zeros((32, 32, 3), np.uint8)] * 2
    _, made = magnify(frames, Painter(), 5, controls=Controls(roi=(8, 0, 24, 32)))
    row = made[16, :, 0] / 255
    rising = [step / (BORDER + 1) for step in range(1, BORDER + 1)]
    # The edge of the frame is none of the region.
    assert row == pytest.approx([0] * 8 + rising + [1] * (24 - BORDER), abs=0.01)


def test_displacements_are_multiplied_by_the_mean_of_each_cell() -> None:
    mask = halves(15, 24)
    mask[:, 10:12] = 0.5
    region = Region(mask, 8, torch.device("cpu"), displaced=True)
    shown = region.scaled(Painter.motion(Painter(), None, torch.zeros(1, 3, 16, 24)), 4)
    assert shown[0, 0].tolist() == [pytest.approx([0, 0, 0.75, 3, 3, 3])] * 4
    assert shown[0, 1, 0].tolist() == pytest.approx([0, 0, 0.25, 1, 1, 1])


def test_other_magnifiers_are_blended() -> None:
    frames = [np.zeros((8, 16, 3), np.uint8)] * 2
    mask = np.full((8, 16), 0.5, np.float32)
    _, made = magnify(frames, Changes(), 2, controls=Controls(mask=mask))
    assert {int(value) for value in np.unique(made)} <= {127, 128}


def test_other_magnifiers_have_no_axis() -> None:
    with pytest.raises(UsageError, match="an axis needs a magnifier that measures displacements"):
        magnify(noise(2, 8, 8), Changes(), 2, controls=Controls(axis=0.0))


@pytest.mark.parametrize("concurrent", [False, True])
def test_each_frame_may_have_its_factor(concurrent: bool) -> None:
    model, frames = Painter(1.0, 0.0), noise(5, 8, 8)
    out = list(magnify(frames, model, [9, 2, 1, 0], limit=0, concurrent=concurrent))
    assert [float(shift[0, 0, 0, 0]) for shift in model.shown] == pytest.approx([1, -1, -1])
    assert out[2] is frames[2]


@pytest.mark.parametrize("factors", [[2, float("nan")], [2, 400], [-1]])
def test_impossible_factors_of_frames(factors: list[float]) -> None:
    with pytest.raises(UsageError, match="the factor must be from 0"):
        magnify(noise(2, 8, 8), Painter(), factors)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"axis": float("nan")}, "the axis must be from"),
        ({"axis": 361.0}, "not 361"),
        ({"roi": (0, 0, 0, 5)}, "0,0,0,5 is no rectangle"),
        ({"roi": (-1, 0, 5, 5)}, "is no rectangle"),
        ({"mask": np.zeros((4, 4), np.float32)}, "black everywhere"),
        ({"mask": np.full((4, 4), np.nan, np.float32)}, "from 0 to 1"),
        ({"mask": np.full((4, 4), 255, np.float32)}, "from 0 to 1"),
        ({"mask": np.ones((4, 4, 3), np.float32)}, r"\(4, 4, 3\)"),
        ({"mask": np.ones((0, 4), np.float32)}, r"\(0, 4\)"),
    ],
)
def test_impossible_controls(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Controls(**given)


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        (Controls(mask=halves(10, 12)), "12 x 10 pixels, and the frames 24 x 16"),
        (Controls(roi=(20, 0, 5, 4)), "not inside the frame of 24 x 16"),
        (Controls(roi=(0, 13, 4, 4)), "not inside"),
        (Controls(mask=halves(16, 24), roi=(0, 0, 12, 16)), "the mask is black in all of"),
    ],
)
def test_controls_that_do_not_fit(controls: Controls, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        controls.check_size(16, 24)
    with pytest.raises(UsageError, match=words):
        list(magnify(noise(2, 16, 24), Painter(), 2, controls=controls))


def array(path: Path, values: Any) -> Path:
    np.save(path, values, allow_pickle=True)
    return path


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float16, np.float64])
def test_arrays_are_read(tmp_path: Path, kind: type) -> None:
    mask = halves(6, 8)
    found = read_mask(array(tmp_path / "mask.npy", mask.astype(kind)), 6, 8)
    np.testing.assert_array_equal(found, mask)
    assert found.dtype == np.float32


def test_pictures_are_read(tmp_path: Path) -> None:
    grey = np.arange(48).reshape(6, 8)
    for name, values, most in (
        ("a.png", (5 * grey).astype(np.uint8), 255),
        ("b.png", (1300 * grey).astype(np.uint16), 65535),
        ("c.png", np.repeat(grey[..., None], 3, 2).astype(np.uint8), 255),
        ("d.bmp", (5 * grey).astype(np.uint8), 255),
    ):
        Image.fromarray(values).save(tmp_path / name)
        whole = values if values.ndim == 2 else values[..., 0]
        assert read_mask(tmp_path / name, 6, 8) == pytest.approx(whole / most, abs=1e-5)


def test_pictures_of_the_same_shape_are_scaled(tmp_path: Path) -> None:
    Image.fromarray((halves(32, 60) * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    for height, width in ((16, 30), (64, 120), (17, 32)):
        found = read_mask(tmp_path / "mask.png", height, width)
        assert found.shape == (height, width)
        assert found[:, : width // 2 - 2].max() == 0
        assert found[:, width // 2 + 2 :].min() == 1


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def text(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def header(path: Path, shape: str, kind: str = "<f4") -> Path:
    """The header of an array, and nothing else."""
    words = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return text(path, b"\x93NUMPY\x01\x00" + len(words).to_bytes(2, "little") + words)


def picture(path: Path, height: int = 6, width: int = 8) -> Path:
    Image.fromarray((halves(height, width) * 255).astype(np.uint8)).save(path)
    return path


def zipped(path: Path) -> Path:
    with path.open("wb") as file:
        np.savez(file, halves(6, 8))
    return path


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda at: at / "no.npy", "no.npy does not exist"),
    "empty": (lambda at: text(at / "a.npy", b""), "a.npy is not an array"),
    "text": (lambda at: text(at / "a.npy", b"mask" * 99), "a.npy is not an array"),
    "cut": (lambda at: cut(array(at / "a.npy", halves(6, 8)), 200), "a.npy is not an array"),
    "cut header": (lambda at: cut(array(at / "a.npy", halves(6, 8)), 50), "a.npy is not an array"),
    "huge": (lambda at: header(at / "a.npy", "(99999999, 99999999)"), "a.npy is not an array"),
    "negative": (lambda at: header(at / "a.npy", "(-6, 8)"), "a.npy is not an array"),
    "no shape": (lambda at: header(at / "a.npy", "'6'"), "a.npy is not an array"),
    "pickle": (lambda at: text(at / "a.npy", pickle.dumps([1])), "a.npy is not an array"),
    "objects": (lambda at: array(at / "a.npy", np.array([[{}]])), "a.npy is not an array"),
    "words": (lambda at: array(at / "a.npy", np.array([["a"]])), "not an array of numbers"),
    "complex": (lambda at: array(at / "a.npy", np.ones((6, 8), complex)), "not an array of numb"),
    "zip": (lambda at: zipped(at / "a.npy"), "not an array of numbers"),
    "no picture": (lambda at: at / "no.png", "no.png"),
    "cut picture": (lambda at: cut(picture(at / "a.png"), 50), "a.png is damaged"),
    "text picture": (lambda at: text(at / "a.png", b"mask" * 99), "a.png is not a picture"),
    "a folder": (lambda at: at, "can't be read"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_files_that_are_no_masks(tmp_path: Path, fault: str) -> None:
    make, words = BROKEN[fault]
    with pytest.raises(MagkitError, match=words) as caught:
        read_mask(make(tmp_path), 6, 8)
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda at: array(at / "a.npy", halves(7, 8)), "has 8 x 7 pixels, and the frames 8 x 6"),
        (lambda at: array(at / "a.npy", np.ones(8)), "has 8 pixels, and the frames 8 x 6"),
        (lambda at: picture(at / "a.png", 8, 6), "has 6 x 8 pixels, and the frames 8 x 6"),
        (lambda at: array(at / "a.npy", 255 * halves(6, 8)), "a.npy: a mask has values from 0"),
        (lambda at: array(at / "a.npy", 0 * halves(6, 8)), "a.npy: the mask is black"),
    ],
)
def test_masks_that_do_not_fit(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_mask(make(tmp_path), 6, 8)


def test_controls_are_checked_before_a_file_is_read(tmp_path: Path) -> None:
    def never() -> Iterator[Frame]:
        raise AssertionError("a frame was read")
        yield

    with pytest.raises(UsageError):
        magnify(never(), Changes(), 2, controls=Controls(axis=3.0))
