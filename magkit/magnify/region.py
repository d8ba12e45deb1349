"""Which part of the motion is magnified: a direction, a mask, a rectangle of the frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from magkit.errors import MagkitError, UsageError
from magkit.video.pictures import open_picture, read_picture

Mask = NDArray[np.float32]
Rectangle = tuple[int, int, int, int]
"""Left, top, width and height, pixels."""

BORDER = 3  # pixels at the inner edge of a region over which the input fades out
OPAQUE = 1 / 8  # amount of the motion from which on nothing of the input shines through
MAX_ANGLE = 360.0  # degrees
_HINT = "0 leaves a pixel as it is, 1 magnifies its motion in full"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Controls:
    """What of the motion is magnified; without any, all of it.

    Args:
        axis: direction in degrees, counter-clockwise from the horizontal as the picture is seen;
            only the component of the motion along it is magnified. Magnifiers that measure
            displacements alone have one.
        mask: (H, W) of the frames' size, in [0, 1]: the motion that is added is multiplied by it.
            Where it is 0, frames stay as they are.
        roi: the rectangle outside which frames stay as they are; multiplies the mask.

    Raises:
        UsageError: the axis isn't from -360 to 360, the mask isn't of two dimensions, empty, 0
            everywhere, or has values outside [0, 1], or the rectangle is empty.
    """

    axis: float | None = None
    mask: Mask | None = None
    roi: Rectangle | None = None

    def __post_init__(self) -> None:
        if self.axis is not None and not abs(self.axis) <= MAX_ANGLE:
            raise UsageError(
                f"the axis must be from -360 to 360 degrees, not {self.axis:g}",
                "0 is horizontal, 90 vertical, 45 rises to the right",
            )
        if self.mask is not None:
            _check_mask(self.mask)
        if self.roi is not None and not (min(self.roi[:2]) >= 0 and min(self.roi[2:]) > 0):
            raise UsageError(
                f"{_words(self.roi)} is no rectangle of a frame",
                "X,Y,W,H: its left and top edge from 0 on, its width and height from 1 on",
            )

    def check_size(self, height: int, width: int) -> None:
        """Check that the mask and the rectangle fit frames of a size, and that anything is left.

        Raises:
            UsageError: they don't.
        """
        if self.mask is not None and self.mask.shape != (height, width):
            rows, columns = self.mask.shape
            raise UsageError(
                f"the mask has {columns} x {rows} pixels, and the frames {width} x {height}",
                "make a mask of the frames' size",
            )
        if self.roi is not None:
            left, top, across, down = self.roi
            if left + across > width or top + down > height:
                raise UsageError(
                    f"{_words(self.roi)} is not inside the frame of {width} x {height} pixels"
                )
            if self.mask is not None and not self.mask[_index(self.roi)].any():
                raise UsageError(f"the mask is black in all of {_words(self.roi)}")

    def along_axis(self, motion: torch.Tensor) -> torch.Tensor:
        """Return the component along the axis of displacements (N, 2, h, w), x and y downwards."""
        if self.axis is None:
            return motion
        angle = math.radians(self.axis)
        direction = motion.new_tensor([math.cos(angle), -math.sin(angle)]).view(1, 2, 1, 1)
        return direction * (direction * motion).sum(1, keepdim=True)

    def amount(self, height: int, width: int) -> Mask | None:
        """Return the share of each pixel's motion that is magnified, (H, W) in [0, 1]; None: all.

        Raises:
            UsageError: as `check_size`.
        """
        self.check_size(height, width)
        if self.mask is None and self.roi is None:
            return None
        share = np.ones((height, width), np.float32) if self.mask is None else self.mask
        if self.roi is None:
            return share
        inside = np.zeros_like(share)
        inside[_index(self.roi)] = share[_index(self.roi)]
        return inside


class Region:
    """The share of the motion that is magnified in each place of frames of one size."""

    def __init__(
        self, amount_HW: Mask, stride: int, device: torch.device, *, displaced: bool
    ) -> None:
        """Prepare the maps.

        Args:
            amount_HW: see `Controls.amount`.
            stride: sides are reflected to its multiples, as those of frames are.
            device: of the frames.
            displaced: whether displacements are multiplied by the amount. Otherwise frames are
                blended with the input by the amount itself.
        """
        opacity = (amount_HW / OPAQUE).clip(max=1) if displaced else amount_HW
        self._amount = _padded(amount_HW, stride, device)
        self._opacity = _padded(opacity * _fading(amount_HW), stride, device)

    def scaled(self, motion: torch.Tensor, cell: int) -> torch.Tensor:
        """Multiply displacements (1, 2, h, w) of cells of a side in pixels by the amount."""
        return motion * F.avg_pool2d(self._amount, cell).to(motion.dtype)

    def composite(self, frames: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Blend magnified frames (1, 3, H', W') over the input.

        The input stays to the bit where the amount is 0. Displacements of 0 are not enough for
        that: displaced things may arrive there.
        """
        return torch.lerp(frames, made.to(frames.dtype), self._opacity)


def _fading(amount_HW: Mask) -> Mask:
    """Return opacities that rise to 1 from the edge of where the amount isn't 0 inwards."""
    if amount_HW.all():
        return np.ones_like(amount_HW)
    distance = scipy.ndimage.distance_transform_edt(amount_HW > 0)
    rising: Mask = (distance / (BORDER + 1)).clip(max=1).astype(np.float32)
    return rising


def _padded(map_HW: Mask, stride: int, device: torch.device) -> torch.Tensor:
    below, right = (-side % stride for side in map_HW.shape)
    whole = np.pad(map_HW, ((0, below), (0, right)), mode="reflect")
    return torch.from_numpy(np.ascontiguousarray(whole)).to(device)[None, None]


def read_mask(path: Path, height: int, width: int) -> Mask:
    """Read a mask for frames of a size: a grey picture, or an array of NumPy's .npy format.

    A picture of the same shape but another size is scaled; white is 1, and what is transparent 0.
    Arrays (H, W) are booleans or numbers in [0, 1].

    Returns:
        (H, W) in [0, 1].

    Raises:
        UsageError: it has another size, is black everywhere, or has values outside [0, 1].
        MagkitError: it can't be read.
    """
    is_array = path.suffix.lower() == ".npy"
    mask = _read_array(path, height, width) if is_array else _read_grey(path, height, width)
    try:
        _check_mask(mask)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error
    return mask


def _read_grey(path: Path, height: int, width: int) -> Mask:
    with open_picture(path) as picture:
        columns, rows = picture.header().size
    if abs(columns * height / rows - width) >= 1:
        raise _wrong_size(path, (rows, columns), height, width)
    grey: Mask = read_picture(path, deep=True).mean(2, dtype=np.float32) / 65535
    if grey.shape == (height, width):
        return grey
    scaled = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(scaled).clip(0, 1)


def _read_array(path: Path, height: int, width: int) -> Mask:
    try:
        # A mapped file allocates nothing, and must be as long as its header says.
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise MagkitError(f"{path} does not exist") from None
    except Exception as error:  # headers raise what comes their way
        raise MagkitError(f"{path} is not an array that can be read: {error}") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "buif":
        raise MagkitError(f"{path} is not an array of numbers", "save it by numpy.save")
    if found.shape != (height, width):
        raise _wrong_size(path, found.shape, height, width)
    return np.array(found, np.float32)


def _wrong_size(path: Path, shape: tuple[int, ...], height: int, width: int) -> UsageError:
    size = " x ".join(map(str, shape[::-1]))
    return UsageError(
        f"the mask {path} has {size} pixels, and the frames {width} x {height}",
        "make a mask of the frames' size; a picture may be of the same shape",
    )


def _check_mask(mask: Mask) -> None:
    if mask.ndim != 2 or not mask.size:
        raise UsageError(f"a mask is an array (height, width), not of the shape {mask.shape}")
    if not ((mask >= 0) & (mask <= 1)).all():
        raise UsageError("a mask has values from 0 to 1, and this one others", _HINT)
    if not mask.any():
        raise UsageError("the mask is black everywhere: nothing would be magnified", _HINT)


def _index(roi: Rectangle) -> tuple[slice, slice]:
    left, top, across, down = roi
    return slice(top, top + down), slice(left, left + across)


def _words(roi: Rectangle) -> str:
    return f"the rectangle {','.join(map(str, roi))}"
