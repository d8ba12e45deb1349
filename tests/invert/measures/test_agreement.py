"""Region similarity against NumPy, contour accuracy against all pairs of contour pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation
from skimage.morphology import disk

from magkit.errors import MagkitError
from magkit.invert.measures import Agreement, best_agreement, boundary_f, region_similarity
from magkit.protocols import Annotation


def blobs(seed: int, size: tuple[int, int], share: float) -> torch.Tensor:
    """A mask of random squares of 1 to 4 pixels, about `share` of them drawn."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(1, 5))
    coarse = rng.random((-(-size[0] // side), -(-size[1] // side))) < share
    return torch.from_numpy(np.kron(coarse, np.ones((side, side), bool))[: size[0], : size[1]])


def square(top: int, left: int, side: int = 10, size: tuple[int, int] = (60, 80)) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def left_part(columns: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.arange(size[1]).expand(size) < columns


def contour(mask: torch.Tensor) -> np.ndarray:
    """The (row, column) of every pixel unlike its right, lower or lower right neighbour."""
    height, width = mask.shape
    found = []
    for y in range(height):
        for x in range(width):
            beside = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            inside = [(v, u) for v, u in beside if v < height and u < width]
            if any(bool(mask[v, u]) != bool(mask[y, x]) for v, u in inside):
                found.append((y, x))
    return np.array(found).reshape(-1, 2)


def slow_f(found: torch.Tensor, truth: torch.Tensor, radius: int) -> float:
    a, b = contour(found), contour(truth)
    if not len(a) or not len(b):
        return float(len(a) == len(b))
    near = ((a[:, None] - b[None]) ** 2).sum(2) <= radius**2
    precision, recall = near.any(1).mean(), near.any(0).mean()
    return 2 * precision * recall / (precision + recall) if near.any() else 0.0


MASKS = st.builds(
    lambda seeds, size, share: (blobs(seeds[0], size, share), blobs(seeds[1], size, share)),
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0]),
)


@settings(deadline=None)
@given(masks=MASKS)
def test_region_similarity_is_intersection_over_union(
    masks: tuple[torch.Tensor, torch.Tensor],
) -> None:
    one, two = masks
    a, b = one.numpy(), two.numpy()
    exact = (a * b).sum() / max((a + b).sum(), 1) if a.any() or b.any() else 1.0
    assert region_similarity(one, two) == pytest.approx(exact, abs=1e-15)
    assert region_similarity(one, two) == region_similarity(two, one)
    assert 0 <= region_similarity(one, two) <= 1
    assert (region_similarity(one, two) == 1) == torch.equal(one, two)


@settings(deadline=None)
@given(masks=MASKS, radius=st.integers(1, 4))
def test_contours_are_compared_pixel_by_pixel(
    masks: tuple[torch.Tensor, torch.Tensor], radius: int
) -> None:
    one, two = masks
    tolerance = (radius - 0.5) / math.hypot(*one.shape)
    exact = slow_f(one, two, radius)
    assert boundary_f(one, two, tolerance) == pytest.approx(exact, abs=1e-12)
    assert boundary_f(two, one, tolerance) == pytest.approx(exact, abs=1e-12)
    assert boundary_f(one, one, tolerance) == 1


def edges_of(mask: np.ndarray) -> np.ndarray:
    """The contour of a mask that keeps off the last row and column."""
    edge = np.zeros_like(mask)
    here = mask[:-1, :-1]
    edge[:-1, :-1] = (here != mask[:-1, 1:]) | (here != mask[1:, :-1]) | (here != mask[1:, 1:])
    return edge


def test_contours_in_a_frame_of_the_usual_size_as_davis_dilates_them() -> None:
    size = (240, 427)  # a diagonal of 489.8 pixels: 4 of them are allowed
    y, x = np.mgrid[: size[0], : size[1]]
    truth = torch.from_numpy((y - 120) ** 2 + (x - 200) ** 2 < 60**2)
    found = torch.from_numpy((y - 123) ** 2 / 58**2 + (x - 204) ** 2 / 66**2 < 1)
    edges = [edges_of(mask.numpy()) for mask in (found, truth)]
    wide = [binary_dilation(edge, disk(4)) for edge in edges]  # type: ignore[no-untyped-call]
    precision = (edges[0] & wide[1]).sum() / edges[0].sum()
    recall = (edges[1] & wide[0]).sum() / edges[1].sum()
    exact = 2 * precision * recall / (precision + recall)
    assert 0.2 < exact < 0.95
    assert boundary_f(found, truth) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(("shift", "exact"), [(0, 1.0), (1, 1.0), (2, 22 / 40), (30, 0.0)])
def test_a_square_beside_itself(shift: int, exact: float) -> None:
    # Its contour are the 40 pixels around 9 x 9 others; 1 pixel is allowed. 2 pixels further,
    # 10 of each horizontal side have a partner, and 2 of one of the vertical sides.
    assert boundary_f(square(20, 20 + shift), square(20, 20)) == pytest.approx(exact)


def test_one_square_too_many_costs_precision_alone() -> None:
    both = square(5, 5) | square(40, 60)
    assert boundary_f(both, square(5, 5)) == pytest.approx(2 / 3)
    assert boundary_f(square(5, 5), both) == pytest.approx(2 / 3)
    assert region_similarity(both, square(5, 5)) == 0.5


@pytest.mark.parametrize(
    ("size", "allowed"), [((75, 100), 1), ((76, 100), 2), ((8, 12), 1), ((480, 854), 8)]
)
def test_the_tolerance_is_rounded_up(size: tuple[int, int], allowed: int) -> None:
    truth = left_part(2, size)
    assert boundary_f(left_part(2 + allowed, size), truth) == 1
    assert boundary_f(left_part(3 + allowed, size), truth) == 0


def test_without_a_tolerance_one_pixel_is_allowed() -> None:
    assert boundary_f(left_part(3, (9, 9)), left_part(2, (9, 9)), 0) == 1
    assert boundary_f(left_part(4, (9, 9)), left_part(2, (9, 9)), 0) == 0


def test_empty_and_full_masks() -> None:
    empty, full, some = square(0, 0, 0), ~square(0, 0, 0), square(9, 9)
    assert region_similarity(empty, empty) == boundary_f(empty, empty) == 1
    for one, two in ((empty, some), (some, empty)):
        assert region_similarity(one, two) == boundary_f(one, two) == 0
    assert region_similarity(full, empty) == 0
    assert boundary_f(full, empty) == 1  # neither has a contour


@pytest.mark.parametrize(
    "other", [square(0, 0, size=(1, 80)), square(0, 0).float(), square(0, 0).byte()]
)
def test_masks_that_can_not_be_compared(other: torch.Tensor) -> None:
    for measure in (region_similarity, boundary_f):
        with pytest.raises(MagkitError, match="bool and of one size"):
            measure(other, square(0, 0))
        with pytest.raises(MagkitError, match="bool and of one size"):
            measure(square(0, 0), other)


TRUTH = square(20, 20)


def seen(label: str, shift: int, score: float, sure: float = 0.9) -> Annotation:
    return Annotation(label, square(20, 20 + shift).float() * sure, score)


def test_the_best_of_the_right_class_is_taken_not_the_surest() -> None:
    predictions = [seen("dog", 0, 0.99), seen("bear", 5, 0.95), seen("bear", 1, 0.6)]
    found = best_agreement(predictions, TRUTH, "bear")
    assert found == Agreement(90 / 110, 1.0, 0.6, "bear")
    assert best_agreement(predictions, TRUTH, None) == Agreement(1.0, 1.0, 0.99, "dog")


def test_of_equals_the_surest_is_taken() -> None:
    predictions = [seen("a", 3, 0.7), seen("b", 3, 0.8), seen("c", 3, 0.6)]
    assert best_agreement(predictions, TRUTH, None).label == "b"
    assert best_agreement(predictions[::-1], TRUTH, None).label == "b"


def test_a_prediction_elsewhere_is_found_and_agrees_in_nothing() -> None:
    assert best_agreement([seen("bear", 40, 0.8)], TRUTH, None) == Agreement(0, 0, 0.8, "bear")


def test_a_mask_holds_what_is_at_least_one_half() -> None:
    soft = square(20, 20).float() * 0.5 + (square(20, 30) * 0.499)
    assert best_agreement([Annotation("bear", soft)], TRUTH, "bear").region == 1
    assert best_agreement([seen("bear", 0, 1, sure=0.49)], TRUTH, "bear").region == 0


@pytest.mark.parametrize(
    "predictions",
    [[], [seen("dog", 0, 1)], [seen("bear", 0, 0.499)], [Annotation("bear", None, 1.0)]],
)
def test_nothing_found(predictions: list[Annotation]) -> None:
    assert best_agreement(predictions, TRUTH, "bear") == Agreement(0, 0, 0, None)


def test_a_score_of_one_half_counts() -> None:
    assert best_agreement([seen("bear", 0, 0.5)], TRUTH, "bear") == Agreement(1, 1, 0.5, "bear")


def test_a_prediction_of_another_size() -> None:
    with pytest.raises(MagkitError, match="one size"):
        best_agreement([Annotation("bear", torch.ones(5, 5))], TRUTH, "bear")
