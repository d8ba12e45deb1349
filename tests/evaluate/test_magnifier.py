"""The protocol: its cases, the achieved gain of outputs whose gain is known, the scores."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from magkit.evaluate.cases import STILL_BACKGROUND, Case, cases
from magkit.evaluate.magnifier import Score, achieved_gain, evaluate, predictor
from magkit.evaluate.protocols import summarize, summarize_by
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources, render

SMALL = replace(STILL_BACKGROUND, size=96)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(ProceduralPictures(8), ProceduralCutouts(8))


def case(sources: Sources, displacement: float, factor: float, seed: int = 0) -> Case:
    wanted = (displacement, factor)
    return next(c for c in cases(sources, 1, seed) if (c.displacement, c.factor) == wanted)


def test_seventeen_pairs_each_as_often(sources: Sources) -> None:
    found = list(cases(sources, repeats=5))
    pairs = Counter((c.displacement, c.factor) for c in found)
    assert len(found) == 85
    assert len(pairs) == 17
    assert set(pairs.values()) == {5}
    assert max(d * f for d, f in pairs) <= 12
    assert {d for d, _ in pairs} == {0.05, 0.1, 0.2, 0.5, 1.0}
    assert {f for _, f in pairs} == {5, 10, 20, 50}
    assert len({c.scene for c in found}) == 85


def test_every_object_moves_by_the_length_and_nothing_else_does(sources: Sources) -> None:
    for c in cases(sources, repeats=3, seed=9):
        assert c.scene.factor == c.factor
        assert c.scene.motion == (0, 0)
        assert c.scene.kind == "static-background"
        assert c.scene.gain == (1, 1, 1)
        assert 2 <= len(c.scene.layers) <= 4
        for layer in c.scene.layers:
            assert math.hypot(*layer.motion) == pytest.approx(c.displacement, rel=1e-12)


def test_cases_are_a_function_of_the_seed(sources: Sources) -> None:
    assert list(cases(sources, 1, 4)) == list(cases(sources, 1, 4))
    assert list(cases(sources, 1, 4)) != list(cases(sources, 1, 5))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 1.3])
@pytest.mark.parametrize(("displacement", "factor"), [(0.05, 10.0), (0.2, 50.0), (1.0, 5.0)])
def test_the_gain_of_an_exact_output(
    sources: Sources, displacement: float, factor: float, share: float
) -> None:
    scene = case(sources, displacement, factor).scene
    moving = (render([scene], SMALL, sources).moving > 0.5).float()
    output = render([replace(scene, factor=factor * share)], SMALL, sources).m  # with dither
    found = achieved_gain(output[0], moving[0], scene, SMALL, sources)
    assert found == pytest.approx(share, abs=0.01)


def test_scores_of_the_unmagnified_and_of_the_exact_frame(sources: Sources) -> None:
    judged = case(sources, 0.5, 20.0, seed=1)
    truth = render([judged.scene], STILL_BACKGROUND, sources, quantise=False).m

    def nothing(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        return b

    def everything(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        return truth

    (left,), (exact,) = (evaluate(p, [judged], sources) for p in (nothing, everything))
    assert left.gain == pytest.approx(1 / 20, abs=0.005)
    assert (left.ssim, left.region_ssim) == (left.input_ssim, left.input_region_ssim)
    assert exact.gain == pytest.approx(1, abs=0.005)
    assert exact.ssim > 0.98
    assert exact.region_ssim > 0.97
    assert exact.input_ssim == left.input_ssim
    assert left.region_ssim < left.ssim < exact.ssim


def test_what_a_magnifier_is_asked() -> None:
    class Recorder:
        stride = 1

        def encode(self, frames: torch.Tensor) -> torch.Tensor:
            return frames

        def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
            return current - reference

        def render(
            self, current: torch.Tensor, motion: torch.Tensor, factor: torch.Tensor
        ) -> torch.Tensor:
            return current + motion * (factor - 1).view(-1, 1, 1, 1)

    a, b = torch.full((1, 3, 8, 8), 0.4), torch.full((1, 3, 8, 8), 0.5)
    made = predictor(Recorder())(a, b, 3.0)
    torch.testing.assert_close(made, torch.full((1, 3, 8, 8), 0.7))
    assert predictor(Recorder())(a, b, 90.0).max() == 1


def score(**changed: float) -> Mapping[str, float]:
    values: dict[str, Any]
    values = {field.name: 0.5 for field in fields(Score) if field.name != "more"}
    return Score(**{**values, **changed}).as_dict()


def test_summaries() -> None:
    gains = (0.2, 0.95, 1.04, 1.3, 1.08)
    rows = [score(gain=gain, ssim=0.1 * n) for n, gain in enumerate(gains)]
    made = summarize(rows)
    assert made["cases"] == 5
    assert made["gain"] == 1.04
    assert made["near"] == pytest.approx(3 / 5)
    assert made["ssim"] == pytest.approx(0.2)
    assert made["median_ssim"] == pytest.approx(0.2)
    assert made["input_region_ssim"] == 0.5


def test_a_report_by_displacement_and_factor() -> None:
    rows = [score(displacement=d, factor=f, gain=d) for d in (1.0, 0.1) for f in (5.0, 10.0, 20.0)]
    made: dict[str, Any] = json.loads(json.dumps(summarize_by(rows)))
    assert made["all"]["cases"] == 6
    assert [(row["displacement"], row["cases"], row["gain"]) for row in made["displacement"]] == [
        (0.1, 3, 0.1),
        (1.0, 3, 1.0),
    ]
    assert [row["factor"] for row in made["factor"]] == [5, 10, 20]
    assert made["cases"] == rows
