"""The warp: against Pillow, against its own dense form, and where things come to lie."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from magkit.selfsup.views import _matrix, crop_and_resize, resize_taps, separable_filter


def smooth(height: int, width: int) -> Tensor:
    """Return a picture of waves of five pixels and more as uint8 (3, height, width)."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / a) * np.cos(y / b) for a, b in ((3, 5), (2, 9), (8, 1.6))]
    pixels = np.round(127.5 + 120 * np.stack(waves))
    return torch.from_numpy(pixels.astype(np.uint8))


def warped(frame: Tensor, box: tuple[float, ...], size: int, *, flip: bool = False) -> Tensor:
    """Return a part (left, top, right, bottom) of a frame (3, h, w) at another size."""
    left, top, right, bottom = torch.tensor(box, dtype=torch.float32)[:, None]
    no = torch.tensor([False])
    rows = resize_taps(top, bottom, no, size, frame.shape[1])
    columns = resize_taps(left, right, torch.tensor([flip]), size, frame.shape[2])
    return crop_and_resize(frame[None], rows, columns)[0]


BOXES = (
    (0, 0, 130, 170),
    (10.3, 20.7, 110.9, 150.2),
    (0.5, 0.0, 60.5, 60.0),  # hardly shrunk
    (20.25, 30.75, 50.5, 61.0),  # enlarged
)


def of_pillow(frame: Tensor, box: tuple[float, ...], size: int) -> Tensor:
    """Return what Pillow's antialiased bilinear filter makes of a part of a frame."""
    image = Image.fromarray(frame.permute(1, 2, 0).numpy())
    left, top, right, bottom = box
    bilinear = Image.Resampling.BILINEAR
    pixels = np.array(image.resize((size, size), bilinear, box=(left, top, right, bottom)))
    return torch.from_numpy(pixels).permute(2, 0, 1).float()


@pytest.mark.parametrize("box", BOXES)
def test_pixels_are_near_those_of_pillow(box: tuple[float, ...]) -> None:
    frame = smooth(170, 130)
    difference = (warped(frame, box, 48) - of_pillow(frame, box, 48)).abs()
    # Levels of 255, of waves of five pixels: what up to .09 px make. More at the frame's edge,
    # where Pillow shows a mean of what lies inside of the place asked for.
    assert difference.mean() < 1
    assert difference[:, 1:-1, 1:-1].max() < 4


@pytest.mark.parametrize("box", BOXES)
def test_without_the_tilt_pixels_are_those_of_pillow(
    box: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "magkit.selfsup.views._tilted",
        lambda weights, _: weights / weights.sum(-1, keepdim=True),
    )
    frame = smooth(170, 130)
    # Pillow rounds to a level after each direction.
    assert (warped(frame, box, 48) - of_pillow(frame, box, 48)).abs().max() < 1.1


@settings(max_examples=80, deadline=None)
@given(
    size=st.integers(8, 100),
    length=st.integers(64, 400),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    flip=st.booleans(),
)
def test_a_ramp_comes_out_where_it_is_promised(
    size: int, length: int, part: tuple[float, float], flip: bool
) -> None:
    low, high = min(part) * (length - 12), 12 + max(part) * (length - 12)
    found = resize_taps(
        torch.tensor([low]), torch.tensor([high]), torch.tensor([flip]), size, length
    )
    weights = _matrix(found, torch.tensor([0]), length)[0].double()
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(1), torch.ones(size).double(), atol=1e-5)
    places = weights @ (torch.arange(length).double() + 0.5)
    promised = low + (torch.arange(size).double() + 0.5) * (high - low) / size
    promised = promised.flip(0) if flip else promised
    # Before the first pixel's centre, and after the last one's, there is nothing to interpolate.
    assert torch.allclose(places, promised.clamp(0.5, length - 0.5), atol=0.01)


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(8, 64),
    sides=st.tuples(st.integers(20, 200), st.integers(20, 200)),
    seed=st.integers(0, 999),
)
def test_strips_change_nothing(size: int, sides: tuple[int, int], seed: int) -> None:
    height, width = sides
    draws = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (3, 3, height, width), generator=draws, dtype=torch.uint8)
    ends = torch.rand(4, 3, generator=draws)
    tops, bottoms = ends[0] * height / 2, (1 + ends[1]) * height / 2
    lefts, rights = ends[2] * width / 2, (1 + ends[3]) * width / 2
    flipped = torch.tensor([False, True, False])
    rows = resize_taps(tops, bottoms, torch.zeros(3).bool(), size, height)
    columns = resize_taps(lefts, rights, flipped, size, width)
    start = torch.zeros(3, dtype=torch.long)
    whole = separable_filter(frames, _matrix(rows, start, height), _matrix(columns, start, width))
    assert torch.allclose(crop_and_resize(frames, rows, columns), whole, atol=2e-3)


def test_the_whole_at_its_own_size_is_the_frame() -> None:
    frame = smooth(40, 40)
    assert torch.allclose(warped(frame, (0, 0, 40, 40), 40), frame.float(), atol=1e-3)
    mirrored = warped(frame, (0, 0, 40, 40), 40, flip=True)
    assert torch.allclose(mirrored, frame.float().flip(2), atol=1e-3)
