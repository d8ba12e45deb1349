"""How a network is shown pictures: at which size, and in which units. Differentiable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


@dataclass(frozen=True, slots=True)
class Look:
    """What is done to pictures in [0, 1] before a network sees them.

    Attributes:
        mean, std: taken off each channel, and divided by.
        exact: the only height and width that it takes, in pixels; None: any.
        least: pixels of the shortest side that it takes.
    """

    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    exact: tuple[int, int] | None = None
    least: int = 1

    def __call__(self, images_NCHW: Tensor) -> Tensor:
        """Return the pictures as the network sees them."""
        mean, std = (images_NCHW.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        size = self.size((images_NCHW.shape[2], images_NCHW.shape[3]))
        return (_resized(images_NCHW, size) - mean) / std

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width at which pictures of a size are seen."""
        if self.exact:
            return self.exact
        grown = max(1.0, self.least / min(size))
        return round(size[0] * grown), round(size[1] * grown)


def _resized(images_NCHW: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images_NCHW.shape[2:]) == size:
        return images_NCHW
    return F.interpolate(images_NCHW, size, mode="bilinear", align_corners=False, antialias=True)


def moved(masks_NKHW: Tensor, source_from_output_N23: Tensor, size: tuple[int, int]) -> Tensor:
    """Return masks, 0 or 1, looked up at an affine map of pixels (x, y, 1); 0 beyond the edges.

    Args:
        masks_NKHW: 0 or 1.
        source_from_output_N23: where the new picture's pixels lie in the old one.
        size: height and width of the new one.
    """
    # In double precision, which autocast leaves alone, and on the CPU, as not every device has it.
    maps = source_from_output_N23.cpu().double()
    pixels = maps.new_tensor(
        [[size[1] / 2, 0, size[1] / 2], [0, size[0] / 2, size[0] / 2], [0, 0, 1]]
    )
    extent = maps.new_tensor([masks_NKHW.shape[3], masks_NKHW.shape[2]])
    theta = maps @ pixels * (2 / extent)[:, None]
    theta[:, :, 2] -= 1
    shape = [len(masks_NKHW), masks_NKHW.shape[1], *size]
    grid = F.affine_grid(theta, shape, align_corners=False).to(masks_NKHW)
    found = F.grid_sample(masks_NKHW, grid, padding_mode="zeros", align_corners=False)
    return (found >= 0.5).to(masks_NKHW)


def box(mask_HW: Tensor) -> Tensor:
    """Return left, top, right and bottom (4,) of a mask in pixels; zeros of an empty one."""
    rows, columns = (mask_HW.amax(along).nonzero()[:, 0] for along in (1, 0))
    if not len(rows):
        return mask_HW.new_zeros(4)
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).to(mask_HW)
