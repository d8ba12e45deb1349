"""Resampling against plain indexing, and against a ramp, which bilinear weights keep exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from magkit.invert.affine import resample, scale_map

DOUBLE = torch.float64


def maps(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=DOUBLE).reshape(-1, 2, 3)


def pictures(count: int = 2, height: int = 6, width: int = 9) -> Tensor:
    return torch.tensor(np.random.default_rng(0).random((count, 3, height, width)))


IDENTITY = (1.0, 0, 0, 0, 1, 0)


def test_the_identity() -> None:
    x = pictures()
    torch.testing.assert_close(resample(x, maps(IDENTITY, IDENTITY), (6, 9)), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("across", [-3, 0, 2])
@pytest.mark.parametrize("down", [-1, 0, 4])
def test_a_shift_by_whole_pixels(across: int, down: int) -> None:
    """Beyond the edge the picture is mirrored about it, the pixel at the edge seen twice."""
    x = pictures(1)
    found = resample(x, maps((1.0, 0, across, 0, 1, down)), (6, 9))
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (5, 5), (5, 5)), "symmetric")
    expected = padded[:, :, 5 + down : 11 + down, 5 + across : 14 + across]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    zeros = np.pad(x.numpy(), ((0, 0), (0, 0), (5, 5), (5, 5)))
    found = resample(x, maps((1.0, 0, across, 0, 1, down)), (6, 9), padding="zeros")
    expected = zeros[:, :, 5 + down : 11 + down, 5 + across : 14 + across]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_each_picture_has_a_map_of_its_own() -> None:
    x = pictures()
    mirror, upside_down = (-1.0, 0, 9, 0, 1, 0), (1.0, 0, 0, 0, -1, 6)
    found = resample(x, maps(mirror, upside_down), (6, 9))
    torch.testing.assert_close(found[0], x[0].flip(2), rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1], x[1].flip(1), rtol=0, atol=1e-12)


def test_half_the_size_is_the_mean_of_four() -> None:
    x = pictures(2, 6, 8)
    found = resample(x, scale_map((6, 8), (3, 4), 2).to(DOUBLE), (3, 4))
    torch.testing.assert_close(found, x.reshape(2, 3, 3, 2, 4, 2).mean((3, 5)))


def test_scaling_takes_corners_to_corners() -> None:
    found = scale_map((480, 854), (64, 100), 3)
    assert found.shape == (3, 2, 3)
    corners = torch.tensor([[0.0, 0, 1], [100, 64, 1]])
    expected = torch.tensor([[0.0, 0], [854, 480]])
    for each in found:
        torch.testing.assert_close(corners @ each.T, expected)


@settings(deadline=None, max_examples=60)
@given(
    entries=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    shift=st.tuples(st.floats(-10, 10), st.floats(-10, 10)),
    slope=st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-5, 5)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_a_ramp_is_looked_up_exactly(
    entries: list[float],
    shift: tuple[float, float],
    slope: tuple[float, float, float],
    size: tuple[int, int],
) -> None:
    """Of the form a x + b y + c at pixels' centres, and so wherever a place lies between them."""

    def ramp(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return slope[0] * x + slope[1] * y + slope[2]

    height, width = 11, 13
    y, x = np.mgrid[0:height, 0:width] + 0.5
    source = torch.tensor(ramp(x, y))[None, None]
    affine = np.array([[entries[0], entries[1], shift[0]], [entries[2], entries[3], shift[1]]])
    found = resample(source, torch.tensor(affine)[None], size)[0, 0].numpy()
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    to_x, to_y = np.einsum("ij,jhw->ihw", affine, np.stack([columns, rows, np.ones(size)]))
    inside = (abs(to_x - width / 2) <= width / 2 - 0.5) & (abs(to_y - height / 2) <= 5)
    np.testing.assert_allclose(found[inside], ramp(to_x, to_y)[inside], atol=1e-9)
    assert source.min() - 1e-9 <= found.min() <= found.max() <= source.max() + 1e-9


def test_the_gradient_reaches_the_picture() -> None:
    affine = maps((0.9, 0.2, 1, -0.1, 1.1, -2), (-1, 0, 9, 0, 1, 3))
    x = pictures().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: resample(v, affine, (5, 4)), x, fast_mode=True)


def test_coordinates_keep_their_bits_where_layers_work_with_sixteen() -> None:
    x = torch.rand(1, 3, 64, 448)
    shift = torch.tensor([[[1.0, 0, 3], [0, 1, -2]]])
    expected = resample(x, shift, (64, 448))
    with torch.autocast("cpu", torch.bfloat16):
        found = resample(x, shift, (64, 448))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
