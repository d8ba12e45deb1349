"""Coherent displacement fields: what is kept, what is filled, what is taken away."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.magnify.coherence import (
    confidence,
    explained,
    fill,
    limited,
    soft_limit,
    without_folds,
    without_noise,
)
from magkit.magnify.lucas_kanade import (
    CELL,
    NormalEquations,
    backward_warp,
    pyramid,
    solve,
    upsample,
)
from magkit.magnify.matching import compensate

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40))
PIXELS = st.floats(-60, 60, width=32)


def filled_in(field: torch.Tensor, certainty: torch.Tensor) -> torch.Tensor:
    """The field filled where every cell has texture in both directions, and hardly any noise."""
    n, _, height, width = field.shape
    equations = torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(n, 3, height, width)
    return fill(field, certainty, equations, torch.full((n, 1, 1, 1), 1e-6))


def random_field(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def constant(x: float, y: float, *size: int) -> torch.Tensor:
    n, height, width = size
    return (
        torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(n, 2, height, width).contiguous()
    )


def orientation(shift: torch.Tensor) -> torch.Tensor:
    """The determinant of the Jacobian of x -> x + shift, by forward differences."""
    across = shift.diff(dim=-1)[..., :-1, :] / CELL
    down = shift.diff(dim=-2)[..., :-1] / CELL
    return (1 + across[:, 0]) * (1 + down[:, 1]) - across[:, 1] * down[:, 0]


@settings(max_examples=40, deadline=None)
@given(PIXELS, PIXELS, st.floats(0.5, 200))
def test_a_soft_limit(x: float, y: float, limit: float) -> None:
    out = soft_limit(constant(x, y, 1, 1, 1), limit).flatten()
    length = math.hypot(x, y)
    ratio = length / limit
    wanted = length if ratio < 0.5 else limit * (0.5 + 0.5 * math.tanh(2 * ratio - 1))
    share = wanted / length if length else 0.0
    assert out.tolist() == pytest.approx([x * share, y * share], rel=1e-4, abs=1e-4)
    assert out.norm() <= limit * (1 + 1e-5)


def test_a_longer_displacement_is_shown_longer() -> None:
    lengths = torch.linspace(0, 30, 301)
    shift = torch.stack([0.6 * lengths, -0.8 * lengths])[None, :, None]
    shown = soft_limit(shift, 10.0).norm(dim=1).flatten()
    assert (shown.diff() >= 0).all()
    assert shown[:50].tolist() == pytest.approx(lengths[:50].tolist(), abs=1e-5)
    assert 9.9 < shown[-1] <= 10


@settings(max_examples=12, deadline=None)
@given(SIZES, PIXELS, PIXELS)
def test_a_constant_field_stays(size: tuple[int, int, int], x: float, y: float) -> None:
    field = constant(x, y, *size)
    certain = torch.ones(size[0], 1, *size[1:])
    torch.testing.assert_close(filled_in(field, certain), field, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(without_folds(field), field, rtol=1e-4, atol=1e-4)


@settings(max_examples=8, deadline=None)
@given(SIZES)
def test_nothing_certain_means_no_motion(size: tuple[int, int, int]) -> None:
    field = 40 * random_field(size[0], 2, *size[1:])
    none = torch.zeros(size[0], 1, *size[1:])
    assert filled_in(field, none).abs().max() == 0


@pytest.mark.parametrize("at", [8, 13, 16, 21])
def test_two_certain_layers_keep_their_edge(at: int) -> None:
    field = constant(0.3, -0.2, 1, 24, 32)
    field[..., at:] = torch.tensor([20.0, 5.0]).view(1, 2, 1, 1)
    filled = filled_in(field, torch.ones(1, 1, 24, 32))
    assert (filled - field).abs().max() < 0.05


def test_uncertain_cells_take_over_the_motion_around_them() -> None:
    field, certain = constant(3, -1, 1, 24, 32), torch.ones(1, 1, 24, 32)
    hole = (..., slice(8, 14), slice(10, 17))
    field[hole] = 50 * random_field(1, 2, 6, 7)
    certain[hole] = 0
    filled = filled_in(field, certain)
    torch.testing.assert_close(filled, constant(3, -1, 1, 24, 32), atol=0.05, rtol=0)


def test_a_hole_belongs_to_the_layer_around_it() -> None:
    field, certain = constant(0, 0, 1, 32, 64), torch.ones(1, 1, 32, 64)
    field[..., 32:] = 10
    field[..., 10:13, 10:13] = -40
    field[..., 10:13, 50:53] = -40
    certain[..., 10:13, 10:13] = certain[..., 10:13, 50:53] = 0
    filled = filled_in(field, certain)
    assert filled[..., 10:13, 10:13].abs().max() < 0.5
    assert (filled[..., 10:13, 50:53] - 10).abs().max() < 0.5


def test_smooth_displacements_are_shown_as_they_are() -> None:
    y, x = torch.meshgrid(torch.arange(45.0), torch.arange(70.0), indexing="ij")
    wave = 6 * torch.sin(x / 9) * torch.cos(y / 7)
    turn = torch.stack([-(y - 22), x - 35]) * CELL * 0.3
    for shift in (torch.stack([wave, -wave])[None], turn[None]):
        assert (without_folds(shift) - shift).abs().max() < 0.02 * shift.abs().max()


def test_small_jumps_are_shown_and_large_ones_flattened() -> None:
    shift = torch.zeros(1, 2, 40, 64)
    for jump, share in ((4, 0.01), (8, 0.06), (11, 0.2)):
        shift[:, 0, :, 17:] = jump
        assert (without_folds(shift) - shift).abs().max() < share * jump
    for jump in (30, 100):
        shift[:, 0, :, 17:] = jump
        assert without_folds(shift).diff(dim=-1).abs().max() < 0.2 * jump


@pytest.mark.parametrize("amplitude", [20, 40, 80])
def test_confetti_does_not_fold_the_picture(amplitude: int) -> None:
    confetti = amplitude * random_field(1, 2, 48, 64)
    assert (orientation(confetti) > 0).float().mean() < 0.6
    assert (orientation(without_folds(confetti)) > 0).float().mean() > 0.88


def test_displacements_are_kept_by_their_signal_to_noise_ratio() -> None:
    xx, xy, yy, x, y = 3.0, -1.0, 2.0, 0.03, -0.02
    signal = xx * x * x + 2 * xy * x * y + yy * y * y
    right = [xx * x + xy * y, xy * x + yy * y]  # the displacement solves the equations
    equations = torch.tensor([xx, xy, yy, *right]).view(1, 5, 1, 1).expand(1, 5, 9, 12)
    field = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, 9, 12)
    for noise, allowed in ((0.0, 2e-4), (1e-3, 1e-3), (0.2, 0.2), (100.0, 100.0)):
        rest = torch.full((1, 1, 9, 12), noise + signal)
        ratio = (signal / (0.02 * allowed)) ** 2
        expected = field * ratio / (1 + ratio)
        found = without_noise(field, equations, rest)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-9)


def test_noise_is_still_and_motion_is_kept() -> None:
    measure, pattern = NormalEquations(), upsample(random_field(1, 1, 16, 20), 4)
    noisy, moved = pattern + 0.01 * random_field(1, 1, 64, 80, seed=1), pattern.roll(1, 3)
    shares = []
    for frame in (noisy, moved):
        with torch.no_grad():
            equations, _, rest = measure(pattern, frame, torch.zeros(1, 2, 16, 20))
            whole = equations.mean((2, 3), keepdim=True).expand(-1, -1, 16, 20)
            field = solve(whole, torch.full((1, 1, 1, 1), 5e-3))
            kept = without_noise(field, equations, rest)
        shares.append((kept.norm() / field.norm()).item())
    assert shares[0] < 0.05
    assert shares[1] > 0.98


def test_only_what_is_added_is_limited() -> None:
    motion = constant(3, -4, 1, 6, 8)
    torch.testing.assert_close(limited(motion, 11, 0), motion)
    torch.testing.assert_close(limited(motion, 11, 1000), motion)
    assert torch.equal(limited(motion, 0.5, 1), motion)
    shown = limited(motion, 11, 20) * 10
    torch.testing.assert_close(shown, soft_limit(motion * 10, 20), rtol=1e-4, atol=1e-4)
    confetti = random_field(1, 2, 12, 16)
    torch.testing.assert_close(limited(confetti, 41, 0) * 40, without_folds(confetti * 40))


def frames(kind: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Details of two halved frames, the second moved by (4, -2) pixels, and that displacement."""
    field = constant(4, -2, 1, 32, 48)
    coarse = torch.rand(1, 1, 32, 48, generator=torch.Generator().manual_seed(3))
    first = upsample(coarse, CELL) if kind == "texture" else torch.full((1, 1, 128, 192), 0.5)
    second = backward_warp(first, upsample(field, CELL))
    return pyramid(first)[1], pyramid(second)[1], field


def test_the_true_displacement_is_certain_and_a_wrong_one_is_not() -> None:
    first, second, field = frames("texture")
    inside = (..., slice(4, -4), slice(4, -4))
    right = explained(compensate(first, second, field))
    assert right.shape == (1, 1, 32, 48)
    assert right[inside].min() > 0.95
    for wrong in (torch.zeros_like(field), -field, field.flip(1) * 3):
        assert explained(compensate(first, second, wrong))[inside].mean() < 0.1


def test_small_displacements_are_trusted_and_large_ones_must_explain() -> None:
    first, second, field = frames("texture")
    small, large = torch.zeros_like(field), torch.full_like(field, 20.0)
    assert confidence(compensate(first, second, small), small).min() == 1
    compensation = compensate(first, second, large)
    found = confidence(compensation, large)
    torch.testing.assert_close(found, explained(compensation), atol=1e-3, rtol=0)


def test_no_change_needs_no_explanation() -> None:
    for kind in ("texture", "plain"):
        first, _, field = frames(kind)
        none = torch.zeros_like(field)
        assert confidence(compensate(first, first, none), none).min() == 1
    first, second, field = frames("plain")
    assert confidence(compensate(first, second, field), field).min() == 1
