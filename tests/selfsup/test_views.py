"""Whole views: what they show lies where their boxes say."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from magkit.selfsup.recipe import ViewConfig
from magkit.selfsup.views import draw_params, make_views

Plain = Callable[..., ViewConfig]


def maps(count: int, height: int, width: int) -> Tensor:
    """Return frames whose red is x and whose green is y, over their sides."""
    x = ((torch.arange(width) + 0.5) / width).expand(height, width)
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    return torch.stack([x, y, torch.zeros_like(x)]).expand(count, 3, height, width)


@settings(max_examples=25, deadline=None)
@given(
    sides=st.tuples(st.integers(48, 260), st.integers(48, 260)),
    size=st.sampled_from([24, 33, 96]),
    seed=st.integers(0, 2**40),
)
def test_pixels_come_from_where_boxes_say(
    plain: Plain, draws: Callable[..., Tensor], sides: tuple[int, int], size: int, seed: int
) -> None:
    height, width = sides
    view = make_views(maps(6, height, width), draws(6, seed), plain(size=size), seed % 2)
    left, top, right, bottom = view.boxes_N4[..., None].unbind(1)
    along = (torch.arange(size) + 0.5) / size
    backwards = torch.where(view.flipped_N[:, None], 1 - along, along)
    x = (left + backwards * (right - left)).clamp(0.5, width - 0.5)
    y = (top + along * (bottom - top)).clamp(0.5, height - 0.5)
    red, green, _ = view.images_NCHW.unbind(1)
    assert (red * width - x[:, None, :]).abs().max() < 0.01
    assert (green * height - y[:, :, None]).abs().max() < 0.01


def test_mirrors_are_as_often_as_asked_for(plain: Plain, draws: Callable[..., Tensor]) -> None:
    frames = maps(300, 16, 16)
    for share, low, high in ((0.0, 0, 0), (0.5, 120, 180), (1.0, 300, 300)):
        view = make_views(frames, draws(300), plain(size=8, flip=share), 0)
        assert low <= int(view.flipped_N.sum()) <= high


@pytest.mark.parametrize("which", [0, 1])
def test_bytes_and_floats_give_one_view(which: int) -> None:
    frames = torch.randint(0, 256, (9, 3, 70, 70), dtype=torch.uint8)
    rows = draw_params(3, torch.zeros(9).long(), torch.arange(9), which)
    config = ViewConfig(size=32, solarize=(0.0, 0.2))
    bytes_, floats = (make_views(f, rows, config, which) for f in (frames, frames / 255))
    assert torch.equal(bytes_.boxes_N4, floats.boxes_N4)
    near = (bytes_.images_NCHW - floats.images_NCHW).abs() < 1e-4
    assert near.float().mean() > 0.999, "solarizing may tip what lies at its threshold"
    assert bytes_.images_NCHW.dtype == torch.float32
    assert bytes_.images_NCHW.min() >= 0
    assert bytes_.images_NCHW.max() <= 1


def test_a_view_does_not_depend_on_its_batch() -> None:
    frames = torch.rand(12, 3, 60, 60, generator=torch.Generator().manual_seed(0))
    rows = draw_params(3, torch.zeros(12).long(), torch.arange(12))
    config = ViewConfig(size=32)
    together = make_views(frames, rows, config, 0)
    parts = [make_views(frames[n : n + 4], rows[n : n + 4], config, 0) for n in (0, 4, 8)]
    images = torch.cat([part.images_NCHW for part in parts])
    assert torch.allclose(images, together.images_NCHW, atol=1e-5)
    assert torch.equal(torch.cat([part.boxes_N4 for part in parts]), together.boxes_N4)


def test_half_precision_around_it_changes_nothing(draws: Callable[..., Tensor]) -> None:
    frames = torch.rand(4, 3, 60, 60, requires_grad=True)
    truth = make_views(frames, draws(4), ViewConfig(size=32), 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = make_views(frames, draws(4), ViewConfig(size=32), 0)
    assert torch.equal(found.images_NCHW, truth.images_NCHW)
    assert not found.images_NCHW.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_makes_the_same_views(draws: Callable[..., Tensor]) -> None:
    frames = torch.randint(0, 256, (16, 3, 150, 150), dtype=torch.uint8)
    here, there = (make_views(f, draws(16), ViewConfig(), 1) for f in (frames, frames.cuda()))
    assert torch.allclose(there.boxes_N4.cpu(), here.boxes_N4, atol=1e-4)
    assert torch.allclose(there.images_NCHW.cpu(), here.images_NCHW, atol=1e-4)
