"""SSIM and achieved gain of magnified frames in scenes with exact ground truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from magkit.errors import MagkitError
from magkit.evaluate.cases import SIZE, Case
from magkit.protocols import Magnifier
from magkit.runtime.seeds import generator
from magkit.synth.render import Sources, render
from magkit.synth.scene import Scene, SceneConfig
from magkit.video.ssim import ssim_map

COARSE = np.linspace(-0.2, 2.0, 45)  # achieved over requested factor
FINE = np.linspace(-0.04, 0.04, 9)
BATCH = 15


def achieved_gain(
    output: torch.Tensor,
    moving: torch.Tensor,
    scene: Scene,
    config: SceneConfig,
    sources: Sources,
) -> float:
    """Return the achieved over the requested factor, `scene.factor`.

    Args:
        output: the magnified frame, (3, H, W).
        moving: the moving region (1, H, W), weights in [0, 1].
        scene: the scene, with the requested factor.
        config: of the scene.
        sources: of the scene.

    Returns:
        The ratio from -0.2 to 2 whose exact frame has the least squared error: over a grid of
        0.05, then one of 0.01, then the minimum of a parabola through the best three.
    """

    def errors(ratios: Sequence[float]) -> list[float]:
        found = []
        for start in range(0, len(ratios), BATCH):
            scenes = [
                replace(scene, factor=scene.factor * r) for r in ratios[start : start + BATCH]
            ]
            exact = render(scenes, config, sources, output.device, quantise=False).m
            found += ((exact - output) ** 2 * moving).sum((1, 2, 3)).tolist()
        return found

    best = float(COARSE[int(np.argmin(errors(COARSE.tolist())))])
    ratios = best + FINE
    return minimum(ratios, np.array(errors(ratios.tolist())))


def minimum(ratios: np.ndarray, errors: np.ndarray) -> float:
    """Return the minimum of the parabola through the least error and its neighbours.

    Args:
        ratios: evenly spaced places, at least three.
        errors: at these.
    """
    k = int(np.clip(np.argmin(errors), 1, len(errors) - 2))
    before, at, after = errors[k - 1 : k + 2]
    bend = before - 2 * at + after
    step = ratios[k + 1] - ratios[k]
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(ratios[k] + np.clip(shift, -1, 1) * step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Scores of one scene; `input_*` are those of the unmagnified frame B.

    Attributes:
        displacement: pixels from A to B.
        factor: the requested factor.
        gain: achieved over requested factor.
        ssim: structural similarity to the exact magnified frame, mean over the frame.
        region_ssim: the same, mean over the moving region.
        input_ssim: baseline of `ssim`.
        input_region_ssim: baseline of `region_ssim`.
        photon_noise: variance of the noise on the input over its grey levels, of 255.
        more: figures of the protocol, by name.
    """

    displacement: float
    factor: float
    gain: float
    ssim: float
    region_ssim: float
    input_ssim: float
    input_region_ssim: float
    photon_noise: float = 0.0
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, and those of `more` beside them."""
        fields = asdict(self)
        more = fields.pop("more")
        return {**fields, **more}


Predict = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def predictor(magnifier: Magnifier) -> Predict:
    """Return a function from frames A and B (1, 3, H, W) and a factor to the magnified frame.

    Raises:
        MagkitError: the magnifier's stride doesn't divide the side of the scenes.
    """
    if SIZE % magnifier.stride:
        raise MagkitError(
            f"scenes of {SIZE} pixels don't suit a magnifier with a stride of {magnifier.stride}"
        )

    @torch.inference_mode()
    def predict(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        reference, current = magnifier.encode(a), magnifier.encode(b)
        motion = magnifier.motion(reference, current)
        return magnifier.render(current, motion, a.new_tensor([factor])).clamp(0, 1)

    return predict


def with_noise(predict: Predict, sigma: float, seed: int) -> Predict:
    """Return `predict` on frames with Gaussian noise of standard deviation `sigma`.

    The noisy frames are rounded to 8 bit, as by a camera. Call n uses draw n of the seed.
    """
    calls = itertools.count()

    def noisy(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        random = generator(seed, next(calls))
        first, second = (add_noise(x, sigma, random) for x in (a, b))
        return predict(first, second, factor)

    return noisy


def add_noise(
    frames: torch.Tensor, sigma: float | torch.Tensor, random: torch.Generator
) -> torch.Tensor:
    """Add Gaussian noise of standard deviation `sigma` to frames in [0, 1], rounded to 8 bit."""
    noisy = frames + sigma * torch.randn(frames.shape, generator=random).to(frames)
    return (noisy.clamp(0, 1) * 255).round() / 255


def add_dither(frames: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Round frames in [0, 1] to 8 bit after uniform dither, so that no displacement is lost."""
    dither = torch.rand(frames.shape, generator=random).to(frames)
    return (frames * 255 + dither).floor().clamp(0, 255) / 255


def add_photon_noise(frames: torch.Tensor, level: float, random: torch.Generator) -> torch.Tensor:
    """Add noise whose variance is `level` times the grey level, of 255 (Oh et al. 2018)."""
    return add_noise(frames, (frames * level / 255).sqrt(), random)


def evaluate(
    predict: Predict,
    cases: Iterable[Case],
    sources: Sources,
    device: torch.device | str = "cpu",
    *,
    gain: bool = True,
) -> Iterable[Score]:
    """Yield the score of each case as it is measured.

    Args:
        predict: magnifies frames.
        cases: the scenes and factors.
        sources: of the scenes.
        device: where to compute.
        gain: whether the gain is searched for, which takes ten times as long as all else; if not,
            it is NaN.
    """
    for case in cases:
        truth = render([case.scene], case.config, sources, device)
        a, b = truth.a, truth.b
        if case.photon_noise:
            random = generator(case.scene.noise_seed)
            a, b = (add_photon_noise(x, case.photon_noise, random) for x in (a, b))
        output = predict(a, b, case.factor)
        moving = (truth.moving > 0.5).float()
        # Rounded to 8 bit as in a file.
        output = (output * 255).round() / 255
        found = math.nan
        if gain:
            found = achieved_gain(output[0], moving[0], case.scene, case.config, sources)
        similarity, baseline = ssim_map(output, truth.m), ssim_map(b, truth.m)
        area = moving.sum().clamp(min=1)
        yield Score(
            displacement=case.displacement,
            factor=case.factor,
            gain=found,
            ssim=similarity.mean().item(),
            region_ssim=((similarity * moving).sum() / area).item(),
            input_ssim=baseline.mean().item(),
            input_region_ssim=((baseline * moving).sum() / area).item(),
            photon_noise=case.photon_noise,
        )
