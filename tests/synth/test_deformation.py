"""Deformations against float64: their sums, their inverse, and the spline."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, optimize

from magkit.synth.deformation import (
    Deformation,
    Wave,
    bending,
    displacement,
    make_fields,
    material,
    membrane,
    sample,
)

Plane = npt.NDArray[np.float64]
MIXED = Deformation(
    shift=(3.25, -1.5),
    matrix=((0.02, -0.05), (0.04, -0.01)),
    waves=(
        Wave(amplitude=(1.5, 0.5), vector=(0.05, 0.02), phase=0.3),
        Wave(amplitude=(-0.5, 2.0), vector=(-0.01, 0.06), phase=2.0),
    ),
)
PLAIN = Deformation(shift=(-0.125, 0.5))


def field(d: Deformation, x: Plane | float, y: Plane | float) -> tuple[Plane, Plane]:
    """The formula, in float64."""
    (a, b), (c, e) = d.matrix
    dx, dy = d.shift[0] + a * x + b * y, d.shift[1] + c * x + e * y
    for w in d.waves:
        sine = np.sin(w.vector[0] * x + w.vector[1] * y + w.phase)
        dx, dy = dx + w.amplitude[0] * sine, dy + w.amplitude[1] * sine
    return np.asarray(dx), np.asarray(dy)


def grid(height: int, width: int, centre: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return torch.from_numpy(np.stack([x - centre[0], y - centre[1]]))[None]


def test_a_displacement_is_that_of_the_formula() -> None:
    points = grid(40, 50, (25, 20)).expand(2, -1, -1, -1)
    made = displacement(make_fields([MIXED, PLAIN]), points.float())
    for n, d in enumerate((MIXED, PLAIN)):
        exact = np.stack(field(d, *points[n].numpy()))
        np.testing.assert_allclose(made[n], exact, atol=1e-5)


def test_a_membrane_is_a_product_of_sines() -> None:
    waves = membrane((1.5, -0.5), (0.1, 0.07), (0.4, -0.2))
    points = grid(30, 40)
    made = displacement(make_fields([Deformation(waves=waves)], dtype=torch.float64), points)
    x, y = points[0].numpy()
    exact = np.sin(0.1 * x + 0.4) * np.sin(0.07 * y - 0.2)
    np.testing.assert_allclose(made[0], [1.5 * exact, -0.5 * exact], atol=1e-12)


def test_a_beam_bends_across_itself() -> None:
    wave = bending(2.0, 64.0, math.pi / 6, 0.5)
    assert np.dot(wave.amplitude, wave.vector) == pytest.approx(0)
    assert math.hypot(*wave.amplitude) == pytest.approx(2)
    assert math.hypot(*wave.vector) == pytest.approx(2 * math.pi / 64)
    along = np.array([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    assert along @ wave.vector == pytest.approx(2 * math.pi / 64)


@pytest.mark.parametrize("scale", [0.0, 1.0, -0.5, 2.5])
def test_the_inverse_is_the_fixed_point(scale: float) -> None:
    points = grid(24, 32, (16, 12)) * 3
    found = material(make_fields([MIXED]), points.float(), torch.tensor([scale]))[0].double()
    x, y = points[0].numpy()
    px, py = x, y
    for _ in range(200):  # contracts: scale * strain is below a half
        dx, dy = field(MIXED, px, py)
        px, py = x - scale * dx, y - scale * dy
    np.testing.assert_allclose(found, [px, py], atol=5e-5)


def test_the_inverse_along_a_line_is_a_root() -> None:
    wave = Deformation(waves=(Wave(amplitude=(8.0, 0.0), vector=(0.06, 0.0), phase=1.0),))
    xs = np.linspace(-60, 60, 31)
    points = torch.from_numpy(np.stack([xs, 0 * xs]))[None, :, None]
    found = material(make_fields([wave]), points.float(), torch.tensor([1.0]))[0, 0, 0]
    for x, p in zip(xs, found.tolist(), strict=True):
        root = optimize.brentq(lambda q, x=x: q + 8 * math.sin(0.06 * q + 1) - x, x - 10, x + 10)
        assert p == pytest.approx(root, abs=5e-5)


def test_rows_may_have_scales_of_their_own() -> None:
    points, scales = grid(6, 8, (4, 3)).float(), torch.linspace(0.5, 1.5, 6)
    fields = make_fields([MIXED])
    whole = material(fields, points, scales[None])
    for row, scale in enumerate(scales):
        alone = material(fields, points, scale[None])
        torch.testing.assert_close(whole[:, :, row], alone[:, :, row])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(-math.pi, math.pi))
def test_no_displacement_and_no_stretch_exceeds_its_bound(seed: int, angle: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 0.1, (2, 2)).tolist()
    waves = tuple(
        Wave(amplitude=tuple(rng.normal(0, 3, 2)), vector=tuple(rng.normal(0, 0.1, 2)))
        for _ in range(3)
    )
    d = Deformation(shift=(1.0, -2.0), matrix=(tuple(rows[0]), tuple(rows[1])), waves=waves)
    x, y = rng.uniform(-30, 30, (2, 200))
    dx, dy = field(d, x, y)
    assert np.hypot(dx, dy).max() <= d.reach(float(np.hypot(x, y).max())) + 1e-9
    step = 1e-5
    ex, ey = field(d, x + step * math.cos(angle), y + step * math.sin(angle))
    assert (np.hypot(ex - dx, ey - dy) / step).max() <= d.strain + 1e-6


def test_the_strain_of_a_rotation_and_of_a_shear() -> None:
    assert Deformation(matrix=((0, -0.2), (0.2, 0))).strain == pytest.approx(0.2)
    assert Deformation(matrix=((0, 0.3), (0, 0))).strain == pytest.approx(0.3)


def test_samples_are_those_of_the_cubic_spline() -> None:
    rng = np.random.default_rng(1)
    texels = rng.random((2, 3, 40, 50))
    points = rng.uniform(1.5, 37.5, (2, 2, 20, 25))
    points[0, :, 0] = 7.0
    made = sample(torch.from_numpy(texels).float(), torch.from_numpy(points).float())
    for n in range(2):
        places = [points[n, 1], points[n, 0]]
        exact = [
            ndimage.map_coordinates(plane, places, order=3, prefilter=False) for plane in texels[n]
        ]
        np.testing.assert_allclose(made[n], exact, atol=3e-5)


def test_the_border_repeats() -> None:
    texels = torch.zeros(1, 1, 8, 8)
    texels[..., -1] = 1
    points = torch.tensor([[30.0, -30.0], [4.0, 4.0]]).view(1, 2, 1, 2)
    torch.testing.assert_close(sample(texels, points).flatten(), torch.tensor([1.0, 0.0]))
