"""Scenes of any smooth motion at any instant: layers deformed, exposed for a while, row by row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from magkit.synth.coding import FURTHEST
from magkit.synth.deformation import Deformation, make_fields, material, sample
from magkit.synth.ground import ground_texels
from magkit.synth.layers import BORDER, background_texels, composite, displace, object_texels
from magkit.synth.records import Layer, Scene
from magkit.synth.sources import Cutouts, Pictures

EXPOSURE_STEP = 1.5  # pixels at most between the instants of which an exposure is the mean


class Sources(Protocol):
    """The pictures and objects of scenes."""

    @property
    def pictures(self) -> Pictures: ...
    @property
    def cutouts(self) -> Cutouts: ...


def render_scene(
    scene: Scene, size: int, sources: Sources, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render A, B and M; (3, 3, size, size) each.

    An exposure is the mean of frames at evenly spaced instants. M is exposed as B is, while
    everything moves as far: blur is not magnified.

    Returns:
        The frames, and the truth of each: how far (x, y) what is seen stands from A in the
        middle of the exposure, so in B its motion; and how much of what is seen moves.
    """
    scales = (0.0, 1.0, scene.factor)
    exposures = (scene.exposure[0], scene.exposure[1], scene.exposure[1])
    path = [exposed(scene, size, *pair) for pair in zip(scales, exposures, strict=True)]
    canvas, truth = render_instants(
        scene, size, [k for part in path for k in part], sources, device
    )
    frames, truths, first = [], [], 0
    for part in path:
        last = first + len(part)
        frames.append(canvas[first:last].mean(0))
        middle = truth[(first + last) // 2, :2]
        truths.append(torch.cat([middle, truth[first:last, 2:].mean(0)]))
        first = last
    return torch.stack(frames), torch.stack(truths)


def exposed(scene: Scene, size: int, scale: float, exposure: float) -> list[float]:
    """Return the odd number of scales of which a frame is the mean."""
    steps = math.ceil(exposure * longest(scene, size) / EXPOSURE_STEP / 2)
    return [scale + exposure * k / (2 * steps + 1) for k in range(-steps, steps + 1)]


def longest(scene: Scene, size: int) -> float:
    """Return a bound on the motion of any layer from A to B, pixels."""
    reaches = [_field(scene).reach(size / math.sqrt(2))]
    reaches += [_field(layer).reach(layer.extent / math.sqrt(2)) for layer in scene.layers]
    return max(reaches) * (1 + abs(scene.shutter) / 2)


def render_instants(
    scene: Scene,
    size: int,
    scales: Sequence[float],
    sources: Sources,
    device: torch.device | str = "cpu",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render frames whose displacements are `scales` times those from A to B.

    Args:
        scene: the scene, whose colours are left as they are.
        size: side of the frames.
        scales: 0 is A, 1 is B, the factor is M.
        sources: its pictures and objects.
        device: where to render.

    Returns:
        Frames (G, 3, size, size), and their truth: how far (x, y) what is seen stands from its
        place in A, and whether it moves.
    """
    layers = [_background(scene, size, sources.pictures, device)]
    layers += [_object(layer, size, sources.cutouts, device) for layer in scene.layers]
    canvas, _, truth = _seen(layers[0], scales, scene.shutter, size, frame=True)
    truth = truth.expand(-1, -1, size, size).contiguous()
    for layer in layers[1:]:
        composite(canvas, truth, *_seen(layer, scales, scene.shutter, size))
    return canvas, truth


@dataclass(frozen=True, slots=True)
class _Moving:
    """Texels (C, h, w), the first one `margin` before the layer's corner, and their field."""

    texels: torch.Tensor
    margin: int
    corner: tuple[float, float]  # (x, y) of the layer in A, pixels
    field: Deformation
    moves: bool

    @property
    def extent(self) -> tuple[int, int]:
        """Return width and height of the layer in texels."""
        height, width = (side - 2 * self.margin for side in self.texels.shape[-2:])
        return width, height

    @property
    def centre(self) -> tuple[float, float]:
        """Return (x, y) of the layer's centre in A, pixels."""
        x, y = (c + (side - 1) / 2 for c, side in zip(self.corner, self.extent, strict=True))
        return x, y


def _field(part: Scene | Layer) -> Deformation:
    return replace(part.deformation or Deformation(), shift=part.motion)


def _background(scene: Scene, size: int, pictures: Pictures, device: torch.device | str) -> _Moving:
    room = margin(scene, size)
    side = size + 2 * room
    if scene.ground is None:
        texels = background_texels(scene, side, pictures, device)
    else:
        texels = ground_texels(scene.ground, side).to(device)
    return _Moving(texels, room, (0.0, 0.0), _field(scene), scene.moves)


def margin(scene: Scene, size: int) -> int:
    """Return how many texels of background there are beyond each side of the frame.

    It is what displacements bring in at any of the scene's instants.
    """
    field = _field(scene)
    scale = max(scene.factor, FURTHEST) * (1 + abs(scene.shutter) / 2) + max(scene.exposure) / 2
    stretch = scale * Deformation(matrix=field.matrix).strain
    return math.ceil(scale * field.reach(size / math.sqrt(2)) / max(1 - stretch, 0.1)) + 3


def _object(layer: Layer, size: int, cutouts: Cutouts, device: torch.device | str) -> _Moving:
    texels = object_texels(layer, cutouts, device)
    x, y = (size * v for v in layer.origin)
    return _Moving(texels, BORDER, (x, y), _field(layer), layer.moves)


def _seen(
    layer: _Moving, scales: Sequence[float], shutter: float, size: int, frame: bool = False
) -> tuple[torch.Tensor, Sequence[tuple[int, int]], torch.Tensor]:
    """Return a layer's samples, their corners and their truth, as `composite` takes them.

    Args:
        layer: the layer.
        scales: of its displacements.
        shutter: of the scene.
        size: side of the frames.
        frame: whether the layer fills the frame.
    """
    if not (layer.field.waves or layer.field.strain or shutter):
        return _shifted(layer, scales, size if frame else 0)
    corners, shape = (
        ([(0, 0)] * len(scales), (size, size)) if frame else _boxes(layer, scales, shutter)
    )
    samples, values = _view(layer, corners, shape, scales, shutter, size)
    return samples, corners, values


def _shifted(
    layer: _Moving, scales: Sequence[float], size: int
) -> tuple[torch.Tensor, list[tuple[int, int]], torch.Tensor]:
    """Shift a layer without deforming it; of a background, the `size` pixels of the frame."""
    places = [
        tuple(c + k * d for c, d in zip(layer.corner, layer.field.shift, strict=True))
        for k in scales
    ]
    whole = [(math.floor(x), math.floor(y)) for x, y in places]
    parts = [(x - left, y - top) for (x, y), (left, top) in zip(places, whole, strict=True)]
    texels = layer.texels.expand(len(scales), -1, -1, -1)
    corners = [(left - layer.margin + 2, top - layer.margin + 2) for left, top in whole]
    if size:
        texels = torch.stack(
            [layer.texels[:, -y : size + 4 - y, -x : size + 4 - x] for x, y in corners]
        )
    dx, dy = torch.tensor(parts, device=texels.device).T
    moved = [k * torch.tensor(layer.field.shift) for k in scales]
    values = torch.cat([torch.stack(moved), torch.full((len(scales), 1), float(layer.moves))], 1)
    return displace(texels, dx, dy), corners, values.to(texels)[:, :, None, None]


def _boxes(
    layer: _Moving, scales: Sequence[float], shutter: float
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return the corners of boxes that hold an object at each scale, and their shape."""
    still = replace(layer.field, shift=(0.0, 0.0))
    width, height = layer.extent
    far = max(abs(k) for k in scales)
    room = far * still.reach(math.hypot(width, height) / 2)
    room += far * abs(shutter) / 2 * math.hypot(*layer.field.shift)
    margin = math.ceil(room) + BORDER - 1
    moved = [
        [c + k * shift - margin for c, shift in zip(layer.corner, layer.field.shift, strict=True)]
        for k in scales
    ]
    corners = [(math.floor(x), math.floor(y)) for x, y in moved]
    return corners, (height + 2 * margin + 1, width + 2 * margin + 1)


def _view(
    layer: _Moving,
    corners: Sequence[tuple[int, int]],
    shape: tuple[int, int],
    scales: Sequence[float],
    shutter: float,
    size: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample a layer in boxes of frames, (G, C, h, w), and its truth there, (G, 3, h, w)."""
    device, count = layer.texels.device, len(scales)
    height, width = shape
    left, top = torch.tensor(corners, device=device, dtype=torch.float32).T[:, :, None]
    x = left + torch.arange(width, device=device)
    y = top + torch.arange(height, device=device)
    cx, cy = layer.centre
    points = torch.stack(
        [
            (x - cx)[:, None].expand(-1, height, -1),
            (y - cy)[:, :, None].expand(-1, -1, width),
        ],
        1,
    )
    rows = torch.tensor(scales, device=device)[:, None] * (1 + shutter * (y / (size - 1) - 0.5))
    fields = make_fields([layer.field] * count, device)
    places = material(fields, points, rows)
    middle = points.new_tensor([(side - 1) / 2 for side in layer.extent]) + layer.margin
    samples = sample(layer.texels.expand(count, -1, -1, -1), places + middle.view(1, 2, 1, 1))
    moves = torch.full_like(points[:, :1], float(layer.moves))
    return samples, torch.cat([points - places, moves], 1)
