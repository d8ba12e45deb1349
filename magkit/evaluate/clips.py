"""Evaluation on whole clips: an oscillating object, and still clips with noise."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from statistics import fmean, median

import numpy as np
import torch
from numpy.typing import NDArray

from magkit.evaluate.cases import STILL_BACKGROUND, Case
from magkit.evaluate.magnifier import Score, achieved_gain, add_noise
from magkit.magnify.pipeline import magnify, to_frame, to_tensor
from magkit.protocols import Magnifier
from magkit.runtime.seeds import derived_seed, generator
from magkit.synth.render import Sources, render
from magkit.synth.scene import Scene, draw_scene
from magkit.synth.triplets import Triplets
from magkit.video.ssim import ssim_map

Frame = NDArray[np.uint8]

PERIOD = 12  # frames
EXTREMES = (PERIOD // 4, 3 * PERIOD // 4)  # frames of the greatest displacement
STILL_FRAMES, STILL_SIGMA, STILL_FACTOR = 16, 0.01, 20.0
WARM_UP = 3  # frames that are not timed


def evaluate_clips(
    magnifier: Magnifier,
    cases: Iterable[Case],
    sources: Sources,
    *,
    noise: float = 0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[Score]:
    """Yield the score of each clip: similarities are means over all frames but the first.

    A clip is one period of 12 frames and the first frame of the next, magnified from the first,
    in which the object is at rest. The gain is the median of those at both extremes.

    Args:
        magnifier: on `device`.
        cases: of `cases.sinusoid_cases`.
        sources: of the scenes.
        noise: standard deviation of Gaussian noise on the clip; 1 is white.
        seed: of that noise.
        device: where frames are rendered and magnified.
    """
    for number, case in enumerate(cases):
        random = generator(seed, number)
        scenes = [oscillate(case.scene, index) for index in range(PERIOD + 1)]
        truths = [render([scene], case.config, sources, device) for scene in scenes]
        clip = [add_noise(truth.b, noise, random) if noise else truth.b for truth in truths]
        frames = magnify(map(to_uint8, clip), magnifier, case.factor, device=device)
        outputs = [to_tensor(frame, 1, device) for frame in frames]
        gains = [
            achieved_gain(
                outputs[end][0], _moving(truths[end])[0], scenes[end], case.config, sources
            )
            for end in EXTREMES
        ]
        scores = [_ssim(o, t) for o, t in zip(outputs[1:], truths[1:], strict=True)]
        baselines = [_ssim(i, t) for i, t in zip(clip[1:], truths[1:], strict=True)]
        yield Score(
            displacement=case.displacement,
            factor=case.factor,
            gain=median(gains),
            ssim=fmean(whole for whole, _ in scores),
            region_ssim=fmean(region for _, region in scores),
            input_ssim=fmean(whole for whole, _ in baselines),
            input_region_ssim=fmean(region for _, region in baselines),
        )


def oscillate(scene: Scene, index: int) -> Scene:
    """Return the scene at a frame of the clip; its B is the frame, its M the magnified frame."""
    (layer,) = scene.layers
    share = math.sin(2 * math.pi * index / PERIOD)
    layer = replace(layer, motion=(share * layer.motion[0], share * layer.motion[1]))
    return replace(scene, layers=(layer,), noise_seed=derived_seed(scene.noise_seed, index))


def _moving(truth: Triplets) -> torch.Tensor:
    return (truth.moving > 0.5).float()


def _ssim(frame: torch.Tensor, truth: Triplets) -> tuple[float, float]:
    """Return SSIM to the exact frame, over the frame and in the moving region."""
    similarity, moving = ssim_map(frame, truth.m), _moving(truth)
    region = (similarity * moving).sum() / moving.sum().clamp(min=1)
    return similarity.mean().item(), region.item()


def to_uint8(picture: torch.Tensor) -> Frame:
    """Convert RGB (1, 3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return to_frame(picture, picture.shape[-2:])


@dataclass(frozen=True, slots=True, kw_only=True)
class StillClipScores:
    """Amplification of the noise in clips in which nothing moves.

    Attributes:
        factor: the requested factor.
        sigma: standard deviation of the noise; 1 is white.
        noise_gain: temporal standard deviation of the result over that of the clip.
        flicker: mean absolute difference of successive frames, in grey levels of 255.
        input_flicker: that of the clip.
        seconds: for each frame of 256 x 256 pixels.
    """

    factor: float = STILL_FACTOR
    sigma: float = STILL_SIGMA
    noise_gain: float
    flicker: float
    input_flicker: float
    seconds: float

    def as_dict(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


def measure_still(
    magnifier: Magnifier,
    sources: Sources,
    *,
    clips: int = 3,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> StillClipScores:
    """Magnify still clips of 16 noisy frames 20 times and measure changes over time.

    The first frame, which is not changed, is left out.
    """
    counts = len(sources.pictures), len(sources.cutouts)
    before, after, seconds = [], [], []
    for number in range(clips):
        scene = draw_scene(STILL_BACKGROUND, *counts, seed, number)
        picture = render([scene], STILL_BACKGROUND, sources, device).a
        random = generator(seed, number)
        clip = [to_uint8(add_noise(picture, STILL_SIGMA, random)) for _ in range(STILL_FRAMES)]
        made = []
        for frame in magnify(clip, magnifier, STILL_FACTOR, device=device):
            made.append(frame)
            seconds.append(time.perf_counter())
        before.append(np.stack(clip[1:]).astype(np.float32))
        after.append(np.stack(made[1:]).astype(np.float32))
    return StillClipScores(
        noise_gain=temporal_std(after) / temporal_std(before),
        flicker=_flicker(after),
        input_flicker=_flicker(before),
        seconds=_seconds_per_frame(seconds),
    )


def temporal_std(clips: list[NDArray[np.float32]]) -> float:
    """Return the root of the variance over time, mean over pixels and clips."""
    return math.sqrt(fmean(float(clip.var(0, ddof=1).mean()) for clip in clips))


def _flicker(clips: list[NDArray[np.float32]]) -> float:
    return fmean(float(np.abs(np.diff(clip, axis=0)).mean()) for clip in clips)


def _seconds_per_frame(times: list[float]) -> float:
    """Return the median time between frames of one clip, from the times of all frames."""
    clips = [times[start : start + STILL_FRAMES] for start in range(0, len(times), STILL_FRAMES)]
    return median(later - one for clip in clips for one, later in pairwise(clip[WARM_UP:]))
