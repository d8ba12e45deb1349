"""`magnet-fast`: estimates displacements, then renders the frame displaced further; its loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.coherence import ROUNDING, confidence, explained, fill, without_noise
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.lucas_kanade import (
    CELL,
    DAMPING,
    Aggregation,
    NormalEquations,
    backward_warp,
    contrast_gain,
    convex,
    pyramid,
    residual_after,
    solve,
    splat,
    upsample,
    upsample_convex,
)
from magkit.magnify.matching import improve_guess
from magkit.magnify.sparse import Tiles
from magkit.synth.triplets import Triplets
from magkit.video.ssim import ssim_map

DILATIONS = (1, 3, 9)  # cells: distances of aggregation, step by step
COARSE_DILATIONS = (1, 3)  # likewise, for the coarse guess
SCALES = (3, 2, 1)  # pyramid levels of the coarse guess, in this order
MIN_GUESS = 0.3  # pixels: guesses far below this are suppressed
MOTION_UNIT = 0.03  # pixels: unit of displacements in the networks' logarithmic inputs
MAX_LOG_DAMPING = 12.0  # e^12 of the equations' unit: no motion at all
SHIFT_UNIT = 2.0  # cells: likewise of magnified displacements
STILL = 0.02  # pixels: displacements below this are not shown
DENSE = 0.6  # share of the tiles from which on all are rendered, which is then faster
BLOCKS = (1, 2, 4, 1)  # cells: dilations of the renderer's layers
COLOUR, SHARES = 3 * CELL**2, 36  # channels of new colours, and of neighbours' weights
# New colours and opacity, weights, correction; two unused ones make a multiple of eight channels,
# which takes half the time.
OUTPUTS = [COLOUR + CELL**2, SHARES, 2, 2]
STRUCTURE_WEIGHT = 0.1  # of 1 - SSIM in the loss
MOTION_WEIGHT, GUESS_WEIGHT = 0.06, 0.03  # of the errors of the displacement and of the guess


@dataclass(frozen=True, slots=True)
class Features:
    """A frame and its encoder features."""

    frames: torch.Tensor  # (N, 3, H, W)
    details: list[torch.Tensor]  # of its brightness; see `pyramid`
    texture: torch.Tensor  # (N, width, H/4, W/4)
    motion: torch.Tensor  # (N, width, H/4, W/4)


@dataclass(frozen=True, slots=True)
class Flow:
    """A displacement and what it moves to each cell, in cells."""

    cells: torch.Tensor  # (N, 2, h, w)
    arrived: torch.Tensor  # (N, 2, h, w)
    logs: torch.Tensor  # of both, and of the weight of what arrived, (N, 5, h, w)


def conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """Make a 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation)


def constant_init(layer: nn.Conv2d, bias: Sequence[float] = (0.0,)) -> nn.Conv2d:
    """Zero a layer's weights: the initial network is plain least squares and a warp."""
    nn.init.zeros_(layer.weight)
    layer.bias = nn.Parameter(torch.tensor(bias).expand(layer.out_channels).clone())
    return layer


def signed_log(x: torch.Tensor) -> torch.Tensor:
    """Return sign(x) log(1 + |x|), for inputs of many orders of magnitude."""
    return (1 + x.abs()).log().copysign(x)


class Encoder(nn.Module):
    """Frames to texture and motion features."""

    def __init__(self, width: int, stem: int) -> None:
        super().__init__()
        self.width = width
        # The last layer computes both branches at once, which is faster than one layer each.
        self.layers = nn.Sequential(
            nn.Conv2d(3, stem, 2 * CELL, CELL, CELL // 2),
            nn.ReLU(inplace=True),
            conv(stem, stem),
            nn.ReLU(inplace=True),
            conv(stem, 2 * width),
            nn.ReLU(inplace=True),
        )

    def forward(self, frames_NCHW: torch.Tensor) -> Features:
        """Encode frames in [0, 1] whose sides are multiples of 32."""
        red, green, blue = frames_NCHW.unbind(1)
        details = pyramid(((red + green + blue) / 3)[:, None])
        texture, motion = self.branches(frames_NCHW)
        return Features(frames_NCHW, details, texture, motion)

    def branches(self, frames_NCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the features of texture and of motion of frames in [0, 1]."""
        return self.layers(frames_NCHW - 0.5).split(self.width, 1)  # type: ignore[no-any-return]


class Guide(nn.Module):
    """Predicts weights of neighbours, damping and bias of the least-squares solution."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(inputs, hidden, 1)
        self.far = nn.Sequential(
            nn.Conv2d(inputs, hidden, 4, 2, 1),
            nn.ReLU(inplace=True),
            conv(hidden, hidden),
            nn.ReLU(inplace=True),
            conv(hidden, hidden, dilation=2),
            nn.ReLU(inplace=True),
            conv(hidden, hidden),
        )
        self.leave = constant_init(nn.Conv2d(hidden, outputs, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h, w), h and w even."""
        out: torch.Tensor = self.leave(F.relu(self.near(x) + upsample(self.far(x), 2)))
        return out


class DisplacementEstimator(nn.Module):
    """Maps two frames' features to the displacement between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.coarse = nn.ModuleList(NormalEquations() for _ in SCALES)
        self.coarse_share = nn.ModuleList(Aggregation(COARSE_DILATIONS) for _ in SCALES)
        self.equations = NormalEquations()
        self.share = Aggregation(DILATIONS)
        self.guide = Guide(width + 8, hidden, 9 * len(DILATIONS) + 4)

    def guess(self, reference: list[torch.Tensor], current: list[torch.Tensor]) -> torch.Tensor:
        """Return a coarse displacement in pixels (N, 2, H/4, W/4) of frames' details."""
        n, _, height, width = current[SCALES[0]].shape
        guess = current[0].new_zeros(n, 2, height // CELL, width // CELL)
        for scale, measure, share in zip(SCALES, self.coarse, self.coarse_share, strict=True):
            if scale != SCALES[0]:
                guess = upsample(guess, 2) * 2
            equations, _, _ = measure(reference[scale], current[scale], guess)
            none = equations.new_zeros(1, 9 * len(COARSE_DILATIONS), 1, 1)
            guess = solve(share(equations, none), equations.new_full((1, 1, 1, 1), DAMPING))
        return upsample(guess, 2) * 2

    def forward(self, reference: Features, current: Features) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the displacement in pixels and the guess it started from, (N, 2, H/4, W/4)."""
        gain = contrast_gain(reference.details, current.details)
        after = [level * gain for level in current.details]
        guess = self.guess(reference.details, after)
        pair = (reference.frames, current.frames * gain), (reference.details[1], after[1])
        guess = improve_guess(guess, *pair)
        # Small displacements need no guess, nor the interpolation that comes with it.
        guess = guess * (guess.square() / (guess.square() + MIN_GUESS**2))
        equations, error, rest = self.equations(reference.details[0], after[0], guess)
        inputs = self.guide_inputs(current.motion, equations, error, guess)
        logits = self.guide(inputs).contiguous()
        damping, bias = (logits[:, -4:-3] - 5).clamp(max=MAX_LOG_DAMPING).exp(), logits[:, -3:-2]
        # Noise and detail near the pixels' own scale bias least squares by a few per cent.
        motion = solve(self.share(equations, logits), damping) * (1 + 0.5 * bias.tanh())
        certainty = confidence(reference.details[1], after[1], motion)
        noise = residual_after(equations, rest, motion).flatten(1).median(1).values
        noise = noise.clamp(min=ROUNDING).view(-1, 1, 1, 1)
        motion = fill(motion, certainty, equations[:, :3], noise)
        return without_noise(motion, equations, rest), guess

    def guide_inputs(
        self,
        features: torch.Tensor,
        equations: torch.Tensor,
        error: torch.Tensor,
        guess: torch.Tensor,
    ) -> torch.Tensor:
        """Return the inputs of the guide, (N, width + 8, h, w)."""
        near = F.avg_pool2d(equations, 3, 1, 1, count_include_pad=False)
        wide = F.avg_pool2d(F.avg_pool2d(equations, 2), 5, 1, 2, count_include_pad=False)
        floor = near.new_full((1, 1, 1, 1), 0.02)
        solutions = torch.cat([solve(near, floor), upsample(solve(wide, floor), 2), guess], 1)
        energy = torch.cat([near[:, :1] + near[:, 2:3], error], 1)
        logs = [signed_log(solutions / MOTION_UNIT) / 4, (energy + 1e-4).log() / 4]
        return join([features, *logs])


class Renderer(nn.Module):
    """Renders a frame displaced by a field, from the frame's features."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.order = nn.Sequential(
            nn.Conv2d(width + 2, 16, 1), nn.ReLU(inplace=True), nn.Conv2d(16, 1, 1)
        )
        self.enter = conv(2 * width + 5, hidden)
        self.blocks = nn.ModuleList(conv(hidden, hidden, dilation=d) for d in BLOCKS)
        # New colours start grey and nearly transparent.
        start = [0.5] * COLOUR + [-3.0] * CELL**2 + [0.0] * sum(OUTPUTS[1:])
        self.leave = constant_init(nn.Conv2d(hidden, sum(OUTPUTS), 1), start)

    def forward(self, current: Features, shift: torch.Tensor) -> torch.Tensor:
        """Displace `current.frames` by `shift` pixels (N, 2, H/4, W/4).

        In evaluation mode still cells are copied, to the bit: cells in which, and in whose eight
        neighbours, neither `shift` nor what arrives is `STILL` pixels long.
        """
        flow = self.arrival(current, shift)
        if self.training:
            return self.render_all(current, flow)
        moving = self.moving(flow)
        if len(moving) == 1 and moving.mean() < DENSE:
            tiles = Tiles(moving, self.reaches())
            if tiles.share < DENSE:
                return self.render_tiles(current, flow, moving, tiles)
        pixels = F.interpolate(moving, scale_factor=CELL).bool()
        return torch.where(pixels, self.render_all(current, flow), current.frames)

    def arrival(self, current: Features, shift: torch.Tensor) -> Flow:
        """Splat the displacement."""
        cells = shift / CELL
        log_shift = signed_log(cells / SHIFT_UNIT)
        nearness = self.order(join([current.texture, log_shift])).clamp(-8, 8).exp()
        splatted = splat(torch.cat([cells * nearness, nearness], 1), cells)
        weight = splatted[:, 2:] + 1e-3
        arrived = splatted[:, :2] / weight
        logs = [signed_log(arrived / SHIFT_UNIT), weight.log() / 8, log_shift]
        return Flow(cells, arrived, torch.cat(logs, 1))

    def moving(self, flow: Flow) -> torch.Tensor:
        """Return 0 for still cells and 1 for others, (N, 1, h, w)."""
        lengths = torch.stack([flow.cells, flow.arrived]).square().sum(2, keepdim=True).amax(0)
        return F.max_pool2d((lengths >= (STILL / CELL) ** 2).float(), 3, 1, 1)

    def render_all(self, current: Features, flow: Flow) -> torch.Tensor:
        """Render every cell."""
        texture = backward_warp(current.texture, flow.arrived)
        state = join([current.texture, texture, flow.logs])
        hidden = F.relu(self.enter(state), inplace=True)
        for block in self.blocks:
            hidden = hidden + F.relu(block(hidden), inplace=True)
        paint, shares, correction, _ = torch.split(self.leave(hidden), OUTPUTS, 1)
        field = upsample_convex((flow.arrived + correction) * CELL, shares.contiguous())
        warped = backward_warp(current.frames, upsample(field, CELL // 2), mode="bicubic")
        return painted(paint, warped)

    def reaches(self) -> list[int]:
        """Return how many cells around those shown each step computes, the first step first."""
        # From the output: pixels, field at half resolution, layers from the last to the first.
        back = [0, 1, 1, *reversed(BLOCKS), 1]
        return list(accumulate(back))[::-1]

    def render_tiles(
        self, current: Features, flow: Flow, moving: torch.Tensor, tiles: Tiles
    ) -> torch.Tensor:
        """Render the cells of tiles; see `render_all`."""
        first, second, *counts, doubled, shown = tiles.sizes
        if not shown:
            return current.frames
        arrived = tiles.take(flow.arrived, first)
        texture = tiles.warp(current.texture, arrived)
        state = join([tiles.take(current.texture, first), texture, tiles.take(flow.logs, first)])
        hidden = F.relu(inner(self.enter, tiles.surround(state, second, 1)), inplace=True)
        for block, dilation, count in zip(self.blocks, BLOCKS, counts, strict=True):
            assert isinstance(block, nn.Conv2d)
            around = tiles.surround(hidden, count, dilation)
            hidden = hidden[:count].add_(F.relu(inner(block, around), inplace=True))
        paint, shares, correction, _ = torch.split(self.leave(hidden), OUTPUTS, 1)
        field = flow.arrived.clone()
        tiles.put(field, arrived[: len(hidden)] + correction)
        around = tiles.take(field, doubled, halo=1) * CELL
        half = field.new_empty(1, 2, 2 * tiles.height, 2 * tiles.width)
        tiles.put(half, convex(around, shares[:doubled].contiguous()), 2)
        field = upsample(tiles.take(half, shown, halo=1, scale=2), CELL // 2)[..., 2:-2, 2:-2]
        warped = tiles.warp(current.frames, field, mode="bicubic")
        made = painted(paint[:shown], warped)
        pixels = F.interpolate(tiles.take(moving, shown), scale_factor=CELL).bool()
        frames = current.frames.clone()
        tiles.put(frames, torch.where(pixels, made, tiles.take(frames, shown, scale=CELL)), CELL)
        return frames


def inner(layer: nn.Conv2d, maps: torch.Tensor) -> torch.Tensor:
    """Apply a convolution where it needs no padding."""
    return F.conv2d(maps, layer.weight, layer.bias, dilation=layer.dilation)


def painted(paint: torch.Tensor, warped: torch.Tensor) -> torch.Tensor:
    """Blend new colours and their opacity (N, 64, h, w) into pictures (N, 3, 4h, 4w)."""
    colour, opacity = torch.split(F.pixel_shuffle(paint, CELL), [3, 1], 1)
    return warped + opacity.sigmoid() * (colour - warped)


def join(maps: list[torch.Tensor]) -> torch.Tensor:
    """Concatenate channels in the memory format of the first map."""
    if maps[0].stride(1) == 1:
        maps = [m.contiguous(memory_format=torch.channels_last) for m in maps]
    return torch.cat(maps, 1)


class MagnetFast(nn.Module):
    """Encoder, displacement estimator and renderer."""

    stride = 32
    cell = CELL

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config.width, config.stem)
        self.measure = DisplacementEstimator(config.width, config.guide)
        self.renderer = Renderer(config.width, config.hidden)

    def encode(self, frames_NCHW: torch.Tensor) -> Features:
        """Encode frames in [0, 1], height and width multiples of 32."""
        features: Features = self.encoder(frames_NCHW)
        return features

    def motion(self, reference: Features, current: Features) -> torch.Tensor:
        """Return the displacement in pixels from reference to current, (N, 2, H/4, W/4)."""
        displacement: torch.Tensor = self.measure(reference, current)[0]
        return displacement

    def average(self, first: Features, others: Iterable[Features]) -> Features:
        """Return the features of the mean of frames, aligned to the first.

        A frame counts where its displacement explains what changed; see `explained`.
        """
        total, weight = first.frames, torch.ones_like(first.frames[:, :1])
        for other in others:
            field = self.motion(other, first)
            gain = contrast_gain(first.details, other.details)
            pair = other.details[1] * gain, first.details[1]
            certainty = upsample(explained(*pair, field), CELL)
            moved = backward_warp(other.frames, upsample(field, CELL), mode="bicubic")
            total, weight = total + certainty * moved, weight + certainty
            del other
        return self.encode((total / weight).clamp(0, 1))

    def render(self, current: Features, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, H, W) in which `motion` is `factor` (N,) times as large."""
        frames: torch.Tensor = self.renderer(current, motion * (factor - 1).view(-1, 1, 1, 1))
        return frames


class FastEncoder(nn.Module):
    """The encoder alone, for pretraining; its state dict is a part of `MagnetFast`'s."""

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config.width, config.stem)

    def forward(self, frames_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Encode frames in [0, 1] whose sides are multiples of 4."""
        texture, motion = self.encoder.branches(frames_NCHW)
        return {"texture": texture, "motion": motion}


def fast_losses(model: MagnetFast, batch: Triplets) -> dict[str, torch.Tensor]:
    """Return the loss of `magnet-fast`.

    L1 over the frame, the moving region counted threefold; 1 - SSIM; and the error of the
    displacement, which scenes know exactly: of asinh(d / unit), relative for large displacements,
    and in units of 0.02 px for the smallest, which would else have no weight.
    """
    a, b = model.encode(batch.a), model.encode(batch.b)
    motion, guess = model.measure(a, b)
    frames = model.render(b, motion, batch.factor)
    truth = F.avg_pool2d(batch.motion, CELL)
    error = (frames - batch.m).abs()
    return {
        "image": (error * (1 + 2 * batch.moving)).mean(),
        "structure": STRUCTURE_WEIGHT * (1 - ssim_map(frames, batch.m).mean()),
        "motion": MOTION_WEIGHT * _motion_error(motion, truth, 0.02),
        "guess": GUESS_WEIGHT * _motion_error(guess, truth, 0.3),
    }


def _motion_error(motion: torch.Tensor, truth: torch.Tensor, unit: float) -> torch.Tensor:
    return (torch.asinh(motion / unit) - torch.asinh(truth / unit)).abs().mean()
