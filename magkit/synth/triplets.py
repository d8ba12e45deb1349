"""The record of a batch of triplets, and its degradations."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from PIL import Image

from magkit.runtime.seeds import generator
from magkit.synth.coding import Coding, Path, code, draw_coding, draw_path


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

    def at(self, rows: Sequence[int]) -> Triplets:
        """Return the scenes of some rows."""
        return Triplets(**{f.name: getattr(self, f.name)[list(rows)] for f in fields(self)})

    def to(self, device: torch.device | str) -> Triplets:
        """Move all tensors to a device."""
        return Triplets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


PHOTONS, CODING, READING, FILMING = 1, 4, 7, 8  # key prefixes of random draws
CODED_TOGETHER = 4  # scenes of consecutive numbers in a batch that one x264 stream holds
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


@dataclass(frozen=True, slots=True)
class Part:
    """The scenes of a batch that one process makes.

    Attributes:
        count: scenes of the whole batch, whose random draws do not depend on the part.
        own: the numbers in the batch of the scenes that are wanted.
        places: the numbers of those that are made: also what is coded together with a wanted one.
    """

    count: int
    own: range
    places: tuple[int, ...]

    def drawn(self, shape: torch.Size, draws: torch.Generator) -> torch.Tensor:
        """Return normal numbers for the scenes that are made, of (N, ...) as `shape`."""
        return torch.randn(self.count, *shape[1:], generator=draws)[list(self.places)]

    def wanted(self, made: Triplets) -> Triplets:
        """Return the wanted ones of the scenes that were made."""
        if self.places == tuple(self.own):
            return made
        return made.at([self.places.index(place) for place in self.own])


def whole(count: int) -> Part:
    """Return all scenes of a batch."""
    return Part(count, range(count), tuple(range(count)))


def batch_share(count: int, rank: int, world: int, kind: Degradation, seed: int, step: int) -> Part:
    """Return the scenes of batch `step` that process `rank` of `world` makes; see `degrade`.

    The shares of all processes, in order of their ranks, are the batch.
    """
    each = count // world
    own = range(rank * each, (rank + 1) * each)
    coded = _draw_clips(count, kind.x264, seed, step)[0] if kind.x264 and world > 1 else {}
    groups = {place // CODED_TOGETHER for place in coded if place in own}
    mates = [place for place in coded if place // CODED_TOGETHER in groups]
    return Part(count, own, tuple(sorted({*own, *mates})))


def degrade(
    batch: Triplets,
    kind: Degradation,
    seed: int,
    step: int,
    between: Between | None = None,
    part: Part | None = None,
) -> Triplets:
    """Return scenes of batch `step` with noise and compression: a pure function.

    Args:
        batch: clean scenes, those at `part.places`.
        kind: what is done to them.
        seed: of all draws.
        step: number of the batch.
        between: the frames of video between A and B, by row of `batch`. Without it, scenes rest at
            A, then at B.
        part: which scenes of the batch they are; None: all.

    Returns:
        The scenes at `part.own`, the same whatever the rest of the part.
    """
    clean, part = batch, part or whole(len(batch.factor))
    if kind.noise:
        batch = add_photon_noise(batch, generator(seed, PHOTONS, step), kind.noise, part)
    if kind.read_noise:
        batch = add_read_noise(batch, generator(seed, READING, step), kind.read_noise, part)
    if kind.x264:
        film = between or _rests(clean)
        batch = compress_x264(batch, clean, kind, seed, step, film, part)
    batch = part.wanted(batch)
    if kind.coded:
        batch = compress_jpeg(batch, generator(seed, CODING, step), kind.coded, part)
    return batch


def add_photon_noise(
    batch: Triplets, draws: torch.Generator, strength: float, part: Part | None = None
) -> Triplets:
    """Add noise that grows with intensity.

    Its standard deviation at value x in [0, 1] is n sqrt(2 x / 127.5) / 2 with n uniform in
    [0, strength], one a scene (Oh et al. 2018, section 4 and the authors' preprocessor, which
    draws n once for a whole training by mistake).
    """
    part = part or whole(len(batch.factor))
    n = _strengths(batch, draws, part) * strength

    def noisy(frames: torch.Tensor) -> torch.Tensor:
        return _noisy(frames, photon_spread(frames, n), part.drawn(frames.shape, draws))

    return replace(batch, a=noisy(batch.a), b=noisy(batch.b), c=noisy(batch.c))


def add_read_noise(
    batch: Triplets, draws: torch.Generator, strength: float, part: Part | None = None
) -> Triplets:
    """Add noise of constant deviation, one up to `strength` per scene."""
    part = part or whole(len(batch.factor))
    spread = _strengths(batch, draws, part) * strength
    a, b, c = (
        _noisy(frames, spread, part.drawn(frames.shape, draws))
        for frames in (batch.a, batch.b, batch.c)
    )
    return replace(batch, a=a, b=b, c=c)


def _strengths(batch: Triplets, draws: torch.Generator, part: Part) -> torch.Tensor:
    """Return a number in [0, 1) for each scene that is made, (N, 1, 1, 1)."""
    numbers = torch.rand(part.count, 1, 1, 1, generator=draws)
    return numbers[list(part.places)].to(batch.a.device)


def photon_spread(frames: torch.Tensor, strength: torch.Tensor | float) -> torch.Tensor:
    """Return the standard deviation of photon noise of a strength; see `add_photon_noise`."""
    return strength * (2 * frames / 127.5).sqrt() / 2


def _noisy(frames: torch.Tensor, spread: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    return (frames + spread * normal.to(frames.device)).clamp(0, 1)


def compress_x264(
    batch: Triplets,
    clean: Triplets,
    kind: Degradation,
    seed: int,
    step: int,
    between: Between,
    part: Part,
) -> Triplets:
    """Code a share of the scenes as H.264, A and B at random places of short clips.

    The clips of a batch have one length and one rate, and paths of their own. Their other frames
    have noise of the same strength. C differs from what it was in `clean` as B does. Clips that
    are coded in one stream change each other: the streams don't depend on the part.
    """
    paths, coding = _draw_clips(part.count, kind.x264, seed, step)
    photons, reading = (
        _strengths(batch, generator(seed, key, step), part) for key in (PHOTONS, READING)
    )
    streams = defaultdict[int, dict[int, torch.Tensor]](dict)
    for n, place in enumerate(part.places):
        if place in paths:
            path, draws = paths[place], generator(seed, FILMING, step, place)
            frames = between(n, [path.scales[t] for t in _others(path)])
            frames = _as_noisy(frames, kind.noise * photons[n], kind.read_noise * reading[n], draws)
            clip = _clip(frames, path, (batch.a[n], batch.b[n]), draws)
            streams[place // CODED_TOGETHER][n] = clip
    a, b, c = batch.a.clone(), batch.b.clone(), batch.c.clone()
    for clips in streams.values():
        coded = code(torch.stack(list(clips.values())), coding).to(a.device) / 255
        for n, clip in zip(clips, coded, strict=True):
            path = paths[part.places[n]]
            c[n] = (clean.c[n] + clip[path.b] - clean.b[n]).clamp(0, 1)
            a[n], b[n] = clip[path.a], clip[path.b]
    return replace(batch, a=a, b=b, c=c)


def _draw_clips(count: int, chance: float, seed: int, step: int) -> tuple[dict[int, Path], Coding]:
    """Return the paths of the scenes of a batch that are coded, by number, and the coding."""
    rng = np.random.default_rng([seed, FILMING, step])
    chosen = np.flatnonzero(rng.random(count) < chance).tolist()
    coding = draw_coding(rng)
    return {place: draw_path(rng, coding.frames) for place in chosen}, coding


def _others(path: Path) -> list[int]:
    """Return the frames of a clip that are neither A nor B."""
    return [t for t in range(len(path.scales)) if t not in (path.a, path.b)]


def _as_noisy(
    frames: torch.Tensor, photon: torch.Tensor, read: torch.Tensor, draws: torch.Generator
) -> torch.Tensor:
    """Add photon noise and read noise of the strengths that a scene has."""
    if photon:
        normal = torch.randn(frames.shape, generator=draws)
        frames = _noisy(frames, photon_spread(frames, photon), normal)
    if read:
        frames = _noisy(frames, read, torch.randn(frames.shape, generator=draws))
    return frames


def _clip(
    frames: torch.Tensor,
    path: Path,
    ends: tuple[torch.Tensor, torch.Tensor],
    draws: torch.Generator,
) -> torch.Tensor:
    """Return a clip (T, 3, H, W) in uint8, of A and B at their places and the other frames."""
    clip = torch.empty(len(path.scales), *frames.shape[1:], dtype=torch.uint8)
    dither = torch.rand(frames.shape, generator=draws)
    clip[_others(path)] = (frames.cpu() * 255 + dither).clamp(0, 255).byte()
    clip[path.a], clip[path.b] = ((frame * 255).round().byte() for frame in ends)
    return clip


def _rests(batch: Triplets) -> Between:
    def frames(n: int, scales: Sequence[float]) -> torch.Tensor:
        return torch.stack([(batch.a if scale < 0.5 else batch.b)[n] for scale in scales])

    return frames


def compress_jpeg(
    batch: Triplets, draws: torch.Generator, share: float, part: Part | None = None
) -> Triplets:
    """Compress a share of the scenes, those at `part.own`, as JPEG, each at one quality."""
    part = part or whole(len(batch.factor))
    chosen = torch.rand(part.count, generator=draws) < share
    qualities = torch.randint(*QUALITIES, (part.count,), generator=draws)
    frames = {name: getattr(batch, name).clone() for name in ("a", "b", "c")}
    for row, place in enumerate(part.own):
        if chosen[place]:
            for pictures in frames.values():
                pictures[row] = _as_jpeg(pictures[row], int(qualities[place]))
    return replace(batch, **frames)


def _as_jpeg(picture: torch.Tensor, quality: int) -> torch.Tensor:
    """Write a picture (3, H, W) as JPEG and read it again."""
    pixels = (picture * 255).round().to("cpu", torch.uint8).permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
