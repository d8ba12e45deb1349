"""Warps, splats and gathers against plain loops and scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from magkit.magnify.lucas_kanade import (
    backward_warp,
    neighbours,
    pixel_grid,
    splat,
    upsample,
    upsample_convex,
    weighted_sum,
)

H, W = 9, 13


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def field(reach: float, seed: int = 5, n: int = 2) -> torch.Tensor:
    return (random(n, 2, H, W, seed=seed) * 2 - 1) * reach


def test_the_grid_is_x_before_y() -> None:
    grid = pixel_grid(field(1))
    assert grid[0, 3, 7] == 7
    assert grid[1, 3, 7] == 3


@pytest.mark.parametrize("reach", [0.0, 0.3, 4.0])
def test_warp_samples_where_the_picture_came_from(reach: float) -> None:
    image, moves = random(2, 3, H, W), field(reach)
    made = backward_warp(image, moves)
    y, x = np.mgrid[:H, :W].astype(float)
    for n in range(2):
        places = [y - moves[n, 1].numpy(), x - moves[n, 0].numpy()]
        for c in range(3):
            exact = ndimage.map_coordinates(image[n, c].numpy(), places, order=1, mode="nearest")
            np.testing.assert_allclose(made[n, c], exact, atol=1e-12)


@pytest.mark.parametrize("height", [H, 16])
def test_a_picture_alone_is_warped_as_in_a_batch(height: int) -> None:
    image, moves = random(2, 3, height, W), (random(2, 2, height, W, seed=5) - 0.5) * 6
    together = backward_warp(image, moves, "bicubic")
    for n in range(2):
        alone = backward_warp(image[n : n + 1], moves[n : n + 1], "bicubic")
        torch.testing.assert_close(alone[0], together[n], atol=1e-12, rtol=0)


def test_warp_moves_what_is_there_to_the_right_and_down() -> None:
    image = random(1, 1, H, W)
    moves = torch.tensor([2.0, 1.0]).double().view(1, 2, 1, 1).expand(1, 2, H, W)
    for mode in ("bilinear", "bicubic"):
        made = backward_warp(image, moves, mode)
        torch.testing.assert_close(made[..., 1:, 2:], image[..., :-1, :-2])


def test_bicubic_warp_is_sharper_than_bilinear() -> None:
    x = torch.arange(W, dtype=torch.float64)
    wave, moved = torch.sin(1.2 * x), torch.sin(1.2 * (x - 0.5))
    moves = torch.tensor([0.5, 0.0]).double().view(1, 2, 1, 1).expand(1, 2, H, W)
    errors = {
        mode: (backward_warp(wave.expand(1, 1, H, W), moves, mode)[0, 0, 4] - moved)[3:-3]
        .abs()
        .max()
        .item()
        for mode in ("bilinear", "bicubic")
    }
    assert errors["bicubic"] < 0.4 * errors["bilinear"]
    still = backward_warp(wave.expand(1, 1, H, W), torch.zeros_like(moves), "bicubic")
    torch.testing.assert_close(still, wave.expand(1, 1, H, W))


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 1), (-2, 4), (20, 0)])
def test_splat_by_whole_pixels_is_exact(dx: int, dy: int) -> None:
    values = random(2, 3, H, W)
    moves = torch.tensor([dx, dy]).double().view(1, 2, 1, 1).expand(2, 2, H, W)
    exact = torch.zeros_like(values)
    for y in range(H):
        for x in range(W):
            if 0 <= y + dy < H and 0 <= x + dx < W:
                exact[:, :, y + dy, x + dx] = values[:, :, y, x]
    torch.testing.assert_close(splat(values, moves), exact)


def test_splat_keeps_what_stays_inside_the_frame() -> None:
    values, moves = random(2, 3, H, W), field(2.5)
    values[..., :3, :] = values[..., -3:, :] = values[..., :3] = values[..., -3:] = 0
    torch.testing.assert_close(splat(values, moves).sum((2, 3)), values.sum((2, 3)))
    away = splat(values, torch.full_like(moves, 100.0))
    assert away.abs().max() == 0


def test_splat_is_the_adjoint_of_a_bilinear_gather() -> None:
    moves = field(3.0)
    values, other = random(2, 3, H, W, seed=1), random(2, 3, H, W, seed=2)
    y, x = np.mgrid[:H, :W].astype(float)
    gathered = np.stack(
        [
            [
                ndimage.map_coordinates(
                    # A border of zeros: what is splatted half over the edge is lost by half.
                    np.pad(other[n, c].numpy(), 5),
                    [y + moves[n, 1].numpy() + 5, x + moves[n, 0].numpy() + 5],
                    order=1,
                )
                for c in range(3)
            ]
            for n in range(2)
        ]
    )
    forward = (splat(values, moves) * other).sum()
    assert forward.item() == pytest.approx((values.numpy() * gathered).sum(), rel=1e-12)


def test_splat_passes_gradients_to_values_and_field() -> None:
    values = random(1, 2, 4, 5).requires_grad_()
    moves = ((random(1, 2, 4, 5, seed=3) - 0.5) * 0.7 + 0.4).requires_grad_()
    assert torch.autograd.gradcheck(splat, (values, moves))


def test_upsample_convex_is_a_weighted_mean_of_nine() -> None:
    moves, logits = field(1.0), random(2, 36, H, W, seed=7) * 4
    shares = logits.view(2, 9, 4, H, W).softmax(1)
    padded = torch.nn.functional.pad(moves, (1, 1, 1, 1), mode="replicate")
    exact = torch.zeros(2, 2, 2 * H, 2 * W, dtype=torch.float64)
    for k in range(9):
        near = padded[:, :, k // 3 : k // 3 + H, k % 3 : k % 3 + W]
        for quarter in range(4):
            exact[:, :, quarter // 2 :: 2, quarter % 2 :: 2] += shares[:, k, quarter, None] * near
    torch.testing.assert_close(upsample_convex(moves, logits), exact)


def test_upsampling_keeps_the_unit() -> None:
    plain = torch.full((1, 2, 3, 4), 1.5)
    assert upsample(plain, 4).shape == (1, 2, 12, 16)
    torch.testing.assert_close(upsample(plain, 4), torch.full((1, 2, 12, 16), 1.5))


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_neighbours_against_a_loop(dilation: int) -> None:
    maps = random(2, 5, H, W)
    exact = torch.zeros(2, 5, 9, H, W, dtype=torch.float64)
    for y in range(H):
        for x in range(W):
            for k in range(9):
                row = min(max(y + (k // 3 - 1) * dilation, 0), H - 1)
                column = min(max(x + (k % 3 - 1) * dilation, 0), W - 1)
                exact[:, :, k, y, x] = maps[:, :, row, column]
    assert torch.equal(torch.stack(neighbours(maps, dilation), 2), exact)


def test_weighted_sum_is_a_product_summed() -> None:
    maps, shares = random(2, 5, 9, H, W), random(2, 1, 9, H, W, seed=1)
    found = weighted_sum(maps.unbind(2), shares)
    torch.testing.assert_close(found, (maps * shares).sum(2))
