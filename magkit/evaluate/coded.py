"""The protocol `coded`: a membrane and a beam that swing in clips coded by x264."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

import numpy as np
import torch
from torch.nn import functional as F

from magkit.evaluate.clips import temporal_std, to_uint8
from magkit.evaluate.deformed import Cut, DeformedScene, ScaleFit, draw_cut
from magkit.evaluate.fields import MOVING, mean
from magkit.evaluate.magnifier import Score, add_noise
from magkit.magnify.band import Band
from magkit.magnify.filters import BandPass
from magkit.magnify.pipeline import magnify, to_tensor
from magkit.protocols import Magnifier
from magkit.runtime.seeds import generator
from magkit.synth.deformation import Deformation, Wave, bending, membrane
from magkit.synth.render import Sources
from magkit.video import Frame
from magkit.video.coding import code_x264
from magkit.video.ssim import ssim_map

Shape = Literal["membrane", "beam"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
AMPLITUDES = (0.05, 0.1, 0.2, 0.5, 0.7)  # pixels
FACTOR = 15.0
CRFS = (None, 18, 23, 28)  # None: not coded
NOISE = 0.008  # standard deviation on the clip before it is coded
SIZE, MARGIN = 192, 24  # pixels
FREQUENCY, RATE, FRAMES = 2.0, 20.0, 40  # Hz, frames a second
BAND = Band(1.5, 2.5)
JUDGED = [22, 23, 27, 28, 32, 33, 37, 38]  # frames near the turning points
MEMBRANE = 62.0  # pixels: half of its side
BEAM = (75.0, 18.0)  # pixels: half of its length and of its width
STILL_DISTANCE = 12  # pixels from whatever moves
LEAST_LEFT = 0.05  # shares left in the input below this count as this


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """What swings, and the noise on it.

    Attributes:
        shape: "membrane", a square part of a picture, or "beam", a strip before it.
        displacement: amplitude in pixels.
        deformation: at the turning point.
        cuts: the picture, and the strip's.
        seed: of the noise.
    """

    shape: Shape
    displacement: float
    deformation: Deformation
    cuts: tuple[Cut, Cut]
    seed: int

    def scene(self, sources: Sources, device: torch.device | str = "cpu") -> DeformedScene:
        """Return the scene: at rest at scale 0, at the turning points at -1 and 1."""
        side = SIZE + 2 * MARGIN
        behind, strip = (cut.texels(sources.pictures, side, device) for cut in self.cuts)
        if self.shape == "membrane":
            return DeformedScene(SIZE, self.deformation, behind, behind, (MEMBRANE, MEMBRANE))
        return DeformedScene(SIZE, self.deformation, strip, behind, BEAM, edge=1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedCase:
    """A swing, how it is coded (x264's CRF; None: not), and the band in which it is magnified."""

    swing: Swing
    crf: int | None
    band: Band | None

    @property
    def coding(self) -> str:
        """The coding and the band in words."""
        coding = "uncoded" if self.crf is None else f"CRF {self.crf}"
        return coding if self.band is None else f"{coding}, band"


def coded_cases(sources: Sources, repeats: int, seed: int = 0) -> Iterator[CodedCase]:
    """Yield `repeats` membranes and beams of each amplitude from .05 to .7 px.

    Each comes uncoded and at CRF 18, 23 and 28, without and with a band around its frequency. The
    pictures are the same for all amplitudes.
    """
    for number in range(repeats):
        for amplitude in AMPLITUDES:
            for index, shape in enumerate(SHAPES):
                swing = draw_swing(sources, shape, amplitude, seed, number * len(SHAPES) + index)
                for crf in CRFS:
                    for band in (None, BAND):
                        yield CodedCase(swing=swing, crf=crf, band=band)


def draw_swing(sources: Sources, shape: Shape, amplitude: float, seed: int, index: int) -> Swing:
    """Draw pictures and directions; the same for all amplitudes."""
    rng = np.random.default_rng([seed, index])
    angle = 2 * math.pi * rng.random()
    if shape == "membrane":
        number, turn = math.pi / (2 * MEMBRANE), math.pi / 2
        towards = amplitude * math.cos(angle), amplitude * math.sin(angle)
        waves: tuple[Wave, ...] = membrane(towards, (number, number), (turn, turn))
    else:
        waves = (bending(amplitude, 4 * BEAM[0], 0.0, math.pi / 2),)
    return Swing(
        shape=shape,
        displacement=amplitude,
        deformation=Deformation(waves=waves),
        cuts=(draw_cut(rng, sources.pictures), draw_cut(rng, sources.pictures)),
        seed=int(rng.integers(2**62)),
    )


def evaluate_coded(
    magnifier: Magnifier,
    cases: Iterable[CodedCase],
    sources: Sources,
    *,
    noise: float = NOISE,
    device: torch.device | str = "cpu",
) -> Iterator[Score]:
    """Yield the score of each case; those of one swing follow each other.

    Clips of 40 frames at 20 a second, which start at rest, swing at 2 Hz. With a band the exact
    clip shows the motion that the band-pass lets through. Similarities are means over frames near
    the turning points. `Score.more` has:

        left: the share of the true amplitude that a least-squares fit of the known deformation
            finds in the coded clip;
        of_left: the gain over it (over .05 where it is less);
        trembling: temporal standard deviation of still parts over that of the coded clip;
        shape, coding, cell: what was judged, in words.
    """
    for swing, group in groupby(cases, lambda case: case.swing):
        judge = SwingJudge(swing.scene(sources, device), swing.displacement)
        clip = add_noise(judge.frames, noise, generator(swing.seed))
        for crf, pair in groupby(group, lambda case: case.crf):
            coded = clip if crf is None else _coded(clip, crf)
            for case in pair:
                made = magnify(
                    map(to_uint8, torch.split(coded, 1)),
                    magnifier,
                    FACTOR,
                    band=case.band,
                    rate=RATE,
                    device=device,
                )
                yield judge.score(coded, _stack(made, device), case)


class SwingJudge:
    """The exact frames of a swing, and the scores of clips that show it magnified."""

    def __init__(self, scene: DeformedScene, amplitude: float) -> None:
        times = torch.arange(FRAMES, dtype=torch.float64) / RATE
        self.scales = torch.sin(2 * math.pi * FREQUENCY * times)
        self.frames = scene.frames(self.scales)
        self._scene, self._amplitude = scene, amplitude
        self._fit_input = ScaleFit(scene, torch.linspace(-2, 2, 9))
        self._fit_output = ScaleFit(scene, torch.linspace(-2, 2, 81) * FACTOR)
        ends = torch.tensor([-2 * FACTOR, 0.0, 2 * FACTOR])
        reached = scene.cover(ends).amax(0, keepdim=True)
        near = F.max_pool2d(reached, 2 * STILL_DISTANCE + 1, 1, STILL_DISTANCE)
        self._still = (near == 0)[0, 0].cpu().numpy()

    def left(self, coded: torch.Tensor) -> float:
        """Return the share of the true amplitude that the fit finds in a clip."""
        return slope(self.scales.numpy(), self._fit_input(coded))

    def gain(self, made: torch.Tensor, part: torch.Tensor) -> float:
        """Return the achieved over the requested factor, by which `part` of the scales is shown."""
        added = self._fit_output(made) - self.scales.numpy()
        return (1 + slope(part.numpy(), added)) / FACTOR

    def trembling(self, made: torch.Tensor, coded: torch.Tensor) -> float:
        """Return the temporal standard deviation of still parts over that in the coded clip."""
        after, before = (
            temporal_std([clip[1:, :, self._still].numpy()]) for clip in (made.cpu(), coded.cpu())
        )
        return after / before

    def score(self, coded: torch.Tensor, made: torch.Tensor, case: CodedCase) -> Score:
        """Return the score of a coded clip magnified."""
        part = in_band(self.scales, case.band)
        shown = (self.scales + (FACTOR - 1) * part)[JUDGED]
        moving = torch.maximum(*map(self._scene.lengths, (shown, self.scales[JUDGED])))
        region = (moving >= MOVING * self._amplitude).float()
        exact = self._scene.frames(shown)
        after, before = (ssim_map(clip[JUDGED], exact) for clip in (made, coded))
        gain, left = self.gain(made, part), self.left(coded)
        return Score(
            displacement=self._amplitude,
            factor=FACTOR,
            gain=gain,
            ssim=after.mean().item(),
            region_ssim=mean(after, region),
            input_ssim=before.mean().item(),
            input_region_ssim=mean(before, region),
            more={
                "left": left,
                "of_left": gain / max(left, LEAST_LEFT),
                "trembling": self.trembling(made, coded),
                "shape": case.swing.shape,
                "coding": case.coding,
                "cell": f"{self._amplitude:.2f} px, {case.coding}",
            },
        )


def in_band(scales: torch.Tensor, band: Band | None) -> torch.Tensor:
    """Return the part of the scales (T,) that is magnified."""
    if band is None:
        return scales
    part = BandPass(band, RATE)
    return torch.stack([part(scale) for scale in scales])


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return that of the line through points of least squared error in y."""
    centred = x - x.mean()
    return float(centred @ y / (centred @ centred))


def _coded(clip: torch.Tensor, crf: int) -> torch.Tensor:
    frames = np.concatenate([to_uint8(frame)[None] for frame in torch.split(clip, 1)])
    return _stack(code_x264(frames, crf).copy(), clip.device)  # its frames are read-only


def _stack(frames: Iterable[Frame], device: torch.device | str) -> torch.Tensor:
    return torch.cat([to_tensor(frame, 1, device) for frame in frames])
