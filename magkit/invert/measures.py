"""Measures of inverted pictures, none of them optimised: J and F, flicker, similarity, controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from magkit.errors import MagkitError
from magkit.protocols import Annotation
from magkit.runtime.seeds import generator
from magkit.synth.procedural import texture
from magkit.video.ssim import ssim_map

TOLERANCE = 0.008  # of the picture's diagonal: how far apart contours may lie
MIN_SCORE = 0.5  # predictions of a lower score don't count as found
MASK_THRESHOLD = 0.5  # a prediction's mask holds the pixels of at least this

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
    precision, recall = (
        _matched_fraction(found, truth, radius),
        _matched_fraction(truth, found, radius),
    )
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
        if seen.mask_HW is None or seen.score < MIN_SCORE or label not in {None, seen.label}:
            continue
        mask = seen.mask_HW >= MASK_THRESHOLD
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


def _matched_fraction(contour: Mask, other: Mask, radius: int) -> float:
    """The part of a contour's pixels that lie within `radius` of the other contour."""
    # The same as dilating the other contour with a disk, at a cost that no radius raises.
    return float((distance_transform_edt(~other)[contour] <= radius).mean())


def flicker(frames_T3HW: Tensor, objects_THW: Tensor) -> float:
    """Return the mean absolute change between neighbouring frames in the background, in [0, 1].

    The mean is over all pairs, channels and pixels that belong to no object in either frame; NaN
    where there is none. A frozen clip has 0, whatever it shows, and so does a plain ground: the
    figure means something only beside a frozen clip's and beside agreement. Motion of the camera
    counts as flicker.

    Args:
        frames_T3HW: RGB in [0, 1].
        objects_THW: bool, true where there is an object.
    """
    total, count = 0.0, 0
    pairs = zip(pairwise(frames_T3HW), pairwise(objects_THW), strict=True)
    for (before, after), (object_before, object_after) in pairs:
        ground = ~(object_before | object_after)
        change = (after - before)[:, ground].double().abs()
        total += change.sum().item()
        count += change.numel()
    return total / count if count else float("nan")


def ssim(a_3HW: Tensor, b_3HW: Tensor, mask_HW: Tensor | None = None) -> float:
    """Return structural similarity, mean over the masked pixels; at most 1, NaN without any.

    Args:
        a_3HW: RGB in [0, 1], H and W at least 6.
        b_3HW: likewise.
        mask_HW: bool; None: the whole picture. The 11 x 11 windows of its pixels look past it.
    """
    similarity_HW = ssim_map(a_3HW[None], b_3HW[None])[0, 0]
    chosen = similarity_HW if mask_HW is None else similarity_HW[mask_HW]
    return chosen.mean().item()


def histogram_distance(
    a_3HW: Tensor, b_3HW: Tensor, mask_HW: Tensor | None = None, bins: int = 8
) -> float:
    """Return 1 - the intersection of two pictures' colour histograms, in [0, 1].

    0: both have the same colours, wherever they lie; 1: they share none. Colours are counted
    jointly, in bins^3 cells of the RGB cube, and those of neighbouring cells have nothing in
    common. Source: Swain & Ballard, "Color indexing", IJCV 1991, section 3.

    Args:
        a_3HW: RGB in [0, 1].
        b_3HW: likewise, of the same size.
        mask_HW: bool: the pixels that count, of both pictures; none gives NaN. None: all.
        bins: for each channel, of equal width.
    """
    cells_2HW = _cells(torch.stack([a_3HW, b_3HW]), bins)
    cells_2P = cells_2HW.flatten(1) if mask_HW is None else cells_2HW[:, mask_HW]
    if not cells_2P.numel():
        return float("nan")
    a, b = (cells.bincount(minlength=bins**3) for cells in cells_2P)
    return 1 - torch.minimum(a, b).sum().item() / cells_2P.shape[1]


def _cells(pictures_N3HW: Tensor, bins: int) -> Tensor:
    """The number in [0, bins^3) of each pixel's cell, (N, H, W)."""
    r, g, b = (pictures_N3HW * bins).long().clamp(0, bins - 1).unbind(1)
    return (r * bins + g) * bins + b


GREY = 0.5
SPREAD = (0.229, 0.224, 0.225)  # of red, green and blue over ImageNet's pictures
OBJECT, GROUND = 0.3, 0.7  # greys of a flat mask
TEXTURES = (1 << 20, 1 << 31)  # numbers from here on: scenes take theirs from the first thousands
NOISE, TEXTURE = 31, 32  # first parts of the keys of their draws


def noise_image(size: tuple[int, int], seed: int, *key: int) -> Tensor:
    """Return Gaussian noise about mid-grey with ImageNet's deviations, clipped to [0, 1].

    Args:
        size: (height, width) in pixels.
        seed: of the draw.
        key: which draw of the seed it is.

    Returns:
        (3, H, W), always the same for a size, seed and key.
    """
    drawn = torch.randn(3, *size, generator=generator(seed, NOISE, *key))
    return (GREY + drawn * torch.tensor(SPREAD)[:, None, None]).clamp(0, 1)


def flat_mask(mask_HW: Tensor) -> Tensor:
    """Return an even object of grey 0.3 on an even ground of grey 0.7, (3, H, W).

    It holds the mask's shape and nothing else.
    """
    return torch.where(mask_HW, OBJECT, GROUND).expand(3, -1, -1).contiguous()


def textured_cutout(image_3HW: Tensor, mask_HW: Tensor, seed: int, *key: int) -> Tensor:
    """Return a real frame's object, cut out and laid on a procedural texture.

    Args:
        image_3HW: the real frame, RGB in [0, 1].
        mask_HW: its object, bool.
        seed: of the texture.
        key: which draw of the seed it is.

    Returns:
        (3, H, W) in [0, 1]: the frame's own pixels inside of the mask.
    """
    draw = generator(seed, TEXTURE, *key)
    number = int(torch.randint(*TEXTURES, (), generator=draw))
    height, width = mask_HW.shape
    return torch.where(mask_HW, image_3HW, _ground(number, height, width))


def _ground(number: int, height: int, width: int) -> Tensor:
    """The middle of a texture that was scaled to the longer side, (3, height, width)."""
    side = max(height, width)
    square = F.interpolate(
        texture(number)[None] / 255, (side, side), mode="bilinear", antialias=True
    )
    top, left = (side - height) // 2, (side - width) // 2
    return square[0, :, top : top + height, left : left + width].clamp(0, 1)
