"""The training losses of the magnifiers."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from magkit.magnify.fast import MagnetFast
from magkit.magnify.lucas_kanade import CELL
from magkit.magnify.magnet import MagNet
from magkit.synth.triplets import Triplets
from magkit.video.ssim import ssim_map

REGULARISER = 0.1  # lambda of Oh et al., section 3.3
STRUCTURE = 0.1  # weight of 1 - SSIM
DISPLACEMENT = 0.06  # weights of the error of the displacement, and of the guess
GUESS = 0.03


def magnet_losses(model: MagNet, batch: Triplets) -> dict[str, torch.Tensor]:
    """Return the loss of Oh et al. (ECCV 2018), section 3.3, with lambda = 0.1.

    L1(Y, M) + lambda (L1(texture A, texture C) + L1(texture B, texture M) + L1(shape B, shape C)):
    A and C share their texture, B and C their shape; B and M were coloured alike.
    The network works in [-1, 1], and so does this loss.
    """
    a, b, c, m = (model.encode(frames) for frames in (batch.a, batch.b, batch.c, batch.m))
    frames = model.render(b, model.motion(a, b), batch.factor)
    return {
        "image": 2 * F.l1_loss(frames, batch.m),
        "texture_ac": REGULARISER * F.l1_loss(a.texture, c.texture),
        "texture_bm": REGULARISER * F.l1_loss(b.texture, m.texture),
        "shape_bc": REGULARISER * F.l1_loss(b.shape, c.shape),
    }


def fast_losses(model: MagnetFast, batch: Triplets) -> dict[str, torch.Tensor]:
    """Return the loss of `magnet-fast`.

    L1 over the frame, the moving region counted threefold; 1 - SSIM; and the error of the
    displacement, which scenes know exactly. That is taken after asinh(d / unit): relative for
    large displacements, and in units of 0.02 px for the smallest, which would else weigh nothing.
    """
    a, b = model.encode(batch.a), model.encode(batch.b)
    motion, guess = model.measure(a, b)
    frames = model.render(b, motion, batch.factor)
    truth = F.avg_pool2d(batch.motion, CELL)
    error = (frames - batch.m).abs()
    return {
        "image": (error * (1 + 2 * batch.moving)).mean(),
        "structure": STRUCTURE * (1 - ssim_map(frames, batch.m).mean()),
        "motion": DISPLACEMENT * _motion_error(motion, truth, 0.02),
        "guess": GUESS * _motion_error(guess, truth, 0.3),
    }


def _motion_error(motion: torch.Tensor, truth: torch.Tensor, unit: float) -> torch.Tensor:
    return (torch.asinh(motion / unit) - torch.asinh(truth / unit)).abs().mean()
