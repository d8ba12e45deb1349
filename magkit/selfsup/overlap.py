"""The same places in two crops of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magkit.protocols import View
from magkit.selfsup.boxes import candidates, distinct


@dataclass(frozen=True, slots=True)
class BoxLaw:
    """Which boxes are drawn where two views overlap.

    Attributes:
        count: boxes in each overlap.
        least: the least side, in pixels of the view that shows the overlap smaller.
        most_alike: the greatest IoU of two boxes of a picture; see `boxes.distinct`.
        whole: whether sides are whole pixels of that view, as in the published code, where the
            overlap is rounded too: the two views may then differ by most of a pixel at its edge.
    """

    count: int
    least: float
    most_alike: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Matched:
    """The same places in two views.

    Attributes:
        image_M: whose place each is, a number in the batch.
        boxes_M4: for each view, left, top, right and bottom edges in its pixels.
    """

    image_M: Tensor
    boxes_M4: tuple[Tensor, Tensor]


def matched_boxes(views: Sequence[View], draws_NP24: Tensor, law: BoxLaw) -> Matched:
    """Draw places that both views of a picture show: none where the overlap isn't above `least`.

    Args:
        views: two views of N pictures; crops of other sources than one another's must share
            their coordinates.
        draws_NP24: uniform in [0, 1), for P candidates in each picture; see `boxes.candidates`.
        law: which boxes.
    """
    first, second = (view.boxes_N4.reshape(-1, 2, 2) for view in views)
    low = torch.maximum(first[:, 0], second[:, 0])
    high = torch.minimum(first[:, 1], second[:, 1])
    scale = torch.minimum(_scale(views[0]), _scale(views[1]))
    extent = (high - low) * scale
    image = (extent > law.least).all(1).nonzero()[:, 0]
    drawn = candidates(extent[image], draws_NP24.to(extent)[image], law.least, law.whole)
    kept = distinct(drawn, law.count, law.most_alike)
    source = low[image, None, None] + kept / scale[image, None, None]
    placed = [_placed(source, view, image) for view in views]
    return Matched(image.repeat_interleave(law.count), (placed[0], placed[1]))


def _size(view: View) -> Tensor:
    height, width = view.images_NCHW.shape[-2:]
    return view.boxes_N4.new_tensor([width, height])


def _scale(view: View) -> Tensor:
    """Return pixels of the view to a pixel of the source, along x and y: (N, 2)."""
    corners = view.boxes_N4.reshape(-1, 2, 2)
    return _size(view) / (corners[:, 1] - corners[:, 0])


def _placed(source_NB22: Tensor, view: View, image_N: Tensor) -> Tensor:
    """Turn the source's coordinates into the view's: boxes (N B, 4)."""
    start, scale = view.boxes_N4[image_N, None, None, :2], _scale(view)[image_N, None, None]
    x, y = ((source_NB22 - start) * scale).unbind(-1)
    width, height = _size(view).unbind()
    x = torch.where(view.flipped_N[image_N, None, None], width - x.flip(-1), x)
    x, y = x.clamp(min=0).minimum(width), y.clamp(min=0).minimum(height)
    return torch.stack([x, y], -1).flatten(2).flatten(0, 1)
