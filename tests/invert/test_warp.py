"""Frames moved as masks moved: known motions, what is uncovered, what is new."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from magkit.invert.affine import (
    EDGE_MARGIN,
    MAX_STRETCH,
    dilate,
    inpaint,
    mask_motion,
    warp_by_masks,
)

H, W = 48, 64


def box(top: int, left: int, height: int, width: int) -> Tensor:
    mask = torch.zeros(H, W, dtype=torch.bool)
    mask[top : top + height, left : left + width] = True
    return mask


def ellipse(repeated: tuple[int, int], top: int, left: int) -> Tensor:
    """Whose pixels were repeated down and across: stretched exactly, however rough its edge is."""
    rows, columns = np.mgrid[-4:5, -7:8]
    small = (columns / 7.5) ** 2 + (rows / 4.5) ** 2 < 1
    whole = np.zeros((120, 180), bool)
    large = np.kron(small, np.ones(repeated, bool))
    whole[top : top + large.shape[0], left : left + large.shape[1]] = large
    return torch.from_numpy(whole)


def places() -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    return x, y


def frame() -> Tensor:
    """Each pixel tells its own place, (3, H, W)."""
    x, y = places()
    return torch.stack([x, y, x + y])


def moved(affine: Tensor, x: float, y: float) -> list[float]:
    found: list[float] = (affine.double() @ torch.tensor([x, y, 1.0]).double()).tolist()
    return found


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-9, 5)])
def test_a_square_that_moves_is_followed(shift: tuple[int, int]) -> None:
    affine = mask_motion(box(20, 24, 15, 15), box(20 + shift[1], 24 + shift[0], 15, 15))
    for x, y in ((24, 20), (39, 35), (31.5, 27.5)):
        assert moved(affine, x, y) == pytest.approx([x + shift[0], y + shift[1]], abs=0.01)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ((10, 8, 20, 30), (4, 20, 26, 24)),
        ((10, 8, 3, 5), (4, 20, 4, 4)),
        ((3, 3, 1, 9), (5, 3, 1, 7)),
    ],
)
def test_a_rectangle_that_is_stretched_is_followed(
    before: tuple[int, int, int, int], now: tuple[int, int, int, int]
) -> None:
    affine = mask_motion(box(*before), box(*now))
    corners = [((m[1], m[0]), (m[1] + m[3], m[0] + m[2])) for m in (before, now)]
    for (x, y), there in zip(*corners, strict=True):
        assert moved(affine, x, y) == pytest.approx(there, abs=0.01)


def test_an_ellipse_that_is_stretched_is_followed() -> None:
    """9 x 15 pixels, 6 times as high and wide, become 7 times as high and 5 times as wide."""
    affine = mask_motion(ellipse((6, 6), 10, 20), ellipse((7, 5), 30, 60))
    for (x, y), there in (((20, 10), (60, 30)), ((110, 64), (135, 93)), ((65, 37), (97.5, 61.5))):
        assert moved(affine, x, y) == pytest.approx(there, abs=0.01)


def test_a_stretch_has_a_limit() -> None:
    affine = mask_motion(box(20, 20, 2, 20), box(10, 20, 30, 1))
    assert float(affine[1, 1]) == pytest.approx(MAX_STRETCH)
    assert float(affine[0, 0]) == pytest.approx(1 / MAX_STRETCH)
    assert moved(affine, 30, 21) == pytest.approx([20.5, 25], abs=1e-4)


def test_what_comes_in_over_the_edge_is_like_what_is_there() -> None:
    """An object that grows by more than the limit, at the picture's edge."""
    before, now = box(10, 0, 30, 4), box(10, 0, 30, 40)
    picture = torch.full((3, H, W), 5.0)
    found = warp_by_masks(picture, before[None], now[None])
    torch.testing.assert_close(found.pixels_N3HW[0], picture)
    assert torch.equal(found.known_N1HW[0, 0][10:40, :40] > 0, box(10, 17, 30, 6)[10:40, :40])


def test_a_single_pixel_moves() -> None:
    affine = mask_motion(box(5, 6, 1, 1), box(8, 3, 1, 1))
    assert moved(affine, 6.5, 5.5) == pytest.approx([3.5, 8.5], abs=1e-5)
    assert float(affine[0, 0]) == float(affine[1, 1]) == 1


def test_an_object_takes_its_pixels_with_it() -> None:
    before, now = box(20, 10, 16, 20), box(16, 22, 16, 20)
    found = warp_by_masks(frame(), before[None], now[None])
    x, y = places()
    expected = torch.stack([x - 12, y + 4, x + y - 8])
    assert found.pixels_N3HW.shape == (1, 3, H, W)
    torch.testing.assert_close(
        found.pixels_N3HW[0][:, now], expected[:, now], rtol=0, atol=0.01 + 1e-3
    )
    assert found.known_N1HW[0, 0][now].all()


def test_what_is_no_object_stays() -> None:
    before, now = box(20, 10, 16, 20), box(16, 22, 16, 20)
    found = warp_by_masks(frame(), before[None], now[None])
    far = ~(dilate(before, EDGE_MARGIN) | now)
    assert torch.equal(found.pixels_N3HW[0][:, far], frame()[:, far])
    assert found.known_N1HW[0, 0][far].all()


def test_what_is_uncovered_is_not_known() -> None:
    before, now = box(20, 10, 16, 20), box(16, 22, 16, 20)
    found = warp_by_masks(frame(), before[None], now[None])
    uncovered = before & ~now
    assert uncovered.any()
    assert not found.known_N1HW[0, 0][uncovered].any()
    assert set(found.known_N1HW.flatten().tolist()) == {0, 1}
    # It is made of what is around, not of the object that went away.
    picture = torch.where(before, 9.0, 1.0).expand(3, H, W)
    there = warp_by_masks(picture, before[None], now[None]).pixels_N3HW[0]
    torch.testing.assert_close(there[:, uncovered], torch.ones_like(there[:, uncovered]))


def test_an_object_that_appears_is_not_known() -> None:
    now = box(16, 22, 16, 20)
    found = warp_by_masks(frame(), torch.zeros(1, H, W, dtype=torch.bool), now[None])
    assert torch.equal(found.known_N1HW[0, 0] > 0, ~now)
    assert torch.equal(found.pixels_N3HW[0], frame())


def test_an_object_that_is_gone_leaves_what_is_around() -> None:
    before = box(16, 22, 16, 20)
    picture = torch.where(before, 9.0, 1.0).expand(3, H, W)
    found = warp_by_masks(picture, before[None], torch.zeros(1, H, W, dtype=torch.bool))
    torch.testing.assert_close(found.pixels_N3HW[0], torch.ones(3, H, W))
    assert torch.equal(found.known_N1HW[0, 0] > 0, ~dilate(before, EDGE_MARGIN))


def test_the_same_masks_give_the_same_picture() -> None:
    masks = torch.stack([box(20, 10, 16, 20), box(4, 40, 9, 12)])
    found = warp_by_masks(frame(), masks, masks)
    known = found.known_N1HW[0, 0] > 0
    torch.testing.assert_close(found.pixels_N3HW[0][:, known], frame()[:, known], rtol=0, atol=0.01)
    assert known[masks.any(0)].all()
    ring = dilate(masks.any(0), EDGE_MARGIN) & ~masks.any(0)
    assert torch.equal(~known, ring)


def test_no_object_at_all_changes_nothing() -> None:
    nothing = torch.zeros(2, H, W, dtype=torch.bool)
    for masks in (nothing, nothing[:0]):
        found = warp_by_masks(frame(), masks, masks)
        assert torch.equal(found.pixels_N3HW[0], frame())
        assert found.known_N1HW.all()


def test_each_object_moves_its_own_way() -> None:
    before = torch.stack([box(20, 4, 10, 10), box(20, 40, 10, 10)])
    now = torch.stack([box(22, 8, 10, 10), box(10, 40, 10, 10)])
    found = warp_by_masks(frame(), before, now).pixels_N3HW[0]
    x, y = places()
    torch.testing.assert_close(found[0][now[0]], (x - 4)[now[0]], rtol=0, atol=0.01)
    torch.testing.assert_close(found[1][now[1]], (y + 10)[now[1]], rtol=0, atol=0.01)


def test_grown_masks() -> None:
    assert torch.equal(dilate(box(10, 10, 3, 5), 2), box(8, 8, 7, 9))
    assert torch.equal(dilate(box(0, 0, 1, 1), 2), box(0, 0, 3, 3))


def test_the_only_known_pixel_of_a_big_picture_fills_it() -> None:
    known = torch.zeros(1100, 2100, dtype=torch.bool)
    known[700, 3] = True
    found = inpaint(torch.where(known, 5.0, -1.0)[None], known)
    torch.testing.assert_close(found, torch.full_like(found, 5.0))


def test_a_picture_of_which_nothing_is_known_stays() -> None:
    picture = torch.rand(3, 8, 8)
    nothing = torch.zeros(8, 8, dtype=torch.bool)
    assert torch.equal(inpaint(picture, nothing), picture)
    assert torch.equal(inpaint(picture, ~nothing), picture)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    share=st.floats(0, 1),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_filled_pictures(seed: int, share: float, size: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(seed)
    picture = torch.rand(3, *size, generator=random) * 4 - 2
    known = torch.rand(size, generator=random) < share
    found = inpaint(picture, known)
    assert found.isfinite().all()
    assert torch.equal(found[:, known], picture[:, known])
    if known.any():
        low, high = picture[:, known].amin(1), picture[:, known].amax(1)
        assert (found >= low[:, None, None] - 1e-5).all()
        assert (found <= high[:, None, None] + 1e-5).all()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    objects=st.integers(1, 3),
    share=st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]),
    size=st.tuples(st.integers(2, 20), st.integers(2, 20)),
)
def test_any_masks(seed: int, objects: int, share: float, size: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(seed)
    picture = torch.rand(3, *size, generator=random) * 4 + 1
    before, now = torch.rand(2, objects, *size, generator=random) < share
    found = warp_by_masks(picture, before, now)
    assert found.pixels_N3HW.isfinite().all()
    assert picture.min() - 1e-4 <= found.pixels_N3HW.min()
    assert found.pixels_N3HW.max() <= picture.max() + 1e-4
    assert set(found.known_N1HW.flatten().tolist()) <= {0, 1}
    known = found.known_N1HW[0, 0] > 0
    assert not known[(before.any(0) & ~now.any(0))].any()
