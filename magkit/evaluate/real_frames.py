"""Trembling of still clips made of real frames and coded, and the gain of known displacements."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from magkit.evaluate.clips import to_uint8
from magkit.evaluate.coded import slope
from magkit.evaluate.deformed import DeformedScene, ScaleFit
from magkit.evaluate.magnifier import add_noise
from magkit.magnify.pipeline import magnify, to_tensor
from magkit.protocols import Magnifier
from magkit.runtime.seeds import generator
from magkit.synth.deformation import Deformation, membrane
from magkit.synth.layers import sharpen
from magkit.video import Frame
from magkit.video.coding import Codec, code_clip

FRAMES, NOISE, FACTOR = 16, 0.008, 20.0  # of still clips; noise before coding, 1 is white
PERIOD, MARGIN = 12, 16  # frames; pixels of a picture around a displaced one
AMPLITUDES = (0.05, 0.1, 0.2)  # pixels
GAIN_FACTOR = 15.0


@dataclass(frozen=True, slots=True)
class Coding:
    """A codec and its quality: the constant rate factor, or the quantiser of MPEG-4."""

    codec: Codec
    quality: int

    def __str__(self) -> str:
        return f"{self.codec} {self.quality}"


def still_clip(picture: Tensor, coding: Coding, seed: int) -> Frame:
    """Return a coded clip in which a picture (3, H, W) stands still, uint8 (T, H, W, 3)."""
    frames = picture[None].expand(FRAMES, -1, -1, -1)
    noisy = add_noise(frames, NOISE, generator(seed))
    stack = np.concatenate([to_uint8(frame)[None] for frame in torch.split(noisy, 1)])
    return code_clip(stack, coding.codec, coding.quality)


def trembling(
    magnifier: Magnifier,
    picture: Tensor,
    coding: Coding,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> float:
    """Return what magnification by 20 changes in a coded still clip: grey levels of 255, rms.

    Args:
        magnifier: on `device`.
        picture: (3, H, W) in [0, 1].
        coding: of the clip.
        seed: of its noise.
        device: where frames are magnified.
    """
    clip = still_clip(picture, coding, seed)
    made = np.stack(list(magnify(iter(clip.copy()), magnifier, FACTOR, device=device)))
    added = made[1:].astype(np.float64) - clip[1:]
    return math.sqrt(float(np.square(added).mean()))


def displacement_gain(
    magnifier: Magnifier,
    picture: Tensor,
    amplitude: float,
    angle: float,
    device: torch.device | str = "cpu",
) -> float:
    """Return the achieved over the requested factor of a swing of a picture, not coded.

    The picture swings as a membrane, for one period of 12 frames. The scale of each magnified frame
    is that of the nearest exact one.

    Args:
        magnifier: on `device`.
        picture: (3, side, side) in [0, 1].
        amplitude: of the swing in its middle, pixels.
        angle: of the swing, radians.
        device: where frames are magnified.
    """
    side = picture.shape[-1] - 2 * MARGIN
    towards = amplitude * math.cos(angle), amplitude * math.sin(angle)
    waves = membrane(towards, (math.pi / side, math.pi / side), (math.pi / 2, math.pi / 2))
    scene = DeformedScene(side, Deformation(waves=waves), sharpen(picture).clamp(0, 1))
    scales = torch.sin(torch.arange(PERIOD + 1) * (2 * math.pi / PERIOD))
    clip = map(to_uint8, torch.split(scene.frames(scales), 1))
    made = torch.cat(
        [
            to_tensor(frame, 1, "cpu")
            for frame in magnify(clip, magnifier, GAIN_FACTOR, device=device)
        ]
    )
    shown = ScaleFit(scene, torch.linspace(-2, 2, 81) * GAIN_FACTOR)(made)
    return (1 + slope(scales.numpy(), shown - scales.numpy())) / GAIN_FACTOR
