"""Masks of a detector, the boxes around them, and how both move with the picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from magkit.invert.affine import scale_map
from magkit.invert.targets.maskrcnn import DetectionLabels, make_labels, mask_box

H, W = 20, 30


def rectangle(left: int, top: int, right: int, bottom: int) -> Tensor:
    mask = torch.zeros(H, W)
    mask[top:bottom, left:right] = 1
    return mask


def labels(*edges: tuple[int, int, int, int], pictures: tuple[int, ...] = ()) -> DetectionLabels:
    count = len(edges)
    return make_labels(
        torch.stack([rectangle(*e) for e in edges]),
        torch.arange(1, count + 1),
        torch.tensor(pictures or (0,) * count),
        max(pictures, default=0) + 1,
    )


def maps(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows).reshape(-1, 2, 3)


@given(st.integers(0, W - 1), st.integers(0, H - 1), st.integers(1, W), st.integers(1, H))
def test_the_box_of_a_rectangle(left: int, top: int, width: int, height: int) -> None:
    right, bottom = min(W, left + width), min(H, top + height)
    assert mask_box(rectangle(left, top, right, bottom)).tolist() == [left, top, right, bottom]


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.001, 0.5))
def test_the_box_of_any_mask(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((H, W)) < share
    rows, columns = np.nonzero(mask)
    expected = [0, 0, 0, 0]
    if len(rows):
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert mask_box(torch.tensor(mask).float()).tolist() == expected


def test_what_is_too_small_is_left_out() -> None:
    found = labels((0, 0, 5, 1), (3, 4, 5, 6), (8, 2, 9, 12), (0, 0, 0, 0), (1, 2, 3, 8))
    assert found.boxes_K4.tolist() == [[3, 4, 5, 6], [1, 2, 3, 8]]
    assert found.classes_K.tolist() == [2, 5]
    assert torch.equal(found.masks_KHW[0], rectangle(3, 4, 5, 6))


def test_no_object_at_all() -> None:
    found = make_labels(torch.zeros(0, H, W), torch.zeros(0).long(), torch.zeros(0).long(), 3)
    assert found.boxes_K4.shape == (0, 4)
    assert found.count == 3
    moved = found.moved(maps(*[(1.0, 0, 0, 0, 1, 0)] * 3), (5, 7))
    assert moved.masks_KHW.shape == (0, 5, 7)
    assert moved.boxes_K4.shape == (0, 4)
    assert moved.count == 3


def test_labels_that_are_shifted() -> None:
    found = labels((3, 4, 9, 8), (20, 4, 28, 8)).moved(maps((1.0, 0, 5, 0, 1, -3)), (H, W))
    assert found.boxes_K4.tolist() == [[0, 7, 4, 11], [15, 7, 23, 11]]
    assert torch.equal(found.masks_KHW[1], rectangle(15, 7, 23, 11))
    assert found.classes_K.tolist() == [1, 2]


def test_an_object_does_not_go_on_beyond_the_edge_that_it_touched() -> None:
    found = labels((24, 4, W, 8)).moved(maps((1.0, 0, 5, 0, 1, 0)), (H, W))
    assert found.boxes_K4.tolist() == [[19, 4, 25, 8]]


def test_each_picture_is_moved_by_its_own_map() -> None:
    before = labels((3, 4, 9, 8), (3, 4, 9, 8), (1, 1, 6, 6), pictures=(0, 1, 1))
    found = before.moved(maps((-1.0, 0, W, 0, 1, 0), (1.0, 0, -2, 0, 1, 0)), (H, W))
    assert found.boxes_K4.tolist() == [[21, 4, 27, 8], [5, 4, 11, 8], [3, 1, 8, 6]]
    assert found.pictures_K.tolist() == [0, 1, 1]
    assert found.count == 2


def test_an_object_that_leaves_the_picture_is_left_out() -> None:
    before = labels((3, 4, 9, 8), (20, 4, 28, 8), pictures=(0, 1))
    found = before.moved(maps(*[(1.0, 0, 10, 0, 1, 0)] * 2), (H, W))
    assert found.boxes_K4.tolist() == [[10, 4, 18, 8]]
    assert (found.classes_K.tolist(), found.pictures_K.tolist()) == ([2], [1])
    assert found.count == 2
    assert len(found.moved(maps(*[(1.0, 0, 50, 0, 1, 0)] * 2), (H, W)).boxes_K4) == 0


def test_labels_of_a_smaller_picture() -> None:
    found = labels((4, 6, 12, 10)).moved(scale_map((H, W), (10, 15), 1), (10, 15))
    assert found.masks_KHW.shape == (1, 10, 15)
    assert found.boxes_K4.tolist() == [[2, 3, 6, 5]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moved_masks_are_whole(dtype: torch.dtype) -> None:
    before = labels((4, 6, 12, 10))
    double = DetectionLabels(
        before.masks_KHW.to(dtype),
        before.boxes_K4.to(dtype),
        before.classes_K,
        before.pictures_K,
        1,
    )
    found = double.moved(maps((0.83, 0.1, 1.7, -0.2, 1.1, 0.4)), (H, W))
    assert set(found.masks_KHW.flatten().tolist()) == {0, 1}
    assert found.masks_KHW.dtype == found.boxes_K4.dtype == dtype
    assert torch.equal(found.boxes_K4[0], mask_box(found.masks_KHW[0]))
