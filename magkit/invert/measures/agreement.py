"""How well what a model finds agrees with the true mask: the measures of DAVIS.

Source: Perazzi et al., "A benchmark dataset and evaluation methodology for video object
segmentation", CVPR 2016, section 5: region similarity J and contour accuracy F.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from magkit.errors import MagkitError
from magkit.protocols import Annotation

TOLERANCE = 0.008  # of the picture's diagonal: how far apart contours may lie
SURE = 0.5  # predictions of a lower score don't count as found
INSIDE = 0.5  # a prediction's mask holds the pixels of at least this

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the best of the predictions.

    Attributes:
        region: Region similarity J, in [0, 1].
        boundary: Contour accuracy F, in [0, 1].
        score: How sure the prediction is, in [0, 1].
        label: Its class; None: nothing was found, and the figures are 0.
    """

    region: float
    boundary: float
    score: float
    label: str | None


def region_similarity(found_HW: Tensor, truth_HW: Tensor) -> float:
    """Return J, intersection over union, in [0, 1]: 1 where both masks (bool) are empty.

    Raises:
        MagkitError: the masks are not bool, or of two sizes.
    """
    found, truth = _arrays(found_HW, truth_HW)
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def boundary_f(found_HW: Tensor, truth_HW: Tensor, tolerance: float = TOLERANCE) -> float:
    """Return F, the harmonic mean of the contours' precision and recall, in [0, 1].

    A pixel of one contour is matched where the other passes within `tolerance` times the
    diagonal, rounded up to whole pixels, at least one: as in DAVIS' own evaluation. F is 1 where
    neither mask has a contour, 0 where one has none. A mask and its complement have the same
    contour, and neither nothing nor the whole picture has one: F is read beside J.

    Args:
        found_HW: the mask that was found, bool.
        truth_HW: the true one, bool.
        tolerance: as a part of the picture's diagonal.

    Raises:
        MagkitError: the masks are not bool, or of two sizes.
    """
    found, truth = (_contour(mask) for mask in _arrays(found_HW, truth_HW))
    if not (found.any() and truth.any()):
        return float(found.any() == truth.any())
    radius = max(1, math.ceil(tolerance * math.hypot(*found.shape)))
    precision, recall = _matched(found, truth, radius), _matched(truth, found, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def best_agreement(
    predictions: Sequence[Annotation], truth_HW: Tensor, label: str | None
) -> Agreement:
    """Return the agreement of the prediction with the highest J; of equals, that of the surest.

    It judges full detection: the model isn't told where to look, and what else it sees costs
    nothing. A picture without the object (an empty mask) has nothing to find and gives 0 too:
    such pictures are for the caller to leave out.

    Args:
        predictions: what a model sees in the picture. Those count that have a mask, a score of at
            least 0.5, and the class asked for.
        truth_HW: the true mask, bool.
        label: the class asked for; None: any.

    Raises:
        MagkitError: the true mask is not bool, or a prediction's is of another size.
    """
    best, best_mask = Agreement(0.0, 0.0, 0.0, None), None
    for seen in predictions:
        if seen.mask_HW is None or seen.score < SURE or label not in {None, seen.label}:
            continue
        mask = seen.mask_HW >= INSIDE
        region = region_similarity(mask, truth_HW)
        if best_mask is None or (region, seen.score) > (best.region, best.score):
            best, best_mask = Agreement(region, 0.0, seen.score, seen.label), mask
    if best_mask is None:
        return best
    return Agreement(best.region, boundary_f(best_mask, truth_HW), best.score, best.label)


def _arrays(found_HW: Tensor, truth_HW: Tensor) -> tuple[Mask, Mask]:
    if {found_HW.dtype, truth_HW.dtype} != {torch.bool} or found_HW.shape != truth_HW.shape:
        shown = " and ".join(f"{m.dtype} {tuple(m.shape)}" for m in (found_HW, truth_HW))
        raise MagkitError(f"masks to compare must be bool and of one size, not {shown}")
    return found_HW.numpy(), truth_HW.numpy()


def _contour(mask: Mask) -> Mask:
    """Pixels that differ from their right, lower or lower right neighbour, as DAVIS has it."""
    wider = np.pad(mask, (0, 1), mode="edge")
    contour: Mask = (mask != wider[:-1, 1:]) | (mask != wider[1:, :-1]) | (mask != wider[1:, 1:])
    return contour


def _matched(contour: Mask, other: Mask, radius: int) -> float:
    """The part of a contour's pixels that lie within `radius` of the other contour."""
    # The same as dilating the other contour with a disk, at a cost that no radius raises.
    return float((distance_transform_edt(~other)[contour] <= radius).mean())
