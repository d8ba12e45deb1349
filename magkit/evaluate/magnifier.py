"""`magkit evaluate magnifier`: SSIM and achieved gain on scenes whose truth is known exactly."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch

from magkit.errors import MagkitError
from magkit.evaluate.cases import JUDGED, Case
from magkit.evaluate.gain import achieved_gain
from magkit.evaluate.ssim import ssim_map
from magkit.protocols import Magnifier
from magkit.runtime.seeds import generator
from magkit.synth.render import Sources, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What was measured in one scene; `input_*` is the unmagnified frame B in place of the output.

    Attributes:
        displacement: pixels from A to B.
        factor: the factor asked for.
        gain: achieved factor over the one asked for.
        ssim: structural similarity to the exact magnified frame, mean over the frame.
        region_ssim: the same, mean over the moving region.
        input_ssim: baseline of `ssim`.
        input_region_ssim: baseline of `region_ssim`.
    """

    displacement: float
    factor: float
    gain: float
    ssim: float
    region_ssim: float
    input_ssim: float
    input_region_ssim: float

    def as_dict(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


Predict = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def predictor(magnifier: Magnifier) -> Predict:
    """Return a function of frames A and B (1, 3, H, W) and a factor to the magnified frame.

    Raises:
        MagkitError: the magnifier's stride doesn't divide the side of the judged scenes.
    """
    if JUDGED.size % magnifier.stride:
        raise MagkitError(
            f"Scenes of {JUDGED.size} pixels can't be judged with a stride of {magnifier.stride}."
        )

    @torch.inference_mode()
    def predict(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        reference, current = magnifier.encode(a), magnifier.encode(b)
        motion = magnifier.motion(reference, current)
        return magnifier.render(current, motion, a.new_tensor([factor])).clamp(0, 1)

    return predict


def with_noise(predict: Predict, sigma: float, seed: int) -> Predict:
    """Return `predict` on frames with Gaussian noise of standard deviation `sigma`.

    The noisy frames are rounded to 8 bit, as a camera would. Call n adds draw n of the seed.
    """
    calls = itertools.count()

    def noisy(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        random = generator(seed, next(calls))
        frames = [x + sigma * torch.randn(x.shape, generator=random).to(x) for x in (a, b)]
        first, second = ((frame.clamp(0, 1) * 255).round() / 255 for frame in frames)
        return predict(first, second, factor)

    return noisy


def evaluate(
    predict: Predict,
    judged: Iterable[Case],
    sources: Sources,
    device: torch.device | str = "cpu",
) -> Iterable[Score]:
    """Yield the score of each case as it is measured."""
    for case in judged:
        truth = render([case.scene], JUDGED, sources, device)
        output = predict(truth.a, truth.b, case.factor)
        moving = (truth.moving > 0.5).float()
        # Rounded as it would be written, so that the figure is that of the file.
        output = (output * 255).round() / 255
        gain = achieved_gain(output[0], moving[0], case.scene, JUDGED, sources)
        made, left = ssim_map(output, truth.m), ssim_map(truth.b, truth.m)
        area = moving.sum().clamp(min=1)
        yield Score(
            displacement=case.displacement,
            factor=case.factor,
            gain=gain,
            ssim=made.mean().item(),
            region_ssim=((made * moving).sum() / area).item(),
            input_ssim=left.mean().item(),
            input_region_ssim=((left * moving).sum() / area).item(),
        )
