"""The protocol `fields`: whole pictures that deform smoothly, from one frame to another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch.nn import functional as F

from magkit.evaluate.cases import SIZE
from magkit.evaluate.deformed import Cut, DeformedScene, ScaleFit, draw_cut
from magkit.evaluate.magnifier import COARSE, FINE, Predict, Score, add_dither
from magkit.runtime.seeds import generator
from magkit.synth.deformation import Deformation, bending, membrane
from magkit.synth.render import Sources
from magkit.video.ssim import WINDOW, ssim_map

Kind = Literal["membrane", "rotation", "zoom", "shear", "bending"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AMPLITUDES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)  # pixels
FACTORS = (8.0, 20.0)
MAX_MAGNIFIED = 40.0  # pixels
MARGIN = 48  # pixels: of the picture beyond the frame
MIN_HALF_WAVE = 10.0  # of a membrane over its magnified amplitude: it doesn't fold over
MOVING = 0.5  # of the amplitude: displacements in the moving region


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCase:
    """A picture that deforms.

    Attributes:
        kind: of the deformation.
        displacement: the greatest within the frame, from A to B, pixels.
        factor: the requested factor.
        deformation: from A to B.
        cut: the picture.
        seed: of the dither.
    """

    kind: Kind
    displacement: float
    factor: float
    deformation: Deformation
    cut: Cut
    seed: int

    def scene(self, sources: Sources, device: torch.device | str = "cpu") -> DeformedScene:
        """Return the scene: A at scale 0, B at 1, and M at the factor."""
        texels = self.cut.texels(sources.pictures, SIZE + 2 * MARGIN, device)
        return DeformedScene(SIZE, self.deformation, texels)


def field_cases(sources: Sources, repeats: int, seed: int = 0) -> Iterator[FieldCase]:
    """Yield `repeats` scenes of each of 5 kinds for each of 7 amplitudes from .05 to 4 px.

    Factors are log-uniform from 8 to 20, and at most what magnifies to 40 px.
    """
    pairs = [(amplitude, kind) for amplitude in AMPLITUDES for kind in KINDS]
    for index, (amplitude, kind) in enumerate(pairs * repeats):
        rng = np.random.default_rng([seed, index])
        highest = min(FACTORS[1], MAX_MAGNIFIED / amplitude)
        factor = FACTORS[0] * (highest / FACTORS[0]) ** float(rng.random())
        yield FieldCase(
            kind=kind,
            displacement=amplitude,
            factor=factor,
            deformation=draw_deformation(rng, kind, amplitude, amplitude * factor),
            cut=draw_cut(rng, sources.pictures),
            seed=int(rng.integers(2**62)),
        )


def draw_deformation(
    rng: np.random.Generator, kind: Kind, amplitude: float, magnified: float
) -> Deformation:
    """Draw a deformation of a frame.

    Args:
        rng: random numbers.
        kind: of deformation.
        amplitude: the greatest displacement within the frame, pixels.
        magnified: the amplitude times the factor: waves are long enough for that.
    """
    size, angle, sign = float(SIZE), 2 * math.pi * rng.random(), float(rng.choice([-1, 1]))
    if kind == "membrane":
        # A place of the greatest displacement is within the frame.
        waves = rng.uniform(0.5, 1, 2) * size
        vector = tuple(math.pi / max(wave, MIN_HALF_WAVE * magnified) for wave in waves)
        phases = rng.uniform(0.25, 0.75, 2) * math.pi
        towards = amplitude * math.cos(angle), amplitude * math.sin(angle)
        return Deformation(waves=membrane(towards, (vector[0], vector[1]), (phases[0], phases[1])))
    if kind == "bending":
        return Deformation(
            waves=(bending(amplitude, rng.uniform(1, 2) * size, angle, 2 * math.pi * rng.random()),)
        )
    if kind == "shear":
        slope = sign * amplitude / (size / 2)
        rows = (0.0, slope), (0.0, 0.0)
        return Deformation(matrix=rows if rng.random() < 0.5 else (rows[1], rows[0][::-1]))
    slope = sign * amplitude / (size / math.sqrt(2))  # greatest in the corners
    turn = (0.0, -slope), (slope, 0.0)
    return Deformation(matrix=turn if kind == "rotation" else ((slope, 0.0), (0.0, slope)))


def evaluate_fields(
    predict: Predict,
    cases: Iterable[FieldCase],
    sources: Sources,
    device: torch.device | str = "cpu",
) -> Iterator[Score]:
    """Yield the score of each case over what frame B shows: nothing else can be known.

    Similarities are means over the pixels whose window is known. The moving region is where
    displacements are at least half of the amplitude.
    """
    for case in cases:
        scene, factor = case.scene(sources, device), case.factor
        scales = torch.tensor([0.0, 1.0, factor])
        exact = scene.frames(scales)
        a, b = torch.split(add_dither(exact[:2], generator(case.seed)), 1)
        output = (predict(a, b, factor) * 255).round() / 255
        seen = scene.visible(factor, 1.0).float()
        judged = 1 - F.max_pool2d(1 - seen, WINDOW, 1, WINDOW // 2)
        moving = judged * (scene.lengths(scales[2:]) >= MOVING * case.displacement)
        whole, part, *still = [
            mean(ssim_map(frame, exact[2:]), area)
            for frame in (output, b)
            for area in (judged, moving)
        ]
        yield Score(
            displacement=case.displacement,
            factor=factor,
            gain=_gain(output, scene, factor, seen),
            ssim=whole,
            region_ssim=part,
            input_ssim=still[0],
            input_region_ssim=still[1],
            more={"kind": case.kind},
        )


def _gain(output: torch.Tensor, scene: DeformedScene, factor: float, weight: torch.Tensor) -> float:
    """Return the achieved over the requested factor, over two grids as `achieved_gain`."""
    found = 0.0
    for ratios in (COARSE, FINE):
        scales = factor * (found + torch.from_numpy(ratios))
        found = float(ScaleFit(scene, scales, weight)(output)[0]) / factor
    return found


def mean(values: torch.Tensor, weight: torch.Tensor) -> float:
    """Return the weighted mean; 0 where nothing has weight."""
    return ((values * weight).sum() / weight.sum().clamp(min=1)).item()
