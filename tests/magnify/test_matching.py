"""Block matching against pictures shifted by whole pixels."""

import pytest
import torch

from magkit.magnify.lucas_kanade import CELL, pyramid
from magkit.magnify.matching import (
    better_guess,
    compensate,
    kth_smallest,
    match,
    residual,
    unexplained,
)

HEIGHT, WIDTH, MARGIN = 192, 256, 72
Pair = tuple[torch.Tensor, torch.Tensor]


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Texture of several scales, with a margin all around."""
    generator = torch.Generator().manual_seed(seed)
    height, width = height + 2 * MARGIN, width + 2 * MARGIN
    total = torch.zeros(1, 3, height, width)
    for scale in (3, 12):
        coarse = torch.rand(1, 3, height // scale + 2, width // scale + 2, generator=generator)
        large = torch.nn.functional.interpolate(coarse, scale_factor=scale, mode="bicubic")
        total += large[..., :height, :width] / 2
    return total.clamp(0, 1)


def seen(world: torch.Tensor, x: int = 0, y: int = 0) -> torch.Tensor:
    """The frame in which the world is displaced by (x, y) pixels."""
    rows, columns = world.shape[-2] - MARGIN, world.shape[-1] - MARGIN
    return world[..., MARGIN - y : rows - y, MARGIN - x : columns - x]


def pair(x: int, y: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    world = picture(seed)
    return seen(world), seen(world, x, y)


def details(*frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = (pyramid(frame.mean(1, keepdim=True))[1] for frame in frames)
    return first, second


def share_right(field: torch.Tensor, x: float, y: float) -> float:
    """The share of the cells whose displacement is less than three pixels wrong."""
    wrong = (field - torch.tensor([x, y]).view(1, 2, 1, 1)).norm(dim=1)
    return float((wrong < 3).float().mean())


@pytest.mark.parametrize(
    ("x", "y"), [(0, 0), (8, 0), (0, -8), (24, 16), (-60, 0), (0, 60), (40, -44), (-13, 27)]
)
def test_a_shift_is_found_where_both_frames_show_it(x: int, y: int) -> None:
    before, after = pair(x, y)
    # What has come in from outside is in no cell of frame A; blocks are 56 pixels wide.
    rows = slice(max(y, 0) // CELL + 7, (HEIGHT + min(y, 0)) // CELL - 7)
    columns = slice(max(x, 0) // CELL + 7, (WIDTH + min(x, 0)) // CELL - 7)
    found = match(before, after)
    assert found.shape == (1, 2, HEIGHT // CELL, WIDTH // CELL)
    assert share_right(found[..., rows, columns], x, y) > 0.88


def test_displacements_are_even_and_bounded() -> None:
    generator = torch.Generator().manual_seed(1)
    before, after = torch.rand(2, 1, 3, 64, 96, generator=generator)
    found = match(before, after)
    assert torch.equal(found, 2 * (found / 2).round())
    assert found.abs().max() <= 74


def test_two_layers() -> None:
    ground, object_ = picture(1), picture(2)
    before, after = seen(ground).clone(), seen(ground, -8, 0).clone()
    before[..., 56:136, 40:136] = object_[..., 56:136, 40:136]
    after[..., 72:152, 88:184] = object_[..., 56:136, 40:136]  # moved by (48, 16)
    found = match(before, after)
    inside = found[..., 80 // CELL : 144 // CELL, 96 // CELL : 176 // CELL]
    assert share_right(inside, 48, 16) > 0.9
    assert share_right(found[..., 4:14, 4:18], -8, 0) > 0.9


@pytest.mark.parametrize("size", [(32, 32), (32, 96), (64, 40)])
def test_small_frames(size: tuple[int, int]) -> None:
    frame = seen(picture(4, *size))
    assert match(frame, frame).abs().max() == 0


def improved(guess: torch.Tensor, frames: Pair, halves: Pair) -> torch.Tensor:
    """The guess, replaced where it is what was found and a match is better."""
    lost = unexplained(compensate(*halves, guess))
    if not lost.any():
        return guess
    return better_guess(guess, guess, match(*frames), halves, lost)


def test_frames_of_a_batch_are_apart() -> None:
    guess = torch.zeros(1, 2, HEIGHT // CELL, WIDTH // CELL)
    # One frame moves far, one by less than what is searched for, one is a little noisy.
    noisy = pair(0, 0, 7)[0], pair(0, 0, 7)[0] + 0.004 * torch.randn(1, 3, HEIGHT, WIDTH)
    pairs = [pair(32, -16, 5), pair(0, 0, 6), noisy]
    frames = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    together = improved(guess.expand(3, -1, -1, -1), frames, details(*frames))
    for index, alone in enumerate(pairs):
        expected = improved(guess, alone, details(*alone))
        assert torch.equal(together[index], expected[0])
    assert share_right(together[0:1, :, 8:-8, 12:-8], 32, -16) > 0.9


def test_a_guess_that_explains_everything_is_returned_itself() -> None:
    before, after = pair(8, -4)
    guess = torch.tensor([8.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, HEIGHT // CELL, WIDTH // CELL)
    inner = [frame[..., 32:-32, 32:-32] for frame in details(before, after)]
    shown = [frame[..., 64:-64, 64:-64] for frame in (before, after)]
    guess = guess[..., 16:-16, 16:-16]
    # The frame's border shows what was outside: away from it nothing is left to explain.
    assert (residual(inner[0], inner[1], guess)[..., 3:-3, 3:-3] < 1e-3).all()
    still = before[..., 64:-64, 64:-64]
    pairs = details(still, still)
    assert improved(guess * 0, (still, still), pairs).abs().max() == 0
    kept = guess * 0
    assert improved(kept, (still, still), pairs) is kept
    moved = improved(kept, (shown[0], shown[1]), (inner[0], inner[1]))
    assert share_right(moved[..., 4:-4, 4:-4], 8, -4) > 0.9


def test_a_wrong_guess_is_replaced_and_a_right_one_keeps_its_gradient() -> None:
    before, after = pair(40, 0)
    guess = torch.zeros(1, 2, HEIGHT // CELL, WIDTH // CELL)
    guess[:, 0, : HEIGHT // CELL // 2] = 40
    guess.requires_grad_()
    made = improved(guess, (before, after), details(before, after))
    torch.autograd.backward(made.sum())
    assert guess.grad is not None
    upper, lower = (..., slice(4, 18), slice(14, -4)), (..., slice(28, -4), slice(14, -4))
    assert share_right(made[lower], 40, 0) > 0.9
    assert (guess.grad[lower] == 0).float().mean() > 0.9
    assert torch.equal(made[upper], guess[upper])
    assert (guess.grad[upper] == 1).all()


@pytest.mark.parametrize("k", [1, 4, 11])
def test_the_kth_smallest(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.rand(3, 11, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([sorted(row)[k - 1] for row in rows.tolist()])
    assert torch.equal(kth_smallest(rows, k), wanted)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert torch.equal(kth_smallest(rows, k), wanted)


def test_matches_of_an_exported_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = pair(24, -8)
    wanted = match(*frames)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert torch.equal(match(*frames), wanted)
