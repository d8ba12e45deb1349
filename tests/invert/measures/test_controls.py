"""Controls: functions of their seed and key, of the promised form, with nothing else in them."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch

from magkit.invert.measures import SPREAD, flat_mask, noise_image, textured_cutout

SIZE = (48, 80)


def mask(size: tuple[int, int] = SIZE) -> torch.Tensor:
    chosen = torch.zeros(size, dtype=torch.bool)
    chosen[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = True
    return chosen


def test_draws_are_functions_of_seed_and_key() -> None:
    before = torch.get_rng_state()
    image = torch.full((3, *SIZE), 0.5)
    draws: list[Callable[..., torch.Tensor]] = [
        partial(noise_image, SIZE),
        partial(textured_cutout, image, mask()),
    ]
    for draw in draws:
        first = draw(7, 1, 2)
        assert first.shape == (3, *SIZE)
        assert first.dtype == torch.float32
        assert torch.equal(draw(7, 1, 2), first)
        for key in ((8, 1, 2), (7, 1), (7, 2, 1), (7,)):
            assert not torch.equal(draw(*key), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_has_the_spread_of_photographs() -> None:
    drawn = noise_image((200, 300), 3)
    assert drawn.min() == 0
    assert drawn.max() == 1
    for channel, spread in zip(drawn, SPREAD, strict=True):
        assert channel.mean().item() == pytest.approx(0.5, abs=0.005)
        assert channel.median().item() == pytest.approx(0.5, abs=0.005)
        within = (channel - 0.5).abs() < spread  # 68 % of a Gaussian
        assert within.double().mean().item() == pytest.approx(math.erf(0.5**0.5), abs=0.008)
        clipped = ((channel == 0) | (channel == 1)).double().mean().item()
        assert clipped == pytest.approx(math.erfc(0.5 / spread / 2**0.5), abs=0.003)
    assert torch.corrcoef(drawn.flatten(1)).triu(1).abs().max() < 0.02
    assert torch.corrcoef(drawn.reshape(-1, 300)[:100]).triu(1).abs().max() < 0.3


def test_a_flat_mask_holds_its_shape_alone() -> None:
    made = flat_mask(mask())
    assert made.shape == (3, *SIZE)
    assert made.dtype == torch.float32
    assert (made[:, mask()] == 0.3).all()
    assert (made[:, ~mask()] == 0.7).all()
    made[:, 0, 0] = 0  # of its own memory
    assert made[0, 0, 1] == made[0, 1, 0] == torch.tensor(0.7)


@pytest.mark.parametrize("size", [SIZE, (96, 700), (600, 64), (5, 3)])
def test_the_object_lies_on_a_texture(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    made = textured_cutout(image, mask(size), 5, 1)
    assert made.shape == image.shape
    assert torch.equal(made[:, mask(size)], image[:, mask(size)])
    assert made.min() >= 0
    assert made.max() <= 1
    other = textured_cutout(1 - image, mask(size), 5, 1)
    assert torch.equal(made[:, ~mask(size)], other[:, ~mask(size)])


def test_grounds_differ_and_have_contrast() -> None:
    nothing = torch.zeros(SIZE, dtype=torch.bool)
    grounds = [textured_cutout(torch.zeros(3, *SIZE), nothing, 0, key) for key in range(4)]
    assert all(ground.std() > 0.01 for ground in grounds)
    for index, ground in enumerate(grounds):
        assert not any(torch.equal(ground, other) for other in grounds[:index])
