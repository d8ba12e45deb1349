"""The protocol `coded`: its clips, and figures of clips whose magnification is known."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

from magkit.evaluate import coded
from magkit.evaluate.coded import (
    BAND,
    FACTOR,
    FRAMES,
    JUDGED,
    CodedCase,
    Swing,
    SwingJudge,
    coded_cases,
    evaluate_coded,
    in_band,
)
from magkit.evaluate.deformed import DeformedScene
from magkit.runtime.seeds import generator
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(ProceduralPictures(8), ProceduralCutouts(8))


Judged = tuple[Swing, DeformedScene, SwingJudge]


@pytest.fixture(scope="module")
def judged(sources: Sources) -> Iterator[list[Judged]]:
    """A beam and a membrane of .2 px in small frames."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SIZE": 96, "MEMBRANE": 24.0, "BEAM": (30.0, 8.0)}.items():
            patch.setattr(coded, name, value)
        found = {c.swing for c in coded_cases(sources, 1) if c.swing.displacement == 0.2}
        swings = sorted(found, key=lambda swing: swing.shape)
        scenes = [swing.scene(sources) for swing in swings]
        judges = [SwingJudge(scene, 0.2) for scene in scenes]
        yield list(zip(swings, scenes, judges, strict=True))


def test_every_coding_of_every_swing(sources: Sources) -> None:
    found = list(coded_cases(sources, 2))
    assert len(found) == 160
    assert set(Counter(c.swing for c in found).values()) == {8}
    assert {c.coding for c in found} == {
        *("uncoded", "CRF 18", "CRF 23", "CRF 28"),
        *("uncoded, band", "CRF 18, band", "CRF 23, band", "CRF 28, band"),
    }
    amplitudes = Counter((c.swing.shape, c.swing.displacement) for c in found)
    assert set(amplitudes.values()) == {16}
    assert len(amplitudes) == 10
    # All amplitudes of a repeat share their pictures.
    assert len({(c.swing.shape, c.swing.cuts) for c in found}) == 4


def shown(judge: SwingJudge, scene: DeformedScene, gain: float, part: torch.Tensor) -> torch.Tensor:
    frames: torch.Tensor = scene.frames(judge.scales + (gain * FACTOR - 1) * part)
    return frames


@pytest.mark.parametrize(("gain", "band"), [(0.3, None), (0.3, BAND), (1.0, BAND)])
def test_the_gain_of_exact_clips(judged: list[Judged], band: Any, gain: float) -> None:
    for swing, scene, judge in judged:
        made = shown(judge, scene, gain, in_band(judge.scales, band))
        noise = 0.01 * torch.randn(judge.frames.shape, generator=generator(0))
        case = CodedCase(swing=swing, crf=None, band=band)
        score = judge.score(judge.frames + noise, made, case)
        assert score.gain == pytest.approx(gain, abs=0.01)
        assert score.more["left"] == pytest.approx(1, abs=0.03)
        assert score.more["of_left"] == pytest.approx(score.gain / score.more["left"])
        assert score.more["trembling"] < 1e-3
        assert (score.region_ssim > 0.9999) == (gain == 1)
        assert score.input_region_ssim < 0.9


def test_what_is_left_of_a_smaller_motion(judged: list[Judged]) -> None:
    for _, scene, judge in judged:
        for share in (0.0, 0.4):
            assert judge.left(scene.frames(share * judge.scales)) == pytest.approx(share, abs=0.01)


def test_trembling_of_still_parts_alone(judged: list[Judged]) -> None:
    for _, scene, judge in judged:
        noise = 0.01 * torch.randn(judge.frames.shape, generator=generator(0))
        made = scene.frames(FACTOR * judge.scales) + 3 * noise
        assert judge.trembling(made, judge.frames + noise) == pytest.approx(3, rel=1e-3)


def test_the_part_in_the_band_against_scipy() -> None:
    scales = torch.sin(torch.arange(FRAMES) / 3).double()
    sos = scipy.signal.butter(2, [1.5, 2.5], "bandpass", fs=20, output="sos")
    wanted = scipy.signal.sosfilt(sos, scales.numpy())
    np.testing.assert_allclose(in_band(scales, BAND).numpy(), wanted, atol=1e-9)
    assert in_band(scales, None) is scales
    assert max(JUDGED) < FRAMES


class Told:
    """Gives the frames that it was told to give, or the current one."""

    stride = 1

    def __init__(self, answers: Iterator[torch.Tensor] | None = None) -> None:
        self.answers = answers

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return current - reference

    def render(
        self, current: torch.Tensor, motion: torch.Tensor, factor: torch.Tensor
    ) -> torch.Tensor:
        assert factor.item() == FACTOR
        return current if self.answers is None else next(self.answers)[None]


def test_magnified_clips_from_end_to_end(sources: Sources, judged: list[Judged]) -> None:
    beam, scene, judge = judged[0]
    cases = [CodedCase(swing=beam, crf=crf, band=None) for crf in (None, 28)]
    plain, squeezed = evaluate_coded(Told(), cases, sources)
    for score in (plain, squeezed):
        assert score.region_ssim == score.input_region_ssim
        assert score.more["trembling"] == 1
        assert score.gain == pytest.approx(score.more["left"] / FACTOR, abs=0.02)
    assert plain.more["left"] == pytest.approx(1, abs=0.1)
    assert squeezed.more["left"] < 0.8
    assert squeezed.more["cell"] == "0.20 px, CRF 28"

    exact = shown(judge, scene, 1.0, judge.scales)
    (made,) = evaluate_coded(Told(iter(exact[1:])), cases[:1], sources)
    assert made.gain == pytest.approx(1, abs=0.01)
    assert made.region_ssim > 0.99
