"""The protocol `moving`: its ways, its figures of clips that are known, and accelerations."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch

from magkit.evaluate import moving
from magkit.evaluate.acceleration import accelerate
from magkit.evaluate.clips import to_uint8
from magkit.evaluate.moving import (
    FACTOR,
    FRAMES,
    PERIOD,
    MovingCase,
    WobbleJudge,
    evaluate_moving,
    moving_cases,
)
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources
from magkit.video import Frame


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(ProceduralPictures(8), ProceduralCutouts(8))


def test_the_ways(sources: Sources) -> None:
    found = list(moving_cases(sources, 3))
    assert [c.travel for c in found] == ["straight", "curved"] * 3
    for case in found:
        path, swing = case.path(), case.swing()
        steps = (path[1:] - path[:-1]).norm(dim=1)
        assert steps.sum().item() == pytest.approx(50, rel=1e-3)
        assert (steps.max() / steps.min()).item() == pytest.approx(1, abs=1e-6)
        assert swing.norm(dim=1).max().item() == pytest.approx(0.2)
        assert (swing[PERIOD:] - swing[:-PERIOD]).abs().max() < 1e-9
        turns = [math.atan2(*step.flip(0).tolist()) for step in path[1:] - path[:-1]]
        turned = sum(abs(math.remainder(b - a, 2 * math.pi)) for a, b in pairwise(turns))
        wanted = 0 if case.travel == "straight" else math.pi / 2 * (FRAMES - 2) / (FRAMES - 1)
        assert turned == pytest.approx(wanted, abs=1e-6)
        assert path.abs().max() < 26
    assert len({c.angle for c in found}) == 6


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small frames, and few of them."""
    for name, value in {"SIZE": 192, "FRAMES": 25, "JUDGED": slice(8, 17)}.items():
        monkeypatch.setattr(moving, name, value)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("index", "gain", "bent"), [(0, 1.0, 0.0), (1, 0.1, 1.0)])
def test_figures_of_clips_that_are_known(
    sources: Sources, index: int, gain: float, bent: float
) -> None:
    case = list(moving_cases(sources, 1))[index]
    scene = case.scene(sources)
    # The path bends away in the middle.
    off = 1 - torch.linspace(-1, 1, moving.FRAMES, dtype=torch.float64)[:, None] ** 2
    away = bent * off * torch.tensor([0.6, -0.8])
    clip = scene.frames(case.path() + gain * FACTOR * case.swing() + away)
    found = WobbleJudge(case, scene).measures(
        to_uint8(frame[None]) for frame in clip[moving.JUDGED]
    )
    assert found["gain"] == pytest.approx(gain, abs=0.01)
    assert found["path_error"] == pytest.approx(bent, abs=0.02)
    assert (found["region_ssim"] > 0.99) == (gain == 1)


class Brightness:
    """Takes brightness for a place: motion is its difference."""

    stride = 1

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return current - reference

    def render(
        self, current: torch.Tensor, motion: torch.Tensor, factor: torch.Tensor
    ) -> torch.Tensor:
        return current + (factor - 1) * motion


def flat(values: np.ndarray) -> list[Frame]:
    return [np.full((4, 4, 3), value, np.uint8) for value in values]


def levels(frames: Iterator[Frame]) -> np.ndarray:
    return np.array([float(frame.mean()) for frame in frames])


def test_accelerations() -> None:
    t = np.arange(24)
    steady = 20 + 4 * t
    assert (levels(accelerate(flat(steady), Brightness(), 10.0, 2)) == steady).all()
    # Halves of second differences over two frames: 4 a^2 / 2 of a t^2.
    square = t**2 // 4 * 4 // 4
    made = levels(accelerate(flat(square), Brightness(), 3.0, 2))
    wanted = square[2:-2] - 2 * (square[:-4] - 2 * square[2:-2] + square[4:]) / 2
    np.testing.assert_allclose(made[2:-2], wanted.clip(0, 255))
    assert (made[[0, 1, -2, -1]] == square[[0, 1, -2, -1]]).all()


def test_a_sine_is_magnified_whole_at_a_quarter_of_its_period() -> None:
    wave = np.tile([100, 114, 120, 114, 100, 86, 80, 86], 3)
    made = levels(accelerate(flat(wave), Brightness(), 4.0, 2))
    np.testing.assert_allclose(made[2:-2] - 100, 4 * (wave[2:-2] - 100.0), atol=2)


class Untouched(Brightness):
    cell = 1

    def displacement(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return self.motion(reference, current)

    def average(self, first: torch.Tensor, others: Iterable[torch.Tensor]) -> torch.Tensor:
        return first

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return 0 * current[:, :2]

    def render(self, current: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return current


@pytest.mark.usefixtures("short")
def test_an_untouched_clip(sources: Sources) -> None:
    case: MovingCase = next(moving_cases(sources, 1))
    (score,) = evaluate_moving(Untouched(), [case], sources)
    figures = score.as_dict()
    for gain in ("gain", "acceleration_gain"):
        assert figures[gain] == pytest.approx(1 / FACTOR, abs=0.01)
    assert figures["path_error"] == figures["acceleration_path_error"] < 0.02
    assert figures["region_ssim"] == figures["input_region_ssim"] < 0.95
    assert figures["travel"] == "straight"
