"""Cells are where the source shows what they say, however a view was cropped and mirrored."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from magkit_pixpro.method import PixPro
from magkit_pixpro.places import Places, grid_means, places, same_place
from magkit_pixpro.spec import PixProConfig
from torch import Tensor
from torch.nn import functional as F

from magkit import MapInfo, View

SIZE, STRIDE, CELLS = 24, 2, 12
MAPS = MapInfo(channels=2, stride=STRIDE, centre=STRIDE / 2)
CONFIG = PixProConfig(hidden=5, dim=4, grid=3)

numbers = st.floats(-100, 100, allow_subnormal=False)
sides = st.floats(4, 100)
boxes = st.tuples(numbers, numbers, sides, sides).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def a_view(crops: list[tuple[float, ...]], flipped: list[bool]) -> View:
    """Views whose red and green say where in the source each pixel's middle is."""
    box = torch.tensor(crops, dtype=torch.double)
    at = (torch.arange(SIZE).double() + 0.5) / SIZE
    x, y = (box[:, i, None] + at * (box[:, i + 2] - box[:, i])[:, None] for i in (0, 1))
    mirrored = torch.tensor(flipped)
    x = torch.where(mirrored[:, None], x.flip(1), x)
    shape = (len(crops), SIZE, SIZE)
    images = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], 1)
    return View(images, box, mirrored)


def mirrored(view: View) -> View:
    return View(view.images_NCHW.flip(3), view.boxes_N4, ~view.flipped_N)


def apart(first: Places, second: Places) -> Tensor:
    larger = torch.maximum(first.diagonals_N, second.diagonals_N)[:, None, None]
    between = first.middles_NL2[:, :, None] - second.middles_NL2[:, None]
    return between.square().sum(-1).sqrt() / larger


@pytest.mark.parametrize(("grid", "cells"), [(1, 0.0), (4, 0.0), (12, 0.0), (7, 0.1)])
@pytest.mark.parametrize(("kind", "centre"), [("means", 1.0), ("first pixels", 0.5)])
def test_cells_are_where_an_encoder_of_places_says(
    grid: int, cells: float, kind: str, centre: float
) -> None:
    """But for a part of a cell, where the grid cuts through cells."""
    view = a_view([(3.0, 5.0, 40.0, 29.0)] * 2, [False, True])
    images = view.images_NCHW
    maps = F.avg_pool2d(images, STRIDE) if kind == "means" else images[..., ::STRIDE, ::STRIDE]
    found = places(view, maps.shape[-2:], grid, MapInfo(channels=2, stride=STRIDE, centre=centre))
    wide = (40.0 - 3.0) / CELLS
    off = (found.middles_NL2 - grid_means(maps, grid)).abs().max()
    assert off <= cells * wide + 1e-9


def test_the_same_square_crop_pairs_each_cell_with_itself_alone() -> None:
    view = a_view([(3.0, 5.0, 40.0, 42.0), (0.0, 0.0, 9.0, 9.0)], [False, True])
    found = places(view, (CELLS, CELLS), 4, MAPS)
    assert torch.equal(same_place(found, found, 0.7), torch.eye(16).bool().expand(2, -1, -1))
    other = places(mirrored(view), (CELLS, CELLS), 4, MAPS)
    pairs = same_place(found, other, 0.7).reshape(2, 4, 4, 4, 4)
    assert pairs.sum() == 32
    assert all(bool(pairs[:, y, x, y, 3 - x].all()) for y in range(4) for x in range(4))


def test_large_coordinates_are_told_apart_in_single_precision() -> None:
    crop = torch.tensor([[4000.0, 3000.0, 4014.0, 3014.0]])
    view = View(torch.zeros(1, 3, SIZE, SIZE), crop, torch.tensor([False]))
    found = places(view, (CELLS, CELLS), 7, MAPS)
    assert torch.equal(same_place(found, found, 0.7)[0], torch.eye(49).bool())


@given(boxes, boxes, st.booleans(), st.booleans(), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_pairs_are_the_same_seen_from_either_view(
    one: tuple[float, ...], two: tuple[float, ...], flip: bool, flop: bool, grid: int
) -> None:
    here, there = (
        places(a_view([box], [way]), (CELLS, CELLS), grid, MAPS)
        for box, way in ((one, flip), (two, flop))
    )
    assert torch.equal(same_place(here, there, 0.7), same_place(there, here, 0.7).mT)


@given(boxes, boxes, st.booleans(), st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_mirroring_a_view_and_its_coordinates_changes_nothing(
    one: tuple[float, ...], two: tuple[float, ...], flip: bool, flop: bool, seed: int
) -> None:
    first, second = a_view([one, two], [flip, flop]), a_view([two, two], [flop, flop])
    ratios = apart(*(places(each, (CELLS, CELLS), CONFIG.grid, MAPS) for each in (first, second)))
    assume(not bool(((ratios - CONFIG.threshold).abs() < 1e-9).any()))
    torch.manual_seed(seed)
    method = PixPro(CONFIG, MAPS).double()
    maps = [torch.randn(2, 2, CELLS, CELLS, dtype=torch.double) for _ in range(4)]
    before = method.loss([first, second], maps[:2], maps[2:])["consistency"]
    turned = [maps[0].flip(3), maps[1]], [maps[2].flip(3), maps[3]]
    after = method.loss([mirrored(first), second], *turned)["consistency"]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-9)
    assert before > 0, "the second picture's views are one crop"


@given(boxes, boxes, st.booleans(), st.integers(1, 5), st.sampled_from([0, 1]))
@settings(max_examples=60, deadline=None)
def test_disjoint_crops_have_no_pair_and_no_loss(
    one: tuple[float, ...], two: tuple[float, ...], flip: bool, grid: int, axis: int
) -> None:
    """Cells' middles are half a cell inside; a gap of half a diagonal puts them past 0.7."""
    shift = one[axis + 2] - two[axis] + max(one[2] - one[0], one[3] - one[1], *_sides(two))
    moved = list(two)
    moved[axis], moved[axis + 2] = two[axis] + shift, two[axis + 2] + shift
    first, second = a_view([one], [flip]), a_view([tuple(moved)], [not flip])
    here, there = (places(view, (CELLS, CELLS), grid, MAPS) for view in (first, second))
    assert not bool(same_place(here, there, 0.7).any())
    torch.manual_seed(0)
    method = PixPro(PixProConfig(hidden=5, dim=4, grid=max(grid, 2)), MAPS).double()
    maps = [torch.randn(1, 2, CELLS, CELLS, dtype=torch.double).requires_grad_() for _ in range(2)]
    loss = method.loss([first, second], maps, [each.detach() for each in maps])["consistency"]
    assert loss == 0
    gradients = torch.autograd.grad(loss, [*maps, *method.parameters()])
    assert all(bool((gradient == 0).all()) for gradient in gradients)


def _sides(box: tuple[float, ...]) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]
