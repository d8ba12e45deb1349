"""Boxes of rectangles: sizes, places, how much they overlap, and what is drawn how often."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from magkit.selfsup.scrl import DRAWS, draw_boxes, iou, select_distinct


def draws(seed: int, rectangles: int, count: int) -> torch.Tensor:
    return torch.rand(rectangles, count, 2, DRAWS, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    extent=st.tuples(st.floats(8.5, 200), st.floats(8.5, 200)),
    whole=st.booleans(),
)
def test_boxes_lie_in_their_rectangle_and_are_large_enough(
    seed: int, extent: tuple[float, float], whole: bool
) -> None:
    extents = torch.tensor([extent, extent])
    boxes = draw_boxes(extents, draws(seed, 2, 50), 8, whole)
    assert boxes.shape == (2, 50, 2, 2)
    edge = extents.round() if whole else extents
    assert (boxes[:, :, 0] >= 0).all()
    assert (boxes[:, :, 1] <= edge[:, None] + 1e-4).all()
    assert (boxes[:, :, 1] - boxes[:, :, 0] >= 8 - 1e-4).all()
    if whole:
        assert (boxes == boxes.round()).all()


def test_extreme_draws_stay_inside() -> None:
    """The greatest number below 1 is rounded to 1 where it is multiplied."""
    most = torch.full((1, 1, 2, DRAWS), 1 - 2**-24)
    for side in torch.linspace(8, 400, 999):
        box = draw_boxes(side.expand(1, 2), most, 8, whole=False)[0, 0]
        assert (box[1] <= side + 1e-4).all()
        assert (box[1] - box[0] >= 8 - 1e-4).all()


def test_every_number_of_columns_is_as_likely() -> None:
    """A rectangle of 4 least sides: 1 to 4 columns, so that no box is wider than 4, 2, 4/3, 1."""
    wide = draw_boxes(torch.tensor([[32.0, 32.0]]), draws(0, 1, 40000), 8, whole=False)
    side = (wide[0, :, 1, 0] - wide[0, :, 0, 0]) / 8
    assert (side < 1.001).float().mean() == pytest.approx(1 / 4, abs=0.01)
    assert (side > 2).float().mean() == pytest.approx(1 / 4 * 2 / 3, abs=0.01)
    left = wide[0, :, 0, 0][side < 1.0001] / 8
    counts = [float(((left - place).abs() < 0.01).float().mean()) for place in range(4)]
    assert counts == pytest.approx([0.25] * 4, abs=0.02)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 10), most=st.sampled_from([0.3, 0.5, 1.0]))
def test_boxes_are_taken_in_order_as_long_as_they_differ(
    seed: int, count: int, most: float
) -> None:
    boxes = draw_boxes(torch.tensor([[60.0, 40.0], [20.0, 20.0]]), draws(seed, 2, 30), 16, False)
    found = select_distinct(boxes, count, most)
    assert found.shape == (2, count, 2, 2)
    for row, taken in zip(boxes, found, strict=True):
        kept: list[torch.Tensor] = []
        refused: list[torch.Tensor] = []
        for box in row:
            fits = all(iou(box, other) <= most for other in kept)
            (kept if fits else refused).append(box)
        assert taken.tolist() == [box.tolist() for box in [*kept, *refused][:count]]


def test_where_there_is_room_the_rule_holds() -> None:
    """A hundred candidates give ten boxes in a rectangle of three times the least size."""
    boxes = draw_boxes(torch.full((1000, 2), 48.0), draws(1, 1000, 100), 16, whole=False)
    found = select_distinct(boxes, 10, 0.5).flatten(2)
    pairs = torch.stack([box_iou(row, row) for row in found]).triu(1)
    assert pairs.max() <= 0.5


def test_iou_is_torchvisions() -> None:
    boxes = draw_boxes(torch.tensor([[60.0, 40.0]]), draws(0, 1, 20), 8, whole=False)[0]
    torch.testing.assert_close(
        iou(boxes[:, None], boxes[None]), box_iou(boxes.flatten(1), boxes.flatten(1))
    )
