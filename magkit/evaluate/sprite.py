"""Exact frames of an object at any place before a still picture, and where a frame shows it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from magkit.synth.deformation import sample
from magkit.synth.layers import BORDER, sharpen

WINDOW = 92  # pixels: side of the squares in which the object is looked for
REACH = 12  # pixels around the given place in which it is looked for
STEPS, NEAR = 6, 0.002  # of Gauss-Newton, and pixels of a step that is the last
HALF = 0.25  # pixels: half of its differences


class SpriteScene:
    """An object before a still picture, at places in pixels from the frame's centre.

    Args:
        size: side of the frame in pixels.
        behind: coefficients of a cubic spline around the frame, (3, side, side).
        rgba: the object, (4, h, w) in [0, 1], smaller than the window in which it is looked for.
    """

    def __init__(self, size: int, behind: torch.Tensor, rgba: torch.Tensor) -> None:
        self._size = size
        middle = (behind.shape[-1] - 1) / 2
        self._behind = sample(behind[None], _grid(size, behind.device) + middle)
        colour, alpha = sharpen(rgba[:3]).clamp(0, 1), rgba[3:]
        self._object = F.pad(torch.cat([colour * alpha, alpha]), (BORDER,) * 4)
        self._grey_object = torch.stack([self._object[:3].mean(0), self._object[3]])
        self._grey_behind = self._behind.mean(1, keepdim=True)

    def frames(self, places: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, size, size) with the object at places (N, 2)."""
        colour, alpha = torch.split(_layer(self._object, places, self._size), [3, 1], 1)
        frames: torch.Tensor = self._behind * (1 - alpha) + colour
        return frames

    def cover(self, places: torch.Tensor) -> torch.Tensor:
        """Return the object's opacity (N, 1, size, size) at places (N, 2)."""
        return _layer(self._object, places, self._size)[:, 3:]

    def locate(self, frames: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return where frames show the object, by least squares within 12 px of places.

        First whole pixels, over the object; then Gauss-Newton on exact windows of frames.

        Args:
            frames: (N, 3, size, size).
            places: (N, 2).

        Returns:
            Places (N, 2).
        """
        grey = frames.mean(1, keepdim=True)
        places = places.to(grey)
        whole = places.round()
        exact, alpha = self._window(whole, whole)
        shifts = _best_shift(_cut(grey, whole, WINDOW + 2 * REACH), exact, alpha**2)
        places, whole = places + shifts, whole + shifts
        seen = _cut(grey, whole, WINDOW)
        for _ in range(STEPS):
            step = _newton_step(lambda p: self._window(p, whole)[0], seen, places)
            places = places + step
            if step.abs().max() < NEAR:
                break
        return places

    def _window(
        self, places: torch.Tensor, whole: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return grey frames with the object at places in squares around whole ones, and alpha."""
        grey, alpha = torch.split(_layer(self._grey_object, places - whole, WINDOW), 1, 1)
        behind = _cut(self._grey_behind.expand(len(places), -1, -1, -1), whole, WINDOW)
        return behind * (1 - alpha) + grey, alpha


def _layer(sprite: torch.Tensor, places: torch.Tensor, side: int) -> torch.Tensor:
    """Return a sprite (C, h, w) in squares (N, C, side, side) at places from their centre."""
    height, width = sprite.shape[-2:]
    middle = sprite.new_tensor([(width - 1) / 2, (height - 1) / 2])
    points = _grid(side, sprite.device) + (middle - places.to(middle))[:, :, None, None]
    return sample(sprite.expand(len(places), -1, -1, -1), points)


def _grid(side: int, device: torch.device | str) -> torch.Tensor:
    """Return x and y of pixels from the centre of a square, (1, 2, side, side)."""
    along = torch.arange(side, device=device) - (side - 1) / 2
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y])[None]


def _cut(frames: torch.Tensor, whole: torch.Tensor, side: int) -> torch.Tensor:
    """Cut squares (N, C, side, side) around whole places (N, 2) out of frames."""
    first = (frames.shape[-1] - side) // 2
    corners = [(first + int(x), first + int(y)) for x, y in whole.tolist()]
    return torch.stack(
        [f[:, y : y + side, x : x + side] for f, (x, y) in zip(frames, corners, strict=True)]
    )


def _best_shift(wide: torch.Tensor, exact: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the whole shifts (N, 2) of least weighted squared difference.

    Args:
        wide: (N, 1, side + 2 reach, ...).
        exact: (N, 1, side, side).
        weight: likewise.
    """
    count, stacked = len(wide), wide.transpose(0, 1)
    squares = F.conv2d(stacked**2, weight, groups=count)
    errors = squares - 2 * F.conv2d(stacked, weight * exact, groups=count)
    best = errors[0].flatten(1).argmin(1)
    side = errors.shape[-1]
    return torch.stack([best % side, best // side], 1).to(wide) - side // 2


def _newton_step(
    render: Callable[[torch.Tensor], torch.Tensor], seen: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Return the step (N, 2) of Gauss-Newton at places, of at most a pixel each way."""
    rest = (seen - render(places)).flatten(1)
    steps = HALF * torch.eye(2).to(places)
    slopes = torch.stack(
        [(render(places + h) - render(places - h)).flatten(1) / (2 * HALF) for h in steps], 2
    )
    found: torch.Tensor = torch.linalg.lstsq(slopes, rest[..., None]).solution[..., 0]
    return found.clamp(-1, 1)
