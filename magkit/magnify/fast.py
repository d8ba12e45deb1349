"""`magnet-fast`: estimates displacements, then renders the frame displaced further; its loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.coherence import ROUNDING, confidence, explained, fill, without_noise
from magkit.magnify.fast_encoder import Encoder, Features, constant_init, conv, join, signed_log
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.lucas_kanade import (
    CELL,
    DAMPING,
    Aggregation,
    NormalEquations,
    backward_warp,
    contrast_gain,
    residual_after,
    solve,
    upsample,
)
from magkit.magnify.matching import better_guess, compensate, kth_smallest, match, unexplained
from magkit.magnify.renderer import Renderer
from magkit.synth.triplets import Triplets
from magkit.video.ssim import ssim_map

DILATIONS = (1, 3, 9)  # cells: distances of aggregation, step by step
COARSE_DILATIONS = (1, 3)  # likewise, for the coarse guess
SCALES = (3, 2, 1)  # pyramid levels of the coarse guess, in this order
MIN_GUESS = 0.3  # pixels: guesses far below this are suppressed
MOTION_UNIT = 0.03  # pixels: unit of displacements in the networks' logarithmic inputs
MAX_LOG_DAMPING = 12.0  # e^12 of the equations' unit: no motion at all
STRUCTURE_WEIGHT = 0.1  # of 1 - SSIM in the loss
MOTION_WEIGHT, GUESS_WEIGHT = 0.06, 0.03  # of the errors of the displacement and of the guess


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
        return out.to(x.dtype)


class Measured(NamedTuple):
    """A displacement and how it was found."""

    displacement: torch.Tensor  # pixels, (N, 2, H/4, W/4)
    guess: torch.Tensor  # what it started from, likewise
    equations: torch.Tensor  # see `NormalEquations`
    rest: torch.Tensor  # mean square of their right-hand side


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

    def forward(self, reference: Features, current: Features) -> Measured:
        """Measure the displacement from one frame to another."""
        gain = contrast_gain(reference.details, current.details)
        after = [level * gain for level in current.details]
        details = reference.details[1], after[1]
        guess = self.guess(reference.details, after)
        motion, equations, rest = self.refine(reference, current, after, guess)
        found = compensate(*details, motion)
        lost = unexplained(found)
        if torch.compiler.is_exporting() or lost.any():  # an exported graph has no branches
            matched = match(reference.frames, current.frames * gain)
            guess = better_guess(guess, motion, matched, details, lost)
            again = self.refine(reference, current, after, guess)
            # The frames beside it in a batch don't change what becomes of a frame.
            lost = lost.view(-1, 1, 1, 1)
            motion, equations = again[0].where(lost, motion), again[1].where(lost, equations)
            rest = again[2].where(lost, rest)
            found = compensate(*details, motion)
        certainty = confidence(found, motion)
        residual = residual_after(equations, rest, motion).flatten(1)
        noise = kth_smallest(residual, (residual.shape[1] + 1) // 2)  # the median
        noise = noise.clamp(min=ROUNDING).view(-1, 1, 1, 1)
        return Measured(fill(motion, certainty, equations[:, :3], noise), guess, equations, rest)

    def refine(
        self,
        reference: Features,
        current: Features,
        after: list[torch.Tensor],
        guess: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Solve the equations at the finest scale.

        Args:
            reference: frame A.
            current: frame B.
            after: details of B with the contrast of A.
            guess: displacement in pixels, (N, 2, H/4, W/4).

        Returns:
            The displacement, and what `NormalEquations` returns but its second value.
        """
        # Small displacements need no guess, nor the interpolation that comes with it.
        guess = guess * (guess.square() / (guess.square() + MIN_GUESS**2))
        equations, error, rest = self.equations(reference.details[0], after[0], guess)
        inputs = self.guide_inputs(current.motion, equations, error, guess)
        logits = self.guide(inputs).contiguous()
        damping, bias = (logits[:, -4:-3] - 5).clamp(max=MAX_LOG_DAMPING).exp(), logits[:, -3:-2]
        # Noise and detail near the pixels' own scale bias least squares by a few per cent.
        motion = solve(self.share(equations, logits), damping) * (1 + 0.5 * bias.tanh())
        return motion, equations, rest

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
        """Return the displacement without what can't be told from noise, (N, 2, H/4, W/4)."""
        found: Measured = self.measure(reference, current)
        return without_noise(found.displacement, found.equations, found.rest)

    def displacement(self, reference: Features, current: Features) -> torch.Tensor:
        """Return the displacement in pixels from reference to current, (N, 2, H/4, W/4)."""
        found: Measured = self.measure(reference, current)
        return found.displacement

    def average(self, first: Features, others: Iterable[Features]) -> Features:
        """Return the features of the mean of frames, aligned to the first.

        A frame counts where its displacement explains what changed; see `explained`.
        """
        total, weight = first.frames, torch.ones_like(first.frames[:, :1])
        for other in others:
            field = self.motion(other, first)
            gain = contrast_gain(first.details, other.details)
            pair = other.details[1] * gain, first.details[1]
            certainty = upsample(explained(compensate(*pair, field)), CELL)
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
    motion, guess, *_ = model.measure(a, b)
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
