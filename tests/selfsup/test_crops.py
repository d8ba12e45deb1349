"""Which parts of frames are shown: the law they are drawn by, and their bounds."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstest
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

from magkit.selfsup.recipe import ViewConfig
from magkit.selfsup.views import AugmentationParams, crop_boxes

COUNT = 4000


def drawn(rows: Tensor, height: int, width: int, config: ViewConfig) -> tuple[Tensor, Tensor]:
    """Return widths and heights of crops."""
    boxes = crop_boxes(AugmentationParams(*rows.unbind(1)), height, width, config)
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def test_area_is_uniform_and_the_ratio_log_uniform_where_it_fits(
    draws: Callable[..., Tensor],
) -> None:
    config = ViewConfig()
    wide, high = drawn(draws(COUNT), 100, 100, config)
    area = wide * high / 100**2
    assert kstest(area, "uniform", (0.2, 0.8)).pvalue > 0.01
    # Of an area above 3/4, ratios from area to 1 / area fit into a square.
    most = torch.minimum(torch.full_like(area, 4 / 3).log(), -area.log())
    assert kstest((wide / high).log() / most, "uniform", (-1, 2)).pvalue > 0.01


def test_where_all_ratios_fit_the_law_is_that_of_torchvision(draws: Callable[..., Tensor]) -> None:
    config = ViewConfig(scale=(0.2, 0.7))
    boxes = crop_boxes(AugmentationParams(*draws(COUNT).unbind(1)), 400, 400, config)
    image = torch.zeros(1, 400, 400)
    torch.manual_seed(0)
    reference = torch.tensor(
        [RandomResizedCrop.get_params(image, [0.2, 0.7], [3 / 4, 4 / 3]) for _ in range(COUNT)]
    )
    top, left, high, wide = reference.unbind(1)
    size = boxes[:, 2:] - boxes[:, :2]
    for ours, theirs in (
        (size.prod(1), wide * high),
        (size[:, 0], wide),
        (size[:, 1], high),
        (boxes[:, 0], left),
        (boxes[:, 1], top),
    ):
        assert ks_2samp(ours.numpy(), theirs.numpy()).pvalue > 0.01


@settings(max_examples=60, deadline=None)
@given(
    sides=st.tuples(st.integers(16, 500), st.integers(16, 500)),
    scale=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    seed=st.integers(0, 2**32),
)
def test_crops_lie_in_their_frames(
    draws: Callable[..., Tensor], sides: tuple[int, int], scale: tuple[float, float], seed: int
) -> None:
    config = ViewConfig(scale=(min(scale), max(scale)))
    height, width = sides
    boxes = crop_boxes(AugmentationParams(*draws(50, seed).unbind(1)), height, width, config)
    slack = 1e-3
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width + slack).all()
    assert (boxes[:, 3] <= height + slack).all()
    wide, high = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    assert (wide > 0).all()
    assert (high > 0).all()
    uncut = (wide < width - slack) & (high < height - slack)
    share = (wide * high / (width * height))[uncut]
    assert ((share > min(scale) - slack) & (share < max(scale) + slack)).all()
    ratios = (wide / high)[uncut]
    assert ((ratios > 0.749) & (ratios < 1.335)).all()


def test_the_whole_of_a_square_frame_is_a_crop(draws: Callable[..., Tensor]) -> None:
    config = ViewConfig(scale=(1.0, 1.0))
    boxes = crop_boxes(AugmentationParams(*draws(5).unbind(1)), 64, 64, config)
    assert boxes.tolist() == [pytest.approx([0, 0, 64, 64], abs=1e-4)] * 5
