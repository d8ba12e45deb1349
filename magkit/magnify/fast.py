"""`magnet-fast`: measures every displacement, then renders the frame displaced further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.lucas_kanade import (
    CELL,
    DAMPING,
    Equations,
    Share,
    exposure,
    pyramid,
    solve,
    splat,
    upsample,
    upsample_convex,
    warp,
)

DILATIONS = (1, 3, 9)  # cells: how far the equations are shared, step by step
COARSE_DILATIONS = (1, 3)  # likewise, for the coarse guess
SCALES = (3, 2, 1)  # the coarse guess is made on frames so often halved, one after the other
CLEAR = 0.3  # pixels: a guess far below this is dropped
MOTION_UNIT = 0.03  # pixels: displacements are shown to the networks by their logarithm
SHIFT_UNIT = 2.0  # cells: likewise for magnified displacements
COLOUR, SHARES = 3 * CELL**2, 36  # channels of paint, and of shares of neighbours
# Paint and its opacity, shares, correction; two idle ones to make a multiple of eight channels,
# which takes half the time.
OUTPUTS = [COLOUR + CELL**2, SHARES, 2, 2]


@dataclass(frozen=True, slots=True)
class Features:
    """A frame and what the encoder sees in it."""

    frames: torch.Tensor  # (N, 3, H, W)
    details: list[torch.Tensor]  # of its brightness; see `pyramid`
    texture: torch.Tensor  # (N, width, H/4, W/4)
    motion: torch.Tensor  # (N, width, H/4, W/4)


def conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """Make a 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation)


def silent(layer: nn.Conv2d, bias: Sequence[float] = (0.0,)) -> nn.Conv2d:
    """Let a layer start constant: what it corrects starts as least squares and a plain warp."""
    nn.init.zeros_(layer.weight)
    layer.bias = nn.Parameter(torch.tensor(bias).expand(layer.out_channels).clone())
    return layer


def signed_log(x: torch.Tensor) -> torch.Tensor:
    """Return sign(x) log(1 + |x|): every order of magnitude is shown alike."""
    return (1 + x.abs()).log().copysign(x)


class Encoder(nn.Module):
    """Frames to texture and motion features."""

    def __init__(self, width: int, stem: int) -> None:
        super().__init__()
        self.width = width
        # The last layer makes both branches at once, which takes less time than one layer each.
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
    """What the equations alone can't know: whom to share them with, what noise does to them."""

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
        self.leave = silent(nn.Conv2d(hidden, outputs, 1))

    def forward(self, clues: torch.Tensor) -> torch.Tensor:
        """Return advice (N, outputs, h, w) on clues (N, inputs, h, w), h and w even."""
        advice: torch.Tensor = self.leave(F.relu(self.near(clues) + upsample(self.far(clues), 2)))
        return advice


class Measure(nn.Module):
    """Two frames' features to the displacement between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.coarse = nn.ModuleList(Equations() for _ in SCALES)
        self.coarse_share = nn.ModuleList(Share(COARSE_DILATIONS) for _ in SCALES)
        self.equations = Equations()
        self.share = Share(DILATIONS)
        self.guide = Guide(width + 8, hidden, 9 * len(DILATIONS) + 4)

    def guess(self, reference: list[torch.Tensor], current: list[torch.Tensor]) -> torch.Tensor:
        """Return a coarse displacement in pixels (N, 2, H/4, W/4) of frames' details."""
        n, _, height, width = current[SCALES[0]].shape
        guess = current[0].new_zeros(n, 2, height // CELL, width // CELL)
        for scale, measure, share in zip(SCALES, self.coarse, self.coarse_share, strict=True):
            if scale != SCALES[0]:
                guess = upsample(guess, 2) * 2
            equations, _ = measure(reference[scale], current[scale], guess)
            none = equations.new_zeros(1, 9 * len(COARSE_DILATIONS), 1, 1)
            guess = solve(share(equations, none), equations.new_full((1, 1, 1, 1), DAMPING))
        return upsample(guess, 2) * 2

    def forward(self, reference: Features, current: Features) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the displacement in pixels and the guess it started from, (N, 2, H/4, W/4)."""
        gain = exposure(reference.details, current.details)
        after = [level * gain for level in current.details]
        guess = self.guess(reference.details, after)
        # What least squares see at once needs no guess, and no interpolation that comes with it.
        guess = guess * (guess.square() / (guess.square() + CLEAR**2))
        equations, error = self.equations(reference.details[0], after[0], guess)
        advice = self.guide(self.clues(current.motion, equations, error, guess)).contiguous()
        damping, bias = (advice[:, -4:-3] - 5).exp(), advice[:, -3:-2]
        # Noise and detail near the pixels' own scale make least squares read a few per cent off.
        motion = solve(self.share(equations, advice), damping) * (1 + 0.5 * bias.tanh())
        return motion, guess

    def clues(
        self,
        features: torch.Tensor,
        equations: torch.Tensor,
        error: torch.Tensor,
        guess: torch.Tensor,
    ) -> torch.Tensor:
        """Return all that the guide sees, (N, width + 8, h, w)."""
        near = F.avg_pool2d(equations, 3, 1, 1, count_include_pad=False)
        wide = F.avg_pool2d(F.avg_pool2d(equations, 2), 5, 1, 2, count_include_pad=False)
        floor = near.new_full((1, 1, 1, 1), 0.02)
        seen = torch.cat([solve(near, floor), upsample(solve(wide, floor), 2), guess], 1)
        energy = torch.cat([near[:, :1] + near[:, 2:3], error], 1)
        shown = [signed_log(seen / MOTION_UNIT) / 4, (energy + 1e-4).log() / 4]
        return join([features, *shown])


class Render(nn.Module):
    """A frame's features and a displacement to the frame displaced by that much."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.order = nn.Sequential(
            nn.Conv2d(width + 2, 16, 1), nn.ReLU(inplace=True), nn.Conv2d(16, 1, 1)
        )
        self.enter = conv(2 * width + 5, hidden)
        self.blocks = nn.ModuleList(conv(hidden, hidden, dilation=d) for d in (1, 2, 4, 1))
        # Hardly any paint at first, and that grey.
        start = [0.5] * COLOUR + [-3.0] * CELL**2 + [0.0] * sum(OUTPUTS[1:])
        self.leave = silent(nn.Conv2d(hidden, sum(OUTPUTS), 1), start)

    def forward(self, current: Features, shift: torch.Tensor) -> torch.Tensor:
        """Displace `current.frames` by `shift` pixels (N, 2, H/4, W/4)."""
        cells = shift / CELL
        shown = signed_log(cells / SHIFT_UNIT)
        nearness = self.order(join([current.texture, shown])).clamp(-8, 8).exp()
        thrown = splat(torch.cat([cells * nearness, nearness], 1), cells)
        weight = thrown[:, 2:] + 1e-3
        arrived = thrown[:, :2] / weight
        there = [signed_log(arrived / SHIFT_UNIT), weight.log() / 8, shown]
        state = join([current.texture, warp(current.texture, arrived), *there])
        hidden = F.relu(self.enter(state), inplace=True)
        for block in self.blocks:
            hidden = hidden + F.relu(block(hidden), inplace=True)
        paint, shares, correction, _ = torch.split(self.leave(hidden), OUTPUTS, 1)
        field = upsample_convex((arrived + correction) * CELL, shares.contiguous())
        warped = warp(current.frames, upsample(field, CELL // 2), mode="bicubic")
        colour, opacity = torch.split(F.pixel_shuffle(paint, CELL), [3, 1], 1)
        return warped + opacity.sigmoid() * (colour - warped)


def join(maps: list[torch.Tensor]) -> torch.Tensor:
    """Concatenate channels in the memory layout of the first, which the convolutions chose."""
    if maps[0].stride(1) == 1:
        maps = [m.contiguous(memory_format=torch.channels_last) for m in maps]
    return torch.cat(maps, 1)


class MagnetFast(nn.Module):
    """See the module's docstring."""

    stride = 32

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config.width, config.stem)
        self.measure = Measure(config.width, config.guide)
        self.renderer = Render(config.width, config.hidden)

    def encode(self, frames_NCHW: torch.Tensor) -> Features:
        """Encode frames in [0, 1], height and width multiples of 32."""
        features: Features = self.encoder(frames_NCHW)
        return features

    def motion(self, reference: Features, current: Features) -> torch.Tensor:
        """Return the displacement in pixels from reference to current, (N, 2, H/4, W/4)."""
        displacement: torch.Tensor = self.measure(reference, current)[0]
        return displacement

    def render(self, current: Features, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, H, W) in which `motion` is `factor` (N,) times as large."""
        frames: torch.Tensor = self.renderer(current, motion * (factor - 1).view(-1, 1, 1, 1))
        return frames


class FastEncoder(nn.Module):
    """What of it can be trained without labels: frames to the maps of both branches.

    The names in its state dict are those in `MagnetFast`'s.
    """

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config.width, config.stem)

    def forward(self, frames_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Encode frames in [0, 1] whose sides are multiples of 4."""
        texture, motion = self.encoder.branches(frames_NCHW)
        return {"texture": texture, "motion": motion}
