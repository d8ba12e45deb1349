"""Clips of a camera that shakes, made by splines in double precision."""

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from magkit.video import Frame

Values = NDArray[np.float64]
MARGIN = 24  # pixels around what the camera sees at first


@dataclass(frozen=True)
class Pose:
    """What a camera does to its first picture: it moves, in pixels, turns and grows."""

    x: float = 0.0
    y: float = 0.0
    degrees: float = 0.0
    growth: float = 0.0

    def moved(self, x: Values, y: Values, height: int, width: int) -> Values:
        """Where places of the first picture are now, (2, ...)."""
        angle, factor = math.radians(self.degrees), 1 + self.growth
        across, down = x - (width - 1) / 2, y - (height - 1) / 2
        return np.stack(
            [
                factor * (math.cos(angle) * across - math.sin(angle) * down)
                + (width - 1) / 2
                + self.x,
                factor * (math.sin(angle) * across + math.cos(angle) * down)
                + (height - 1) / 2
                + self.y,
            ]
        )

    def seen(self, x: Values, y: Values, height: int, width: int) -> Values:
        """Where pixels were in the first picture, (2, ...)."""
        factor = (1 + self.growth) * np.exp(1j * math.radians(self.degrees))
        centre = complex((width - 1) / 2, (height - 1) / 2)
        before = (x + 1j * y - centre - complex(self.x, self.y)) / factor + centre
        return np.stack([before.real, before.imag])


class Scene:
    """A smooth random texture."""

    def __init__(self, height: int, width: int, seed: int = 0, sigma: float = 2.0) -> None:
        self.height, self.width = height, width
        size = height + 2 * MARGIN, width + 2 * MARGIN
        texture = np.random.default_rng(seed).standard_normal(size)
        texture = scipy.ndimage.gaussian_filter(texture, sigma)
        self.texture = 0.5 + 0.14 * texture / texture.std()

    def seen(self, pose: Pose, shift: Values | float = 0.0) -> Values:
        """What the camera sees, (H, W) in [0, 1], where places of the scene move right by `shift`.

        Args:
            pose: of the camera.
            shift: pixels, for each pixel (H, W) of the frame.
        """
        y, x = np.mgrid[: self.height, : self.width].astype(float)
        before = pose.seen(x, y, self.height, self.width)
        places = [before[1] + MARGIN, before[0] - shift + MARGIN]
        found: Values = scipy.ndimage.map_coordinates(self.texture, places, order=5, mode="mirror")
        return found.clip(0, 1)

    def places(self, pose: Pose) -> Values:
        """Where the pixels of a frame are in the first picture, (2, H, W)."""
        y, x = np.mgrid[: self.height, : self.width].astype(float)
        return pose.seen(x, y, self.height, self.width)


def as_frame(grey: Values, deep: bool = False) -> Frame:
    most = 65535 if deep else 255
    whole = (grey * most).round().astype(np.uint16 if deep else np.uint8)
    frame: Frame = np.repeat(whole[..., None], 3, 2)
    return frame


def shake(count: int, size: float = 4.0) -> list[Pose]:
    """A hand's shake of some pixels, half a degree and half a per cent, which begins at 0."""
    moves = np.random.default_rng(3).standard_normal((4, count))
    moves = scipy.ndimage.gaussian_filter1d(moves, 1.5, axis=1)
    moves -= moves[:, :1]
    moves /= np.abs(moves).max(1, keepdims=True)
    return [Pose(size * x, size * y, 0.5 * turn, 0.005 * growth) for x, y, turn, growth in moves.T]
