"""Scenes rendered in batches: layers displaced with sub-pixel accuracy and composited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from magkit.synth.instants import render_instants, render_scene
from magkit.synth.layers import BORDER, background_texels, composite, displace, object_texels
from magkit.synth.records import Flicker, Layer, Scene, SceneConfig
from magkit.synth.sources import Cutouts, Pictures
from magkit.synth.triplets import Triplets


@dataclass(frozen=True, slots=True)
class Sources:
    """The pictures and objects of scenes."""

    pictures: Pictures
    cutouts: Cutouts


@dataclass(slots=True)
class _Sprite:
    """An object's premultiplied RGBA texels with an empty border."""

    scene: int
    layer: Layer
    texels: torch.Tensor
    samples: torch.Tensor | None = None  # (G, 4, h, w), displaced by the fractions
    corners: list[tuple[int, int]] | None = None  # G pairs (x, y) of whole pixels


def render(
    scenes: Sequence[Scene],
    config: SceneConfig,
    sources: Sources,
    device: torch.device | str = "cpu",
    *,
    quantise: bool = True,
) -> Triplets:
    """Render scenes exactly: every displacement to the precision of float32.

    Returns:
        Triplets of frames in [0, 1]; where `quantise`, rounded to multiples of 1/255 after
        uniform dither, so that no displacement is lost between two grey levels.

    Raises:
        ValueError: a background moves further than `config.margin` allows for.
    """
    sources.pictures.prepare(scene.background for scene in scenes)
    sources.cutouts.prepare(layer.number for scene in scenes for layer in scene.layers)
    shape = (len(scenes), 3, 3, config.size, config.size)
    canvas, truth = torch.empty(shape, device=device), torch.empty(shape, device=device)
    shifted = [n for n, scene in enumerate(scenes) if scene.is_shifted]
    if shifted:
        parts = _render_shifted([scenes[n] for n in shifted], config, sources, device)
        canvas[shifted], truth[shifted] = parts
    for n, scene in enumerate(scenes):
        if not scene.is_shifted:
            canvas[n], truth[n] = render_scene(scene, config.size, sources, device)
    return _finish(scenes, canvas, truth, quantise)


def _render_shifted(
    scenes: Sequence[Scene], config: SceneConfig, sources: Sources, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render scenes whose layers are shifted alone; frames and their truth, (N, 3, 3, H, W)."""
    canvas, truth = _backgrounds(scenes, config, sources, device)
    sprites = [
        _Sprite(n, layer, object_texels(layer, sources.cutouts, device))
        for n, scene in enumerate(scenes)
        for layer in scene.layers
    ]
    _displace_sprites(sprites, scenes, config)
    for sprite in sprites:
        assert sprite.samples is not None
        assert sprite.corners is not None
        motion = sprite.layer.motion
        value = canvas.new_tensor([*motion, float(any(motion))]).view(1, 3, 1, 1)
        n = sprite.scene
        composite(canvas[n], truth[n], sprite.samples, sprite.corners, value.expand(3, -1, -1, -1))
    return canvas, truth


def render_path(
    scene: Scene,
    size: int,
    sources: Sources,
    scales: Sequence[float],
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Render frames (T, 3, size, size) of a clip in which the motion from A to B is scaled.

    Colours change along with the motion: as in A at 0, as in B at 1. Nothing is quantised, nor
    exposed for longer than an instant.
    """
    canvas, _ = render_instants(scene, size, scales, sources, device)
    share = torch.tensor(scales, device=device).clamp(0, 1).view(-1, 1, 1, 1)
    gain, offset = (
        torch.tensor(v, device=device).view(3, 1, 1) for v in (scene.gain, scene.offset)
    )
    gain = gain * _flicker(scene.flicker, size).to(device)
    return (canvas * (1 + share * (gain - 1)) + share * offset).clamp(0, 1)


def _geometries(motion: tuple[float, float], factor: float) -> tuple[tuple[float, float], ...]:
    """Return the displacements (x, y) of a layer in A, B and M."""
    x, y = motion
    return (0.0, 0.0), (x, y), (factor * x, factor * y)


def _backgrounds(
    scenes: Sequence[Scene], config: SceneConfig, sources: Sources, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return background frames and their ground truth, each (N, G, 3, H, W)."""
    windows, fractions = [], []
    side = config.size + 2 * config.margin
    for scene in scenes:
        texels = background_texels(scene, side, sources.pictures, device)
        for x, y in _geometries(scene.motion, scene.factor):
            left, top = int(x // 1), int(y // 1)
            if max(abs(left), abs(top)) > config.margin - 2:
                raise ValueError(f"a background moves by ({x:g}, {y:g}): beyond its margin")
            fractions.append((x - left, y - top))
            # A motion to the right brings in what lies to the left of the frame.
            x0, y0 = config.margin - 2 - left, config.margin - 2 - top
            windows.append(texels[:, y0 : y0 + config.size + 4, x0 : x0 + config.size + 4])
    dx, dy = torch.tensor(fractions, device=device, dtype=torch.float32).T
    frames = displace(torch.stack(windows), dx, dy)
    canvas = frames.view(len(scenes), 3, *frames.shape[1:])
    motions = torch.tensor([(*s.motion, float(any(s.motion))) for s in scenes], device=device)
    truth = motions[:, None, :, None, None].expand(-1, 3, -1, config.size, config.size)
    return canvas, truth.contiguous()


def _displace_sprites(sprites: list[_Sprite], scenes: Sequence[Scene], config: SceneConfig) -> None:
    """Displace all objects, in groups of similar size."""
    buckets: defaultdict[int, list[_Sprite]] = defaultdict(list)
    for sprite in sprites:
        buckets[-(-max(sprite.texels.shape[-2:]) // 16) * 16].append(sprite)
    for side, bucket in buckets.items():
        texels, fractions = [], []
        for sprite in bucket:
            height, width = sprite.texels.shape[-2:]
            texels += [F.pad(sprite.texels, (0, side - width, 0, side - height))] * 3
            x, y = (config.size * v for v in sprite.layer.origin)
            sprite.corners = []
            for dx, dy in _geometries(sprite.layer.motion, scenes[sprite.scene].factor):
                left, top = int((x + dx) // 1), int((y + dy) // 1)
                sprite.corners.append((left - BORDER + 2, top - BORDER + 2))
                fractions.append((x + dx - left, y + dy - top))
        fx, fy = torch.tensor(fractions, device=texels[0].device, dtype=torch.float32).T
        moved = displace(torch.stack(texels), fx, fy)
        for sprite, samples in zip(
            bucket, moved.view(len(bucket), 3, *moved.shape[1:]), strict=True
        ):
            height, width = sprite.texels.shape[-2:]
            sprite.samples = samples[..., : height - 4, : width - 4]


def _finish(
    scenes: Sequence[Scene],
    canvas: torch.Tensor,
    truth: torch.Tensor,
    quantise: bool,
) -> Triplets:
    """Change the colours of B and M, dither and round all frames to 8 bit."""
    device = canvas.device
    gain = torch.tensor([s.gain for s in scenes], device=device)[:, :, None, None]
    offset = torch.tensor([s.offset for s in scenes], device=device)[:, :, None, None]
    plain_a, plain_b, plain_m = canvas.unbind(1)
    if any(scene.flicker for scene in scenes):
        gain = gain * torch.stack([_flicker(s.flicker, canvas.shape[-1]) for s in scenes]).to(
            device
        )
    frames = torch.stack([plain_a, plain_b * gain + offset, plain_b, plain_m * gain + offset], 1)
    if quantise:
        dither = torch.stack([_uniform(s.noise_seed, frames.shape[1:]) for s in scenes])
        frames = frames.mul_(255).add_(dither.to(device)).floor_().div_(255)
    frames.clamp_(0, 1)
    a, b, c, m = frames.unbind(1)
    return Triplets(
        a=a,
        b=b,
        c=c,
        m=m,
        factor=torch.tensor([s.factor for s in scenes], device=device),
        motion=truth[:, 1, :2],
        moving=truth[:, :, 2].amax(1, keepdim=True),
    )


def _flicker(flicker: Flicker | None, size: int) -> torch.Tensor:
    """Return the gain of the light at every place of a frame, (1, size, size)."""
    if flicker is None:
        return torch.ones(1, size, size)
    places = torch.linspace(-0.5, 0.5, size)
    x, y = flicker.vector
    return (
        1
        + flicker.depth * (x * places[None, None] + y * places[None, :, None] + flicker.phase).sin()
    )


def _uniform(seed: int, shape: torch.Size) -> torch.Tensor:
    # On the CPU, for the same dither on all devices.
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
