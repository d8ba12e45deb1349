"""The protocol `moving`: an object that wobbles on its way across a still picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from magkit.evaluate.acceleration import accelerate
from magkit.evaluate.cases import SIZE
from magkit.evaluate.clips import to_uint8
from magkit.evaluate.deformed import Cut, draw_cut
from magkit.evaluate.fields import mean
from magkit.evaluate.magnifier import Score, add_dither, add_noise
from magkit.evaluate.sprite import SpriteScene
from magkit.magnify.band import Mode
from magkit.magnify.pipeline import magnify, to_tensor
from magkit.protocols import Magnifier
from magkit.runtime.seeds import generator
from magkit.synth.render import Sources
from magkit.video import Frame
from magkit.video.ssim import ssim_map

Travel = Literal["straight", "curved"]
TRAVELS: tuple[Travel, ...] = get_args(Travel)
MODE: Mode = "follow"
DISTANCE = 50.0  # pixels
WOBBLE, PERIOD = 0.2, 8  # pixels, frames
FACTOR = 10.0
FRAMES, ENDS = 61, 14
JUDGED = slice(ENDS, FRAMES - ENDS)  # a smooth path is made of the frames on both sides
EXTENT = 80  # pixels: the object's longer side
MARGIN = 4  # pixels of the picture beyond the frame, which the spline needs


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingCase:
    """An object's way.

    Attributes:
        travel: its form: a line or a quarter of a circle, at a constant speed.
        angle: of the way at its middle, radians.
        wobble: direction of the wobble, radians.
        cutout: number of the object.
        cut: the picture behind it.
        seed: of the dither or noise.
    """

    travel: Travel
    angle: float
    wobble: float
    cutout: int
    cut: Cut
    seed: int

    def scene(self, sources: Sources, device: torch.device | str = "cpu") -> SpriteScene:
        """Return the object before its picture."""
        behind = self.cut.texels(sources.pictures, SIZE + MARGIN, device)
        return SpriteScene(SIZE, behind, sources.cutouts.cutout(self.cutout, EXTENT).to(device))

    def path(self) -> torch.Tensor:
        """Return the object's places without the wobble, pixels from the centre, (T, 2)."""
        along = torch.linspace(-0.5, 0.5, FRAMES, dtype=torch.float64)
        if self.travel == "straight":
            way = torch.stack([along * DISTANCE, 0 * along], 1)
        else:
            radius, turn = DISTANCE / (math.pi / 2), along * math.pi / 2
            way = radius * torch.stack([turn.sin(), turn.cos() - 0.85], 1)
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return way @ torch.tensor([[cosine, sine], [-sine, cosine]], dtype=torch.float64)

    def swing(self) -> torch.Tensor:
        """Return the displacements of the wobble in pixels, (T, 2)."""
        phase = 2 * math.pi * torch.arange(FRAMES, dtype=torch.float64) / PERIOD
        return WOBBLE * phase.sin()[:, None] * self.direction

    @property
    def direction(self) -> torch.Tensor:
        """The direction of the wobble, (2,)."""
        return torch.tensor([math.cos(self.wobble), math.sin(self.wobble)], dtype=torch.float64)


def moving_cases(sources: Sources, repeats: int, seed: int = 0) -> Iterator[MovingCase]:
    """Yield `repeats` objects on a straight and on a curved way, in any directions."""
    for index, travel in enumerate(TRAVELS * repeats):
        rng = np.random.default_rng([seed, index])
        yield MovingCase(
            travel=travel,
            angle=2 * math.pi * rng.random(),
            wobble=2 * math.pi * rng.random(),
            cutout=int(rng.integers(len(sources.cutouts))),
            cut=draw_cut(rng, sources.pictures),
            seed=int(rng.integers(2**62)),
        )


def evaluate_moving(
    magnifier: Magnifier,
    cases: Iterable[MovingCase],
    sources: Sources,
    *,
    mode: Mode = MODE,
    noise: float = 0.0,
    device: torch.device | str = "cpu",
) -> Iterator[Score]:
    """Yield the score of each case, magnified in a mode.

    Clips of 61 frames, in which the object travels 50 px and wobbles by .2 px every 8 frames,
    magnified 10 times. The first and the last 14 frames are not judged. `Score.more` has:

        path_error: the greatest distance of the object from its path, the wobble taken off, pixels;
        travel: "straight" or "curved";
        acceleration_gain, acceleration_region_ssim, acceleration_path_error: of `accelerate`.
    """
    for case in cases:
        scene, random = case.scene(sources, device), generator(case.seed)
        plain = scene.frames(case.path() + case.swing())
        clip = add_noise(plain, noise, random) if noise else add_dither(plain, random)
        frames = [to_uint8(frame) for frame in torch.split(clip, 1)]
        judge = WobbleJudge(case, scene)
        made = list(magnify(frames, magnifier, FACTOR, mode=mode, device=device))
        found = judge.measures(made[JUDGED])
        rival = judge.measures(_accelerated(frames, magnifier, device))
        still = judge.similarity(clip[JUDGED])
        rivals = {f"acceleration_{name}": value for name, value in rival.items()}
        yield Score(
            displacement=WOBBLE,
            factor=FACTOR,
            gain=found["gain"],
            ssim=found["ssim"],
            region_ssim=found["region_ssim"],
            input_ssim=still[0],
            input_region_ssim=still[1],
            more={"path_error": found["path_error"], "travel": case.travel, **rivals},
        )


def _accelerated(
    frames: Sequence[Frame], magnifier: Magnifier, device: torch.device | str
) -> list[Frame]:
    """Return the judged frames of `accelerate`, tuned to the wobble."""
    step = PERIOD // 4
    needed = frames[JUDGED.start - step : JUDGED.stop + step]
    return list(accelerate(needed, magnifier, FACTOR, step, device))[step:-step]


class WobbleJudge:
    """The exact magnified clip, and measures of others."""

    def __init__(self, case: MovingCase, scene: SpriteScene) -> None:
        self._case, self._scene = case, scene
        self._path = case.path()[JUDGED]
        swing = case.swing()[JUDGED]
        self._places = self._path + FACTOR * swing
        covers = (scene.cover(self._path + times * swing) for times in (1, FACTOR))
        self._region = (torch.maximum(*covers) > 0.5).float()
        self._exact = scene.frames(self._places)

    def similarity(self, clip: torch.Tensor) -> tuple[float, float]:
        """Return SSIM to the exact judged frames, over the frame and where the object is."""
        found = ssim_map(clip, self._exact)
        return found.mean().item(), mean(found, self._region)

    def measures(self, made: Iterable[Frame]) -> dict[str, float]:
        """Return gain, path_error, ssim and region_ssim of the judged frames of a clip."""
        clip = torch.cat([to_tensor(frame, 1, self._exact.device) for frame in made])
        found = self._scene.locate(clip, self._places).double().cpu()
        gain, error = self._wobble(found - self._path)
        whole, region = self.similarity(clip)
        return {"gain": gain, "path_error": error, "ssim": whole, "region_ssim": region}

    def _wobble(self, deviation: torch.Tensor) -> tuple[float, float]:
        """Return the gain of the wobble, and the greatest deviation besides it.

        Args:
            deviation: from the path, (T, 2) pixels.
        """
        phase = 2 * math.pi * torch.arange(FRAMES, dtype=torch.float64)[JUDGED] / PERIOD
        drift = torch.linspace(-1, 1, len(phase), dtype=torch.float64)
        waves = torch.stack([phase.sin(), phase.cos()], 1)
        smooth = torch.stack([drift**power for power in range(3)], 1)
        fit = torch.linalg.lstsq(torch.cat([waves, smooth], 1), deviation).solution[:2]
        gain = float(fit[0] @ self._case.direction) / (WOBBLE * FACTOR)
        return gain, float((deviation - waves @ fit).norm(dim=1).max())
