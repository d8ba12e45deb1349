"""The boxes of two views show the same places, and so do the features that are read there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from magkit.protocols import View
from magkit.selfsup.scrl import BoxSampling, MatchedBoxes, box_features, match_boxes

LAW = BoxSampling(count=10, least=16, max_iou=0.5, whole=False)


def crops(seed: int, count: int, source: float, size: int = 96) -> list[View]:
    """Two views of pictures `source` pixels wide, any crops of at least a fifth of their area."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        sides = rng.uniform(0.45, 1, (count, 2)) * source
        low = rng.uniform(0, 1, (count, 2)) * (source - sides)
        boxes = torch.tensor(np.concatenate([low, low + sides], 1), dtype=torch.float32)
        flipped = torch.tensor(rng.uniform(size=count) < 0.5)
        made.append(View(torch.zeros(count, 1, size, size), boxes, flipped))
    return made


def draws(seed: int, count: int) -> torch.Tensor:
    return torch.rand(count, 100, 2, 4, generator=torch.Generator().manual_seed(seed))


def in_source(matched: MatchedBoxes, views: list[View], index: int) -> torch.Tensor:
    """The boxes' edges in their sources' pixels."""
    view, box = views[index], matched.boxes_M4[index].double()
    crop, flipped = view.boxes_N4[matched.image_M].double(), view.flipped_N[matched.image_M]
    width, height = view.images_NCHW.shape[-1], view.images_NCHW.shape[-2]
    mirrored = torch.stack([width - box[:, 2], box[:, 1], width - box[:, 0], box[:, 3]], 1)
    box = torch.where(flipped[:, None], mirrored, box)
    sides = (crop[:, 2:] - crop[:, :2]).repeat(1, 2)
    return crop[:, :2].repeat(1, 2) + box / box.new_tensor([width, height] * 2) * sides


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), source=st.sampled_from([96.0, 384.0, 4000.0]))
def test_both_views_boxes_cover_the_same_pixels(seed: int, source: float) -> None:
    views = crops(seed, 16, source)
    matched = match_boxes(views, draws(seed, 16), LAW)
    first, second = (in_source(matched, views, index) for index in range(2))
    assert (first - second).abs().max() < 0.01
    in_view = [box.reshape(-1, 2, 2) for box in matched.boxes_M4]
    assert all((box >= 0).all() and (box <= 96).all() for box in in_view)
    sides = torch.stack([box[:, 1] - box[:, 0] for box in in_view]).amin(0)
    assert (sides >= LAW.least - 1e-3).all()


def test_each_picture_has_its_boxes_or_none() -> None:
    views = crops(0, 4, 384.0)
    views[0].boxes_N4[1] = torch.tensor([0.0, 0.0, 96.0, 96.0])
    views[1].boxes_N4[1] = torch.tensor([96.0, 0.0, 192.0, 96.0])  # beside it
    views[0].boxes_N4[2] = torch.tensor([0.0, 0.0, 96.0, 96.0])
    views[1].boxes_N4[2] = torch.tensor([80.5, 0.0, 176.5, 96.0])  # 15.5 pixels are too few
    views[0].boxes_N4[3] = torch.tensor([0.0, 0.0, 96.0, 96.0])
    views[1].boxes_N4[3] = torch.tensor([79.0, 0.0, 175.0, 96.0])  # 17 will do
    matched = match_boxes(views, draws(0, 4), LAW)
    assert matched.image_M.tolist() == [0] * 10 + [3] * 10
    assert matched.boxes_M4[0].shape == matched.boxes_M4[1].shape == (20, 4)


def test_a_picture_has_the_same_boxes_in_any_batch() -> None:
    views, numbers = crops(5, 8, 384.0), draws(5, 8)
    whole = match_boxes(views, numbers, LAW)
    part = [View(v.images_NCHW[3:5], v.boxes_N4[3:5], v.flipped_N[3:5]) for v in views]
    found = match_boxes(part, numbers[3:5], LAW)
    chosen = (whole.image_M == 3) | (whole.image_M == 4)
    for index in range(2):
        assert torch.equal(whole.boxes_M4[index][chosen], found.boxes_M4[index])


def test_whole_boxes_may_differ_at_the_overlaps_edge() -> None:
    """As published: the overlap is rounded, and what sticks out of a view is cut off."""
    views = crops(2, 256, 384.0)
    whole = BoxSampling(count=10, least=16, max_iou=0.5, whole=True)
    matched = match_boxes(views, draws(2, 256), whole)
    first, second = (in_source(matched, views, index) for index in range(2))
    apart = (first - second).abs().amax(1)
    assert apart.median() < 0.001
    assert 0.1 < apart.max() < 2.1  # half a pixel of the view, in pixels of the source


# Features of a picture whose pixels hold their own coordinates.


def pair(start: int, size: int, flipped: bool) -> list[View]:
    """A crop, and one that starts elsewhere and may be mirrored, of pixels that hold their x."""
    lefts = [10, 10 + start]
    made = []
    for left, mirrored in zip(lefts, [False, flipped], strict=True):
        x = left + 0.5 + torch.arange(size, dtype=torch.float64)
        image = (x.flip(0) if mirrored else x).expand(1, 1, size, size)
        box = torch.tensor([[left, 10.0, left + size, 10.0 + size]], dtype=torch.float64)
        made.append(View(image, box, torch.tensor([mirrored])))
    return made


def read(encode: nn.Module, start: int, flipped: bool, **how: float) -> torch.Tensor:
    """What is read in the boxes of both views: (2, boxes)."""
    views = pair(start, 96, flipped)
    matched = match_boxes(views, draws(0, 1), BoxSampling(30, 16, 1.0, whole=False))
    inside = torch.stack([(box > 8) & (box < 88) for box in matched.boxes_M4]).all(2).all(0)
    assert inside.sum() >= 5
    means = [
        box_features(encode(v.images_NCHW), v, box, matched.image_M, **how)  # type: ignore[arg-type]
        for v, box in zip(views, matched.boxes_M4, strict=True)
    ]
    return torch.stack(means)[:, inside, 0]


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("sampling", [-1, 4])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_shifted_and_mirrored_copy_reads_the_same(
    stride: int, sampling: int, flipped: bool
) -> None:
    first, second = read(nn.AvgPool2d(stride), 13, flipped, sampling=sampling)
    assert (first - second).abs().max() < 0.01


@pytest.mark.parametrize("stride", [2, 4])
def test_as_published_a_mirrored_copy_reads_a_cell_off(stride: int) -> None:
    first, second = read(nn.AvgPool2d(stride), 12, flipped=True, aligned=False)
    torch.testing.assert_close(second - first, torch.full_like(first, -stride))


@pytest.mark.parametrize(("layers", "off"), [(1, 1), (2, 3)])
def test_kernels_of_odd_size_look_at_the_first_pixel_of_their_stride(layers: int, off: int) -> None:
    """3 x 3 at stride 2 is centred half a pixel from the edge: `centre` says so."""
    blur = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    encode = nn.Sequential(*[blur] * layers)
    first, second = read(encode, 12, flipped=True)
    torch.testing.assert_close(second - first, torch.full_like(first, off))
    first, second = read(encode, 12, flipped=True, centre=0.5)
    torch.testing.assert_close(second, first)


def test_random_pictures_shifted_by_whole_cells_read_the_same() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 160, 160, dtype=torch.float64)
    kernel = torch.rand(5, 3, 4, 4, dtype=torch.float64)
    kernel = kernel + kernel.flip(3)  # a mirrored picture has a mirrored map
    views = []
    for left, mirrored in ((8, False), (30, True)):
        crop = picture[..., 8 : 8 + 96, left : left + 96]
        box = torch.tensor([[left, 8, left + 96, 104]], dtype=torch.float64)
        image = crop.flip(3) if mirrored else crop
        views.append(View(image, box, torch.tensor([mirrored])))
    matched = match_boxes(views, draws(3, 1), LAW)
    inside = torch.stack([(box > 4) & (box < 92) for box in matched.boxes_M4]).all(2).all(0)
    means = [
        box_features(F.conv2d(v.images_NCHW, kernel, stride=2, padding=1), v, box, matched.image_M)[
            inside
        ]
        for v, box in zip(views, matched.boxes_M4, strict=True)
    ]
    assert len(means[0]) >= 3
    torch.testing.assert_close(means[0], means[1], rtol=1e-6, atol=1e-6)
