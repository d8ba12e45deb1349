"""Sizes and units, against torchvision's; masks that move, against pixels counted by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from magkit_vision.looking import Look, box, moved


def test_pictures_are_seen_in_units_of_deviations() -> None:
    x = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    look = Look(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    wanted = (x.numpy() - np.array([0.1, 0.2, 0.3])[:, None, None]) / np.array([0.5, 0.25, 2])[
        :, None, None
    ]
    np.testing.assert_allclose(look(x), wanted, rtol=1e-6)


def test_sizes_that_networks_take() -> None:
    assert Look().size((5, 7)) == (5, 7)
    assert Look(exact=(32, 32)).size((64, 96)) == (32, 32)
    assert Look(least=75).size((50, 100)) == (75, 150)
    assert Look(least=75).size((80, 100)) == (80, 100)
    assert Look(exact=(4, 4))(torch.rand(1, 3, 8, 8)).shape == (1, 3, 4, 4)


def test_every_pixel_of_a_larger_picture_counts() -> None:
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    Look(exact=(16, 16))(x).square().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert (x.grad != 0).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(-5, 5),
)
def test_masks_are_mirrored_and_shifted(seed: int, mirror: bool, right: int, down: int) -> None:
    height, width = 9, 13
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    turned = mask[:, ::-1] if mirror else mask
    wanted = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                wanted[y, x] = turned[y - down, x - right]
    # A pixel x of the new picture shows x - right of the turned one, which mirrors width - x.
    sign, origin = (-1.0, width + right) if mirror else (1.0, -right)
    maps = torch.tensor([[[sign, 0, origin], [0, 1, -down]]])
    found = moved(torch.from_numpy(mask)[None, None].float(), maps, (height, width))
    np.testing.assert_array_equal(found[0, 0], wanted)


@pytest.mark.parametrize("half", [False, True])
def test_masks_are_made_smaller_even_in_bf16(half: bool) -> None:
    mask = torch.zeros(1, 1, 256, 512)
    mask[..., 64:128, 384:448] = 1
    maps = torch.tensor([[[4.0, 0, 0], [0, 4, 0]]])
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = moved(mask, maps, (64, 128))
    assert torch.equal(found[0, 0], mask[0, 0, ::4, ::4])


def test_boxes_around_masks() -> None:
    mask = torch.zeros(20, 30)
    assert box(mask).tolist() == [0, 0, 0, 0]
    mask[3:8, 10:29] = 1
    assert box(mask).tolist() == [10, 3, 29, 8]
