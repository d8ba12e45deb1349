"""Small displacements of smooth patterns, measured by least squares."""

import math

import pytest
import torch
from torch.nn import functional as F

from magkit.magnify.lucas_kanade import (
    CELL,
    Aggregation,
    NormalEquations,
    contrast_gain,
    pyramid,
    solve,
)

SIDE = 64
WAVES = ((0.9, 0.3, 0.4), (-0.5, 0.8, 1.9), (1.1, -0.7, 2.2), (0.2, 1.2, 0.3))
"""Angular frequencies (x, y) in radians a pixel, and phases: periods of five to seven pixels."""


def pattern(dx: float, dy: float) -> torch.Tensor:
    """A sum of waves displaced by (dx, dy), brightness (1, 1, SIDE, SIDE)."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    x, y = x.double() - dx, y.double() - dy
    waves = [torch.sin(u * x + v * y + phase) for u, v, phase in WAVES]
    return (0.5 + 0.1 * torch.stack(waves).sum(0))[None, None].float()


def measured(a: torch.Tensor, b: torch.Tensor, guess: torch.Tensor | None = None) -> torch.Tensor:
    """The displacement (x, y) of the frame without its border."""
    cells = a.shape[-1] // CELL
    start = torch.zeros(1, 2, cells, cells) if guess is None else guess
    equations, _, _ = NormalEquations()(pyramid(a)[0], pyramid(b)[0], start)
    whole = equations[..., 3:-3, 3:-3].mean((2, 3), keepdim=True)
    return solve(whole, torch.full((1, 1, 1, 1), 1e-9)).flatten().detach()


@pytest.mark.parametrize("length", [0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("angle", [0.0, 0.8, 2.0, 4.5])
def test_small_displacements_to_two_percent(length: float, angle: float) -> None:
    motion = torch.tensor([length * math.cos(angle), length * math.sin(angle)])
    found = measured(pattern(0, 0), pattern(*motion.tolist()))
    assert torch.linalg.vector_norm(found - motion) < 0.02 * length


@pytest.mark.parametrize("period", [3.0, 4.0, 7.0, 16.0, 31.0, 60.0])
def test_patterns_of_any_length_are_read_rightly(period: float) -> None:
    y, x = torch.meshgrid(torch.arange(192.0), torch.arange(192.0), indexing="ij")
    u, v = (2 * math.pi / period * part for part in (math.cos(0.4), math.sin(0.4)))
    motion = torch.tensor([0.08, -0.06])

    def waves(dx: float, dy: float) -> torch.Tensor:
        one = torch.sin(u * (x - dx) + v * (y - dy))
        other = torch.cos(u * (y - dy) - v * (x - dx))
        return (0.5 + 0.2 * (one + other))[None, None]

    found = measured(waves(0, 0), waves(*motion.tolist()))
    assert torch.linalg.vector_norm(found - motion) < 0.02 * torch.linalg.vector_norm(motion)


def test_details_move_as_a_whole_and_know_no_light() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    levels = pyramid((0.3 + 0.002 * x + 0.003 * y)[None, None])
    assert [level.shape[-1] for level in levels] == [96, 48, 24, 12]
    # Light that changes evenly over the frame leaves nothing, but for the frame's border.
    assert levels[0][..., 16:-16, 16:-16].abs().max() < 1e-3
    noise = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pyramid(noise + 0.25)[0], pyramid(noise)[0], atol=1e-6, rtol=0)


def test_a_guess_makes_large_ones_small() -> None:
    motion, guess = torch.tensor([2.2, -1.1]), torch.tensor([2.0, -1.0])
    field = guess.view(1, 2, 1, 1).expand(1, 2, SIDE // CELL, SIDE // CELL)
    found = measured(pattern(0, 0), pattern(*motion.tolist()), field)
    assert torch.linalg.vector_norm(found - motion) < 0.05


def test_a_change_of_light_is_no_motion() -> None:
    found = measured(pattern(0, 0), pattern(0.1, 0) + 0.1)
    torch.testing.assert_close(found, torch.tensor([0.1, 0.0]), atol=0.004, rtol=0)


def test_still_and_plain_frames_do_not_move() -> None:
    assert measured(pattern(0, 0), pattern(0, 0)).abs().max() < 1e-5
    plain = torch.zeros(1, 1, SIDE, SIDE)
    equations, error, _ = NormalEquations()(plain, plain, torch.zeros(1, 2, 16, 16))
    assert solve(equations, torch.full((1, 1, 1, 1), 1e-4)).abs().max() < 1e-6
    assert error.max() < 1e-6


def test_the_error_says_what_the_guess_leaves() -> None:
    moved, zero = pattern(0.3, 0), torch.zeros(1, 2, 16, 16)
    still, moved = pyramid(pattern(0, 0))[0], pyramid(moved)[0]
    _, wrong, _ = NormalEquations()(still, moved, zero)
    right = torch.zeros_like(zero)
    right[:, 0] = 0.3
    _, left, _ = NormalEquations()(still, moved, right)
    assert left.mean() < 0.1 * wrong.mean()


def test_solve_solves_two_by_two_systems() -> None:
    roots = torch.rand(1, 2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    matrix = torch.einsum("nijhw,nkjhw->nikhw", roots, roots)
    right = torch.rand(1, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    parts = [matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1], right[:, 0], right[:, 1]]
    found = solve(torch.stack(parts, 1), torch.full((1, 1, 1, 1), 0.1))
    damped = matrix.permute(0, 3, 4, 1, 2) + 0.1 * torch.eye(2)
    exact = torch.linalg.solve(damped, right.permute(0, 2, 3, 1)[..., None])[..., 0]
    torch.testing.assert_close(found, exact.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


def test_damping_draws_to_nought() -> None:
    a, b = pattern(0, 0), pattern(0.2, 0.1)
    equations, _, _ = NormalEquations()(pyramid(a)[0], pyramid(b)[0], torch.zeros(1, 2, 16, 16))
    lengths = [
        solve(equations, torch.full((1, 1, 1, 1), damping)).norm(dim=1).mean().item()
        for damping in (1e-3, 1.0, 100.0)
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[2] < 0.02


def test_sharing_keeps_what_all_cells_agree_on() -> None:
    one = torch.tensor([2.0, 0.5, 1.0, 0.3, -0.2]).view(1, 5, 1, 1).expand(1, 5, 7, 9)
    shared = Aggregation((1, 2))(one, torch.zeros(1, 18, 7, 9))
    torch.testing.assert_close(shared, one)


def test_sharing_keeps_cells_apart_that_move_differently() -> None:
    one = torch.tensor([2.0, 0.0, 2.0, 0.0, 0.0]).view(1, 5, 1, 1).repeat(1, 1, 8, 16)
    one[:, 3, :, 8:] = 2.0  # the right half moves by a pixel, the left stays
    shared = Aggregation((1, 2, 4))(one, torch.zeros(1, 27, 8, 16))
    found = solve(shared, torch.full((1, 1, 1, 1), 1e-6))[0, 0]
    assert found[:, :8].abs().max() < 0.1
    assert (found[:, 8:] - 1).abs().max() < 0.1


def test_exposures_are_made_alike() -> None:
    one = pyramid(pattern(0, 0))
    other = pyramid(pattern(0, 0) * 0.7 + 0.2)
    gain = contrast_gain(one, other)
    assert gain.item() == pytest.approx(1 / 0.7, rel=0.01)
    torch.testing.assert_close(other[0] * gain, one[0], atol=0.003, rtol=0)


def test_the_filters_are_a_derivative_and_a_smoothing() -> None:
    equations = NormalEquations()
    ramp = torch.arange(12.0).expand(1, 1, 12, 12)
    gradient = F.conv2d(ramp, equations.gradient)
    torch.testing.assert_close(gradient[:, :1], torch.ones(1, 1, 8, 8), atol=0.01, rtol=0)
    assert gradient[:, 1:].abs().max() < 1e-5
    assert equations.level.sum().item() == pytest.approx(1, abs=1e-4)
