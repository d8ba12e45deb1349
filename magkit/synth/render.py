"""Scenes rendered in batches: layers displaced with sub-pixel accuracy and composited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from magkit.synth.scene import Layer, Scene, SceneConfig
from magkit.synth.sources import Cutouts, Pictures, resize
from magkit.synth.triplets import Triplets


def spline_taps(fractions: torch.Tensor) -> torch.Tensor:
    """Return the weights (N, 5) that displace by `fractions` (N,) in [0, 1) pixels.

    out[n] = sum_j taps[j] * texel[n + 2 - j]; they sum to one. Source: Unser, "Splines: a perfect
    fit for signal and image processing", 1999, equation 4 with n = 3.
    """
    # A cubic B-spline covers four samples; with a fifth any fraction has the same first sample.
    offsets = torch.arange(-2, 3, device=fractions.device, dtype=fractions.dtype)
    distance = (offsets[None] - fractions[:, None]).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def displace(layers: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    """Sample layers at displacements of less than a pixel.

    Args:
        layers: texels (N, C, h, w).
        dx: displacement to the right in pixels, in [0, 1), (N,).
        dy: displacement downwards, likewise.

    Returns:
        Samples (N, C, h - 4, w - 4): two texels are used up at every side.
    """
    # Sums of shifted copies: two to three times as fast as grouped convolutions on a CPU.
    across, down = (spline_taps(d).to(layers).flip(1) for d in (dx, dy))
    return _filter(_filter(layers, across, 3), down, 2)


def _filter(layers: torch.Tensor, taps: torch.Tensor, dim: int) -> torch.Tensor:
    """Correlate (N, C, h, w) with each layer's own taps (N, k) along one dimension."""
    weights = taps[:, :, None, None, None].unbind(1)
    size = layers.shape[dim] - len(weights) + 1
    out = layers.narrow(dim, 0, size) * weights[0]
    for offset, weight in enumerate(weights[1:], 1):
        out.addcmul_(layers.narrow(dim, offset, size), weight)
    return out


def sharpen(image: torch.Tensor) -> torch.Tensor:
    """Undo most of the spline's blur: (C, h, w) -> the same size.

    The first term of the inverse of the spline's samples [1, 4, 1] / 6, which is [-1, 8, -1] / 6.
    """
    for dim in (2, 1):
        size = image.shape[dim]
        first, last = image.narrow(dim, 0, 1), image.narrow(dim, size - 1, 1)
        padded = torch.cat([first, image, last], dim)
        beside = padded.narrow(dim, 0, size) + padded.narrow(dim, 2, size)
        image = (image * (8 / 6)).sub_(beside, alpha=1 / 6)
    return image


BORDER = 4  # empty texels around an object: the spline reaches two beyond it, displaced one more
BLUR = 4.0  # pixels: standard deviation of a low-contrast background's blur


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
    canvas, truth = _backgrounds(scenes, config, sources, device)
    sprites = [
        _sprite(n, layer, sources, device) for n, s in enumerate(scenes) for layer in s.layers
    ]
    _displace_sprites(sprites, scenes, config)
    for sprite in sprites:
        _composite(sprite, canvas[sprite.scene], truth[sprite.scene])
    return _finish(scenes, canvas, truth, quantise)


def _geometries(motion: tuple[float, float], factor: float) -> tuple[tuple[float, float], ...]:
    """Return the displacements (x, y) of a layer in A, B and M."""
    x, y = motion
    return (0.0, 0.0), (x, y), (factor * x, factor * y)


def _backgrounds(
    scenes: Sequence[Scene], config: SceneConfig, sources: Sources, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return background frames and their ground truth, each (N, G, 3, H, W)."""
    windows, fractions = [], []
    for scene in scenes:
        texels = _background_texels(scene, config, sources, device)
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


def _background_texels(
    scene: Scene, config: SceneConfig, sources: Sources, device: torch.device | str
) -> torch.Tensor:
    picture = sources.pictures.picture(scene.background)
    side = config.size + 2 * config.margin
    height, width = picture.shape[-2:]
    window = int(min(side * scene.zoom, height, width))
    x0, y0 = int(scene.corner[0] * (width - window)), int(scene.corner[1] * (height - window))
    cut = picture[:, y0 : y0 + window, x0 : x0 + window].to(device).float() / 255
    texels = resize(cut, side, side)
    if scene.flip:
        texels = texels.flip(-1)
    if scene.kind == "low-contrast":
        return blur(texels, BLUR)
    return sharpen(texels).clamp(0, 1)


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (C, h, w) with a Gaussian of `sigma` pixels, the border repeated."""
    reach = int(3 * sigma + 0.5)
    taps = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    taps = torch.exp(-(taps**2) / (2 * sigma**2))
    taps = taps / taps.sum()
    padded = F.pad(image[:, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))[:, 0]


def _sprite(scene: int, layer: Layer, sources: Sources, device: torch.device | str) -> _Sprite:
    rgba = sources.cutouts.cutout(layer.number, layer.extent).to(device)
    if layer.flip:
        rgba = rgba.flip(-1)
    colour, alpha = sharpen(rgba[:3]).clamp(0, 1), rgba[3:]
    return _Sprite(scene, layer, F.pad(torch.cat([colour * alpha, alpha]), (BORDER,) * 4))


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


def _composite(sprite: _Sprite, canvas: torch.Tensor, truth: torch.Tensor) -> None:
    """Composite an object on the frames (G, 3, H, W) of its scene and on their ground truth."""
    assert sprite.samples is not None
    assert sprite.corners is not None
    size = canvas.shape[-1]
    motion = sprite.layer.motion
    value = canvas.new_tensor([*motion, float(any(motion))])[:, None, None]
    for g, (left, top) in enumerate(sprite.corners):
        height, width = sprite.samples.shape[-2:]
        y0, y1 = max(top, 0), min(top + height, size)
        x0, x1 = max(left, 0), min(left + width, size)
        if y0 >= y1 or x0 >= x1:
            continue
        part = sprite.samples[g, :, y0 - top : y1 - top, x0 - left : x1 - left]
        alpha = part[3:]
        canvas[g, :, y0:y1, x0:x1].mul_(1 - alpha).add_(part[:3])
        truth[g, :, y0:y1, x0:x1].lerp_(value, alpha)


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


def _uniform(seed: int, shape: torch.Size) -> torch.Tensor:
    # On the CPU, for the same dither on all devices.
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
