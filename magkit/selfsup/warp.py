"""`warp`: real frames under known displacements, noise and coding, without labels.

The motion from a coded frame to a coded and warped one is known where the frame stands still, and
is composed of a teacher's and the known one where the clip moves. Parents: WarpC (Truong et al.,
ICCV 2021), for the composition; mean teachers (Tarvainen & Valpola, NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.magnify.coherence import explained
from magkit.magnify.lucas_kanade import CELL, backward_warp, pyramid, upsample
from magkit.magnify.matching import compensate
from magkit.plugins import registry
from magkit.protocols import DisplacementMagnifier
from magkit.selfsup.modules import update_momentum
from magkit.selfsup.warp_spec import WarpConfig
from magkit.selfsup.warped import GROUP, RealPairs, WarpedBatch, make_batch
from magkit.specs import MagnifierSpec
from magkit.synth.triplets import Triplets
from magkit.video.ssim import ssim_map

STRUCTURE, MOTION = 0.1, 0.06  # weights over that of the image's error, as in `fast_losses`
UNIT, STILL_UNIT = 0.005, 0.02  # pixels: displacements below are compared by their differences
AGREED, AGREED_SHARE = 0.05, 0.1  # pixels, and share of the way, that the way back may miss


class Warp:
    """The method for a magnifier that measures displacements in pixels."""

    keyed = True
    group = GROUP

    def __init__(self, config: WarpConfig) -> None:
        self.config = config
        self.frozen = patterns(config.frozen)

    def batch(self, windows: Sequence[Tensor], first: int, size: int, seed: int, /) -> WarpedBatch:
        """Make a batch; see `warped.make_batch`."""
        return make_batch(windows, first, self.config, size, seed)

    def losses(
        self, magnifier: nn.Module, teacher: nn.Module | None, batch: WarpedBatch, /
    ) -> dict[str, Tensor]:
        """Return the errors of known motion and of its picture, of still frames, and of clips."""
        model, average = (cast("DisplacementMagnifier", m) for m in (magnifier, teacher))
        terms = self._known(model, batch)
        if batch.pairs is not None:
            terms["real"] = self.config.real * MOTION * self._real(model, average, batch.pairs)
        return terms

    def _known(self, model: DisplacementMagnifier, batch: WarpedBatch) -> dict[str, Tensor]:
        """Return the terms of frames whose motion is known exactly."""
        scenes = batch.scenes
        a, b = model.encode(scenes.a), model.encode(scenes.b)
        motion = model.displacement(a, b)
        truth = F.avg_pool2d(scenes.motion, model.cell)
        seen = survived(scenes.a, scenes.b, scenes.motion)
        seen = seen.where(F.avg_pool2d(scenes.moving, CELL) > 0, torch.ones(()))
        weight = seen * torch.where(batch.coded, 1.0, self.config.clean).view(-1, 1, 1, 1)
        terms = {
            "motion": MOTION * (resized(weight, motion) * log_error(motion, truth, UNIT)).mean(),
        }
        if self.config.image:
            frames = model.render(b, motion, scenes.factor)
            terms.update(self._picture(frames, scenes, resized(seen, frames)))
        still = ~scenes.moving.flatten(1).any(1)
        if still.any():
            terms["still"] = self._still(model, scenes.a[still], scenes.b[still])
        return terms

    def _picture(self, frames: Tensor, scenes: Triplets, weight: Tensor) -> dict[str, Tensor]:
        """Return the errors of magnified frames, as `fast_losses` does."""
        error = (frames - scenes.m).abs() * (1 + 2 * scenes.moving)
        similarity = ssim_map(frames, scenes.m)
        return {
            "image": self.config.image * (weight * error).mean(),
            "structure": self.config.image * STRUCTURE * (weight * (1 - similarity)).mean(),
        }

    def _still(self, model: DisplacementMagnifier, a: Tensor, b: Tensor) -> Tensor:
        """Return the error of the motion that is shown in frames that stand still."""
        shown = model.motion(model.encode(a), model.encode(b))
        length = (shown.square().sum(1) + 1e-10).sqrt()
        return MOTION * torch.asinh(shown / STILL_UNIT).abs().mean() + self.config.still * (
            length.mean()
        )

    def _real(
        self, model: DisplacementMagnifier, teacher: DisplacementMagnifier, pairs: RealPairs
    ) -> Tensor:
        """Return the error of the motion of clips, where the teacher is certain of it."""
        target, weight = composed(teacher, pairs)
        weight = weight * resized(survived(pairs.a, pairs.b, upsample(target, model.cell)), target)
        found = model.displacement(model.encode(pairs.a), model.encode(pairs.b))
        return (weight * log_error(found, target, UNIT)).mean()

    def after_step(
        self, magnifier: nn.Module, teacher: nn.Module | None, progress: float, /
    ) -> None:
        """Move the teacher's weights towards the magnifier's."""
        del progress
        assert teacher is not None
        update_momentum(teacher, magnifier, self.config.tau)


class WarpFrames:
    """The method for other magnifiers: their own losses, on still frames that are warped."""

    keyed = False
    group = GROUP

    def __init__(self, config: WarpConfig, magnifier: str) -> None:
        self.config, self.magnifier = config, magnifier
        self.frozen = patterns(config.frozen)

    def batch(self, windows: Sequence[Tensor], first: int, size: int, seed: int, /) -> WarpedBatch:
        """Make a batch; see `warped.make_batch`."""
        return make_batch(windows, first, self.config, size, seed)

    def losses(
        self, magnifier: nn.Module, teacher: nn.Module | None, batch: WarpedBatch, /
    ) -> dict[str, Tensor]:
        """Return the magnifier's losses of frames whose motion is known exactly."""
        del teacher
        losses = registry().magnifier(self.magnifier).losses
        assert losses is not None
        return losses(magnifier, batch.scenes)

    def after_step(
        self, magnifier: nn.Module, teacher: nn.Module | None, progress: float, /
    ) -> None:
        """Do nothing: there is no teacher."""


def build(config: WarpConfig, magnifier: MagnifierSpec[Any]) -> Warp | WarpFrames:
    """Build the method for a magnifier."""
    return Warp(config) if has_displacement(magnifier) else WarpFrames(config, magnifier.name)


def has_displacement(magnifier: MagnifierSpec[Any]) -> bool:
    """Return whether a magnifier measures displacements."""
    return isinstance(magnifier.build(magnifier.config()), DisplacementMagnifier)


def patterns(text: str) -> tuple[str, ...]:
    """Return patterns separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@torch.no_grad()
def survived(a: Tensor, b: Tensor, motion: Tensor) -> Tensor:
    """Return where coding left a motion in two frames: a label is one only there.

    Args:
        a: frames (N, 3, H, W).
        b: the frames after the motion.
        motion: from a to b in pixels, (N, 2, H, W).

    Returns:
        (N, 1, H/4, W/4) in [0, 1]; see `coherence.explained`.
    """
    details = [pyramid(frames.mean(1, keepdim=True))[1] for frames in (a, b)]
    return explained(compensate(details[0], details[1], F.avg_pool2d(motion, CELL)))


@torch.no_grad()
def composed(teacher: DisplacementMagnifier, pairs: RealPairs) -> tuple[Tensor, Tensor]:
    """Return the motion from a to b, and how certain it is.

    What b shows at x it shows of the unwarped frame at x - w(x), and that of a at a place that is
    the teacher's motion there further on.

    Returns:
        The motion in pixels (N, 2, h, w), and 1 where the teacher's way there and back ends where
        it began, else 0, (N, 1, h, w).
    """
    a, b = teacher.encode(pairs.clean_a), teacher.encode(pairs.clean_b)
    there, back = teacher.displacement(a, b), teacher.displacement(b, a)
    missed = there + backward_warp(back, there / teacher.cell)
    allowed = AGREED + AGREED_SHARE * there.norm(dim=1, keepdim=True)
    certain = (missed.norm(dim=1, keepdim=True) < allowed).float()
    warp = F.avg_pool2d(pairs.warp, teacher.cell)
    field, weight = (backward_warp(maps, warp / teacher.cell) for maps in (there, certain))
    return warp + field, weight


def log_error(motion: Tensor, truth: Tensor, unit: float) -> Tensor:
    """Return |asinh(motion / unit) - asinh(truth / unit)|."""
    return (torch.asinh(motion / unit) - torch.asinh(truth / unit)).abs()


def resized(maps: Tensor, like: Tensor) -> Tensor:
    """Return maps at the size of others."""
    return maps if maps.shape[-2:] == like.shape[-2:] else F.interpolate(maps, like.shape[-2:])
