"""Scenes with one smooth deformation: exact frames at any scale, and the scale of a given frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from magkit.evaluate.magnifier import minimum
from magkit.synth.deformation import (
    Deformation,
    Fields,
    displacement,
    make_fields,
    material,
    sample,
)
from magkit.synth.layers import sharpen
from magkit.synth.sources import Pictures, resize

BATCH = 9  # frames rendered at once


@dataclass(frozen=True, slots=True)
class Cut:
    """A square of a picture.

    Attributes:
        number: of the picture.
        zoom: pixels of the picture to a pixel of the frame, less where the picture is too small.
        corner: of the square, (x, y), as fractions of the room left.
    """

    number: int
    zoom: float
    corner: tuple[float, float]

    def texels(
        self, pictures: Pictures, side: int, device: torch.device | str = "cpu"
    ) -> torch.Tensor:
        """Return the square as coefficients of a cubic spline, (3, side, side) in [0, 1]."""
        picture = pictures.picture(self.number)
        height, width = picture.shape[-2:]
        window = int(min(side * self.zoom, height, width))
        left, top = (
            int(share * (room - window))
            for share, room in zip(self.corner, (width, height), strict=True)
        )
        cut = picture[:, top : top + window, left : left + window].to(device).float() / 255
        return sharpen(resize(cut, side, side)).clamp(0, 1)


def draw_cut(rng: np.random.Generator, pictures: Pictures) -> Cut:
    """Draw a square of any picture."""
    number, zoom, x, y = rng.random(4).tolist()
    return Cut(int(number * len(pictures)), 1 + zoom, (x, y))


@dataclass(frozen=True)
class DeformedScene:
    """A picture, or a part before a still picture, that deforms.

    At scale k its point p is seen at p + k d(p), in pixels from the frame's centre; 0 is at rest.

    Attributes:
        size: side of the frame in pixels.
        deformation: the field d.
        front: what deforms, coefficients of a cubic spline (C, side, side) around the frame.
        behind: likewise what stands still, where only a part deforms.
        half: half of the part's sides at rest, (x, y) in pixels.
        edge: width in pixels over which the part's border is soft; 0: hard.
    """

    size: int
    deformation: Deformation
    front: torch.Tensor
    behind: torch.Tensor | None = None
    half: tuple[float, float] = (math.inf, math.inf)
    edge: float = 0.0

    def frames(self, scales: torch.Tensor, *, grey: bool = False) -> torch.Tensor:
        """Return frames (N, C, size, size) at scales (N,), or the mean of their channels."""
        return torch.cat([self._frames(part, grey) for part in torch.split(scales, BATCH)])

    def _frames(self, scales: torch.Tensor, grey: bool) -> torch.Tensor:
        points = self._material(scales)
        front = _sample(self.front, points, grey)
        if self.behind is None:
            return front
        return torch.lerp(_sample(self.behind, self._grid, grey), front, self._cover(points))

    def cover(self, scales: torch.Tensor) -> torch.Tensor:
        """Return the opacity of what deforms, (N, 1, size, size)."""
        return self._cover(self._material(scales))

    def lengths(self, scales: torch.Tensor) -> torch.Tensor:
        """Return |d(p)| of what each pixel shows, 0 of what stands still, (N, 1, size, size)."""
        points = self._material(scales)
        field = displacement(self._fields(len(points)), points)
        lengths: torch.Tensor = field.norm(dim=1, keepdim=True) * self._cover(points)
        return lengths

    def visible(self, scale: float, at: float) -> torch.Tensor:
        """Return whether the frame at scale `at` shows what each pixel shows at `scale`.

        Returns:
            Booleans (1, 1, size, size).
        """
        points = self._material(torch.tensor([scale]))
        place = points + at * displacement(self._fields(1), points)
        seen: torch.Tensor = (place.abs() <= self.size / 2).all(1, keepdim=True)
        return seen

    @cached_property
    def _grid(self) -> torch.Tensor:
        along = torch.arange(self.size, device=self.front.device) - (self.size - 1) / 2
        y, x = torch.meshgrid(along, along, indexing="ij")
        return torch.stack([x, y])[None]

    def _fields(self, count: int) -> Fields:
        return make_fields([self.deformation] * count, self.front.device)

    def _material(self, scales: torch.Tensor) -> torch.Tensor:
        grid = self._grid.expand(len(scales), -1, -1, -1)
        return material(self._fields(len(scales)), grid, scales.to(self.front))

    def _cover(self, points: torch.Tensor) -> torch.Tensor:
        half = points.new_tensor(self.half)[:, None, None]
        inside = half - points.abs()
        soft = (inside / self.edge + 0.5).clamp(0, 1) if self.edge else (inside >= 0).float()
        return soft.prod(1, keepdim=True)


def _sample(texels: torch.Tensor, points: torch.Tensor, grey: bool) -> torch.Tensor:
    texels = texels.mean(0, keepdim=True) if grey else texels
    from_corner = points + (texels.shape[-1] - 1) / 2
    return sample(texels.expand(len(points), -1, -1, -1), from_corner)


class ScaleFit:
    """Least-squares fit of a scene's scale to frames, over the whole picture.

    Frames are compared, by the mean of their channels, with exact ones at evenly spaced scales;
    a parabola through the three of least error gives the scale.

    Args:
        scene: the scene.
        scales: ascending, (K,).
        weight: of the pixels, (1, 1, size, size); None: all alike.
    """

    def __init__(
        self, scene: DeformedScene, scales: torch.Tensor, weight: torch.Tensor | None = None
    ) -> None:
        self._scales = scales.double().cpu().numpy()
        exact = scene.frames(scales, grey=True)
        # Differences from one frame: squares of whole frames would hide them in rounding errors.
        self._base = exact[len(exact) // 2]
        self._weight = torch.ones_like(self._base) if weight is None else weight[0].float()
        self._exact = self._flat(exact)

    def __call__(self, frames: torch.Tensor) -> np.ndarray:
        """Return the scales of frames (N, C, size, size)."""
        found = self._flat(frames.mean(1, keepdim=True))
        errors = (self._exact**2).sum(1) - 2 * found @ self._exact.T
        return np.array([minimum(self._scales, row) for row in errors])

    def _flat(self, frames: torch.Tensor) -> np.ndarray:
        rows: np.ndarray = ((frames - self._base) * self._weight.sqrt()).flatten(1).cpu().numpy()
        return rows.astype(np.float64)
