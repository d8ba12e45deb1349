"""Means of feature maps over boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_align

from magkit.protocols import View
from magkit.selfsup.losses import full


def region_means(
    maps_NChw: Tensor,
    view: View,
    boxes_M4: Tensor,
    image_M: Tensor,
    *,
    centre: float | None = None,
    sampling: int = -1,
    aligned: bool = True,
) -> Tensor:
    """Return the mean features of boxes, (M, C): RoIAlign of He et al., ICCV 2017, to one cell.

    Args:
        maps_NChw: what an encoder made of the view.
        view: the pictures; as many pixels go to a cell along x and y.
        boxes_M4: edges in the view's pixels.
        image_M: the number of each box's picture.
        centre: pixels from the outer edge of a picture to where the map's first cell looks; None:
            half the stride, the middle of the pixels that fall to it.
        sampling: places a side of a box where features are interpolated; -1: one a cell.
        aligned: False takes the first cell to look at the very edge, as the published code does.
    """
    stride = view.images_NCHW.shape[-1] / maps_NChw.shape[-1]
    moved = boxes_M4 if centre is None else boxes_M4 + (stride / 2 - centre)
    maps = full(maps_NChw)
    regions = torch.cat([image_M[:, None], moved], 1).to(maps.dtype)
    means: Tensor = roi_align(maps, regions, 1, 1 / stride, sampling, aligned)
    return means.flatten(1)
