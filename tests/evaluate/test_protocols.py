"""The published protocols: their numbers, their scenes, and scores of outputs that are known."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from magkit.evaluate import clips
from magkit.evaluate.cases import noise_cases, sinusoid_cases, subpixel_cases
from magkit.evaluate.clips import PERIOD, evaluate_clips, measure_still
from magkit.evaluate.magnifier import add_photon_noise, evaluate
from magkit.evaluate.protocols import PROTOCOLS, cells_not_ahead, summarize_by
from magkit.runtime.seeds import generator
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources, render


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(ProceduralPictures(8), ProceduralCutouts(8))


def test_the_sub_pixel_motions(sources: Sources) -> None:
    found = list(subpixel_cases(sources, 2))
    assert len(found) == 30
    # Axial-mm's list, to the two digits that it gives.
    listed = "0.040 0.050 0.063 0.079 0.10 0.13 0.16 0.20 0.25 0.32 0.40 0.50 0.63 0.79 1.0"
    assert [float(f"{c.displacement:.2g}") for c in found[:15]] == [
        float(x) for x in listed.split()
    ]
    for case in found:
        assert case.displacement * case.factor == pytest.approx(10)
        moves = [case.scene.motion, *(layer.motion for layer in case.scene.layers)]
        assert len(set(moves)) == len(moves)
        assert all(math.hypot(*m) == pytest.approx(case.displacement) for m in moves)


def test_the_background_may_move_twice_as_far_as_asked(sources: Sources) -> None:
    case = next(subpixel_cases(sources, 1))
    truth = render([case.scene], case.config, sources).m

    def exact(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        return truth

    (found,) = evaluate(exact, [case], sources)
    assert found.gain == pytest.approx(1, abs=0.01)
    assert found.displacement == case.displacement


def test_the_noise_levels(sources: Sources) -> None:
    found = list(noise_cases(sources, 1))
    assert len(found) == 21
    assert [c.photon_noise for c in found] == pytest.approx([10 ** (-2 + k / 5) for k in range(21)])
    assert {(c.displacement, c.factor) for c in found} == {(0.05, 200.0)}
    assert all(c.scene.motion == (0, 0) for c in found)


@pytest.mark.parametrize("level", [1.0, 4.0])
def test_photon_noise_has_the_variance_of_the_grey_level(level: float) -> None:
    for grey in (40, 160):
        flat = torch.full((1, 3, 128, 128), grey / 255)
        noisy = add_photon_noise(flat, level, generator(0)) * 255
        # Rounding adds a twelfth.
        assert noisy.var().item() == pytest.approx(level * grey + 1 / 12, rel=0.03)
        assert noisy.mean().item() == pytest.approx(grey, abs=0.5)


def test_what_is_magnified_is_noisy_and_the_truth_is_not(sources: Sources) -> None:
    low, *_, high = noise_cases(sources, 1)
    seen: list[torch.Tensor] = []

    def nothing(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        seen.extend([a, b])
        return b

    first, last = evaluate(nothing, [low, replace(low, photon_noise=high.photon_noise)], sources)
    assert first.photon_noise == pytest.approx(0.01)
    assert first.ssim == first.input_ssim
    assert last.input_ssim < 0.6 < first.input_ssim
    clean = render([low.scene], low.config, sources)
    assert (seen[0] - clean.a).abs().mean() < 0.01 < (seen[2] - clean.a).abs().mean()
    assert not torch.equal(seen[0] - clean.a, seen[1] - clean.b)


def test_the_clips(sources: Sources) -> None:
    found = list(sinusoid_cases(sources, 10))
    assert Counter(c.factor for c in found) == dict.fromkeys((5.0, 10.0, 20.0, 50.0, 100.0), 10)
    for index in range(0, 50, 5):
        same = found[index : index + 5]
        assert len({(c.scene.background, c.scene.layers) for c in same}) == 1
        (layer,) = same[0].scene.layers
        assert layer.motion == (0.0, 0.1)
        assert all(0 <= place <= 1 - layer.extent / 256 for place in layer.origin)


class Told:
    """Gives the frames that it was told to give, in their order."""

    stride = 1

    def __init__(self, answers: Iterator[torch.Tensor] | None = None) -> None:
        self.answers = answers

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return current - reference

    def render(self, current: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return current if self.answers is None else next(self.answers)


def test_scores_of_exact_and_of_untouched_clips(sources: Sources) -> None:
    case = list(sinusoid_cases(sources, 1, seed=3))[3]
    scenes = [clips.oscillate(case.scene, index) for index in range(PERIOD + 1)]
    assert [s.layers[0].motion[1] for s in scenes][3::6] == pytest.approx([0.1, -0.1])
    exact = (render([scene], case.config, sources).m for scene in scenes[1:])
    (made,) = evaluate_clips(Told(exact), [case], sources)
    (left,) = evaluate_clips(Told(), [case], sources)
    assert made.gain == pytest.approx(1, abs=0.01)
    assert made.ssim > 0.999
    assert left.gain == pytest.approx(1 / 50, abs=0.01)
    assert left.region_ssim == pytest.approx(left.input_region_ssim, abs=1e-6)
    assert left.region_ssim < made.region_ssim - 0.1
    assert PROTOCOLS["sinusoid"].repeats == 10


def test_noise_on_clips(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "achieved_gain", lambda *_: 1.0)
    case = next(sinusoid_cases(sources, 1))
    (clean,) = evaluate_clips(Told(), [case], sources)
    noisy, again = (next(evaluate_clips(Told(), [case], sources, noise=0.1)) for _ in range(2))
    assert noisy == again
    assert noisy.ssim < clean.ssim - 0.1


class Times:
    """Shows the change since the first frame so many times."""

    stride = 1

    def __init__(self, times: float) -> None:
        self.times = times

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return current - reference

    def render(
        self, current: torch.Tensor, motion: torch.Tensor, factor: torch.Tensor
    ) -> torch.Tensor:
        assert factor.item() == 20
        return current + (self.times - 1) * motion


@pytest.mark.parametrize("times", [0.5, 1.0, 3.0])
def test_what_noise_becomes(sources: Sources, times: float) -> None:
    found = measure_still(Times(times), sources, clips=1)
    assert found.noise_gain == pytest.approx(times, rel=0.07)
    assert found.flicker / found.input_flicker == pytest.approx(times, rel=0.07)
    # The difference of two normal variables: 2 sigma / sqrt(pi).
    assert found.input_flicker == pytest.approx(2 * 2.55 / math.sqrt(math.pi), rel=0.05)
    assert 0 < found.seconds < 5


def scored(gain: float, ssim: float, region: float) -> dict[str, Any]:
    score = {"gain": gain, "ssim": ssim, "region_ssim": region}
    score |= {"input_ssim": 0.5, "input_region_ssim": 0.4}
    return summarize_by([{**score, "factor": factor} for factor in (5.0, 10.0)], ["factor"])


def test_where_a_magnifier_is_not_ahead() -> None:
    judged = scored(0.95, 0.9, 0.3)
    rival = {"name": "rival", **scored(1.1, 0.9, 0.2)}
    found = cells_not_ahead(judged, [rival], ["factor"])
    cells = {(c["by"], c["value"], c["measure"], c["than"]) for c in found}
    places = [("all", None), ("factor", 5.0), ("factor", 10.0)]
    tie = {(*place, "ssim", "rival") for place in places}
    lost = {(*place, "region_ssim", "input") for place in places}
    assert cells == tie | lost
    assert next(c for c in found if c["than"] == "input")["other"] == pytest.approx(0.4)
    nearer = {"name": "nearer", **scored(1.02, 0.1, 0.1)}
    assert {c["measure"] for c in cells_not_ahead(judged, [nearer], [])} == {"gain", "region_ssim"}
