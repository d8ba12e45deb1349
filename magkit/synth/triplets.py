"""The record of a batch of triplets, and its degradations."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from PIL import Image

from magkit.runtime.seeds import generator
from magkit.synth.coding import code, draw_coding, draw_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplets:
    """N scenes: two frames, the magnified one, and what is known about them.

    Frames are float RGB (N, 3, H, W) in [0, 1].

    Attributes:
        a: the frame before the motion.
        b: the frame after it, its colours changed.
        c: `b` without the change of colour.
        m: the frame in which the motion from a to b is `factor` times as large, coloured like b.
        factor: (N,).
        motion: displacement (x, y) in pixels from a to b of what b shows, (N, 2, H, W).
        moving: in [0, 1], where something that moves is seen in a, b or m, (N, 1, H, W).
    """

    a: torch.Tensor
    b: torch.Tensor
    c: torch.Tensor
    m: torch.Tensor
    factor: torch.Tensor
    motion: torch.Tensor
    moving: torch.Tensor

    def split(self, parts: int) -> list[Triplets]:
        """Split into equal parts, at most one per scene."""
        tables = {f.name: getattr(self, f.name).chunk(parts) for f in fields(self)}
        rows = zip(*tables.values(), strict=True)
        return [Triplets(**dict(zip(tables, row, strict=True))) for row in rows]

    def to(self, device: torch.device | str) -> Triplets:
        """Move all tensors to a device."""
        return Triplets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


PHOTONS, CODING, READING, FILMING = 1, 4, 7, 8  # key prefixes of random draws
QUALITIES = (60, 99)  # of JPEG: from visible blocks to hardly any loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """Degradation of A, B and C, not of M; defaults of Oh et al., ECCV 2018, section 4."""

    noise: float = field(default=0.3, metadata={"help": "greatest strength of photon noise"})
    read_noise: float = field(
        default=0.0, metadata={"help": "greatest standard deviation of read noise; 1 is white"}
    )
    coded: float = field(default=0.0, metadata={"help": "share of scenes coded as JPEG"})
    x264: float = field(default=0.0, metadata={"help": "share of scenes coded as H.264"})

    def __post_init__(self) -> None:
        for name in ("noise", "read_noise", "coded", "x264"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1]")


CLEAN = Degradation(noise=0.0)


Between = Callable[[int, Sequence[float]], torch.Tensor]
"""Frames (T, 3, H, W) of scene n of a batch, displaced by multiples of its motion from A to B."""


def degrade(
    batch: Triplets, kind: Degradation, seed: int, step: int, between: Between | None = None
) -> Triplets:
    """Return batch `step` with noise and compression: a pure function.

    Args:
        batch: clean scenes.
        kind: what is done to them.
        seed: of all draws.
        step: number of the batch.
        between: the frames of video between A and B. Without it, scenes rest at A, then at B.
    """
    clean = batch
    if kind.noise:
        batch = add_photon_noise(batch, generator(seed, PHOTONS, step), kind.noise)
    if kind.read_noise:
        batch = add_read_noise(batch, generator(seed, READING, step), kind.read_noise)
    if kind.x264:
        batch = compress_x264(batch, clean, kind, seed, step, between or _rests(clean))
    if kind.coded:
        batch = compress_jpeg(batch, generator(seed, CODING, step), kind.coded)
    return batch


def add_photon_noise(batch: Triplets, draws: torch.Generator, strength: float) -> Triplets:
    """Add noise that grows with intensity.

    Its standard deviation at value x in [0, 1] is n sqrt(2 x / 127.5) / 2 with n uniform in
    [0, strength], one a scene (Oh et al. 2018, section 4 and the authors' preprocessor, which
    draws n once for a whole training by mistake).
    """
    n = _strengths(batch, draws) * strength

    def noisy(frames: torch.Tensor) -> torch.Tensor:
        return _noisy(frames, photon_spread(frames, n), draws)

    return replace(batch, a=noisy(batch.a), b=noisy(batch.b), c=noisy(batch.c))


def add_read_noise(batch: Triplets, draws: torch.Generator, strength: float) -> Triplets:
    """Add noise of constant deviation, one up to `strength` per scene."""
    spread = _strengths(batch, draws) * strength
    a, b, c = (_noisy(frames, spread, draws) for frames in (batch.a, batch.b, batch.c))
    return replace(batch, a=a, b=b, c=c)


def _strengths(batch: Triplets, draws: torch.Generator) -> torch.Tensor:
    """Return a number in [0, 1) for each scene, (N, 1, 1, 1)."""
    return torch.rand(len(batch.factor), 1, 1, 1, generator=draws).to(batch.a.device)


def photon_spread(frames: torch.Tensor, strength: torch.Tensor | float) -> torch.Tensor:
    """Return the standard deviation of photon noise of a strength; see `add_photon_noise`."""
    return strength * (2 * frames / 127.5).sqrt() / 2


def _noisy(frames: torch.Tensor, spread: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    normal = torch.randn(frames.shape, generator=draws).to(frames.device)
    return (frames + spread * normal).clamp(0, 1)


def compress_x264(
    batch: Triplets, clean: Triplets, kind: Degradation, seed: int, step: int, between: Between
) -> Triplets:
    """Code a share of the scenes as H.264, A and B at random places of short clips.

    The clips of a batch have one length and one rate, and paths of their own. Their other frames
    have noise of the same strength. C differs from what it was in `clean` as B does.
    """
    rng = np.random.default_rng([seed, FILMING, step])
    chosen = np.flatnonzero(rng.random(len(batch.factor)) < kind.x264).tolist()
    coding = draw_coding(rng)
    paths = [draw_path(rng, coding.frames) for _ in chosen]
    if not chosen:
        return batch
    draws = generator(seed, FILMING, step)
    photons, reading = (_strengths(batch, generator(seed, key, step)) for key in (PHOTONS, READING))
    clips = []
    for n, path in zip(chosen, paths, strict=True):
        others = [t for t in range(coding.frames) if t not in (path.a, path.b)]
        frames = between(n, [path.scales[t] for t in others])
        if kind.noise:
            frames = _noisy(frames, photon_spread(frames, kind.noise * photons[n]), draws)
        if kind.read_noise:
            frames = _noisy(frames, kind.read_noise * reading[n], draws)
        clip = torch.empty(coding.frames, *batch.a.shape[1:], dtype=torch.uint8)
        dither = torch.rand(frames.shape, generator=draws)
        clip[others] = (frames.cpu() * 255 + dither).clamp(0, 255).byte()
        clip[path.a], clip[path.b] = ((f[n] * 255).round().byte() for f in (batch.a, batch.b))
        clips.append(clip)
    coded = code(torch.stack(clips), coding).to(batch.a.device) / 255
    a, b, c = batch.a.clone(), batch.b.clone(), batch.c.clone()
    for n, path, clip in zip(chosen, paths, coded, strict=True):
        c[n] = (clean.c[n] + clip[path.b] - clean.b[n]).clamp(0, 1)
        a[n], b[n] = clip[path.a], clip[path.b]
    return replace(batch, a=a, b=b, c=c)


def _rests(batch: Triplets) -> Between:
    def frames(n: int, scales: Sequence[float]) -> torch.Tensor:
        return torch.stack([(batch.a if scale < 0.5 else batch.b)[n] for scale in scales])

    return frames


def compress_jpeg(batch: Triplets, draws: torch.Generator, share: float) -> Triplets:
    """Compress a share of the scenes as JPEG, each at one quality."""
    chosen = torch.rand(len(batch.factor), generator=draws) < share
    qualities = torch.randint(*QUALITIES, (len(batch.factor),), generator=draws)
    frames = {name: getattr(batch, name).clone() for name in ("a", "b", "c")}
    for index in chosen.nonzero().flatten().tolist():
        for pictures in frames.values():
            pictures[index] = _as_jpeg(pictures[index], int(qualities[index]))
    return replace(batch, **frames)


def _as_jpeg(picture: torch.Tensor, quality: int) -> torch.Tensor:
    """Write a picture (3, H, W) as JPEG and read it again."""
    pixels = (picture * 255).round().to("cpu", torch.uint8).permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
