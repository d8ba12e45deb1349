"""`magnet-fast`: measure the displacement of every place, then draw the frame displaced further.

    frames -> texture and motion features at 1/4 of the resolution       (encode)
           -> a guess of the displacement, from frames 8, 4 and 2 times smaller
           -> least-squares equations of each 4 x 4 cell, shared among cells that move alike
           -> displacement at 1/4, linear in the true one, in pixels      (motion)
           -> features thrown to where (factor - 1) times it takes them
           -> a field that warps the frame, and paint for what was hidden (render)

All is convolution at 1/4 of the resolution or below, but for the equations' filters and two warps.
The motion representation is a displacement in pixels: to filter it over time and to scale it is
exact by construction, not something a network has to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.networks.fast_spec import FastConfig
from magkit.magnify.networks.geometry import (
    splat,
    upsample,
    upsample_convex,
    warp,
)
from magkit.magnify.networks.lucas_kanade import CELL, DAMPING, Equations, Share, equalise, solve

DILATIONS = (1, 2, 4, 8)  # cells: how far the equations are shared, step by step
COARSE_DILATIONS = (1, 2, 4)  # likewise, for the coarse guess
SCALES = (8, 4, 2)  # the coarse guess is made on frames so many times smaller, one after the other
CLEAR = 0.3  # pixels: a guess far below this is dropped
MOTION_UNIT = 0.03  # pixels: displacements are shown to the networks as asinh(d / unit)
SHIFT_UNIT = 2.0  # cells: likewise for magnified displacements
OUTPUTS = [2, 36, 4 * CELL**2]  # channels: correction, shares of neighbours, paint and its opacity


@dataclass(frozen=True, slots=True)
class Features:
    """A frame and what the encoder sees in it."""

    frames: torch.Tensor  # (N, 3, H, W)
    texture: torch.Tensor  # (N, width, H/4, W/4)
    motion: torch.Tensor  # (N, width, H/4, W/4)


def conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """Make a 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation)


def silent(layer: nn.Conv2d) -> nn.Conv2d:
    """Let a layer start at nought: what it corrects starts as least squares and a plain warp."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class Encoder(nn.Module):
    """Frames to texture and motion features."""

    def __init__(self, width: int, stem: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(CELL),
            conv(48, stem),
            nn.ReLU(inplace=True),
            conv(stem, stem),
            nn.ReLU(),
        )
        self.texture = conv(stem, width)
        self.motion = conv(stem, width)

    def forward(self, frames_NCHW: torch.Tensor) -> Features:
        """Encode frames in [0, 1] whose sides are multiples of 32."""
        stem = self.stem(frames_NCHW - 0.5)
        return Features(frames_NCHW, F.relu(self.texture(stem)), F.relu(self.motion(stem)))


class Measure(nn.Module):
    """Two frames' features to the displacement between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.coarse = nn.ModuleList(Equations() for _ in SCALES)
        self.coarse_share = nn.ModuleList(Share(COARSE_DILATIONS) for _ in SCALES)
        self.equations = Equations()
        self.share = Share(DILATIONS)
        self.guide = nn.Sequential(
            conv(width + 8, hidden),
            nn.ReLU(inplace=True),
            conv(hidden, hidden, dilation=2),
            nn.ReLU(inplace=True),
            conv(hidden, hidden, dilation=4),
            nn.ReLU(inplace=True),
            conv(hidden, hidden),
            nn.ReLU(inplace=True),
            silent(nn.Conv2d(hidden, 9 * len(DILATIONS) + 2, 1)),
        )

    def guess(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        """Return a coarse displacement in pixels (N, 2, H/4, W/4) of brightness (N, 1, H, W)."""
        n, _, height, width = current.shape
        size = height // (SCALES[0] * CELL), width // (SCALES[0] * CELL)
        guess = current.new_zeros(n, 2, *size)
        for scale, measure, share in zip(SCALES, self.coarse, self.coarse_share, strict=True):
            size = height // (scale * CELL), width // (scale * CELL)
            start = F.interpolate(guess, size, mode="bilinear") / scale
            pair = F.avg_pool2d(reference, scale), F.avg_pool2d(current, scale)
            equations, _ = measure(*pair, start)
            none = equations.new_zeros(n, 9 * len(COARSE_DILATIONS), *size)
            guess = solve(share(equations, none), equations.new_full((1, 1, 1, 1), DAMPING)) * scale
        return upsample(guess, SCALES[-1])

    def forward(self, reference: Features, current: Features) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the displacement in pixels and the guess it started from, (N, 2, H/4, W/4)."""
        before, after = (f.frames.mean(1, keepdim=True) for f in (reference, current))
        after = equalise(after, before)
        guess = self.guess(before, after)
        # What least squares see at once needs no guess, and no interpolation that comes with it.
        guess = guess * (guess.square() / (guess.square() + CLEAR**2))
        equations, error = self.equations(before, after, guess)
        near = F.avg_pool2d(equations, 3, 1, 1, count_include_pad=False)
        wide = F.avg_pool2d(F.avg_pool2d(near, 3, 1, 1), 5, 1, 2)
        floor = near.new_full((1, 1, 1, 1), 0.02)
        seen = [solve(near, floor), solve(wide, floor), guess]
        energy = (near[:, :1] + near[:, 2:3] + 1e-4).log()
        clues = [current.motion, *(torch.asinh(d / MOTION_UNIT) / 4 for d in seen)]
        clues += [energy / 4, (error + 1e-4).log() / 4]
        advice = self.guide(torch.cat(clues, 1))
        equations = self.share(equations, advice)
        damping, bias = (advice[:, -2:-1] - 5).exp(), advice[:, -1:]
        # Noise and detail near the pixels' own scale make least squares read a few per cent off.
        return solve(equations, damping) * (1 + 0.5 * bias.tanh()), guess


class Render(nn.Module):
    """A frame's features and a displacement to the frame displaced by that much."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.order = nn.Sequential(conv(width + 2, 16), nn.ReLU(inplace=True), conv(16, 1))
        self.enter = conv(2 * width + 5, hidden)
        self.blocks = nn.ModuleList(conv(hidden, hidden, dilation=d) for d in (1, 2, 1, 2, 1))
        self.leave = silent(nn.Conv2d(hidden, sum(OUTPUTS), 1))

    def forward(self, current: Features, shift: torch.Tensor) -> torch.Tensor:
        """Displace `current.frames` by `shift` pixels (N, 2, H/4, W/4)."""
        cells = shift / CELL
        shown = torch.asinh(cells / SHIFT_UNIT)
        nearness = self.order(torch.cat([current.texture, shown], 1)).clamp(-8, 8).exp()
        ones = torch.ones_like(nearness)
        thrown = splat(torch.cat([current.texture, cells, ones], 1) * nearness, cells)
        weight = thrown[:, -1:]
        landed = thrown[:, :-1] / (weight + 1e-3)
        arrived = landed[:, -2:]
        state = torch.cat(
            [
                landed[:, :-2],
                torch.asinh(arrived / SHIFT_UNIT),
                (weight + 1e-3).log() / 8,
                current.texture,
                shown,
            ],
            1,
        )
        hidden = F.relu(self.enter(state))
        for block in self.blocks:
            hidden = hidden + F.relu(block(hidden))
        correction, shares, paint = torch.split(self.leave(hidden), OUTPUTS, 1)
        field = upsample_convex((arrived + correction) * CELL, shares)
        warped = warp(current.frames, upsample(field, CELL // 2), mode="bicubic")
        colour, opacity = torch.split(F.pixel_shuffle(paint, CELL), [3, 1], 1)
        return torch.lerp(warped, colour + 0.5, (opacity - 3).sigmoid())


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
