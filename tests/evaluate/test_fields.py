"""The protocol `fields`: its deformations, and scores of outputs whose gain is known."""

from collections import Counter

import numpy as np
import pytest
import torch

from magkit.evaluate import fields
from magkit.evaluate.fields import KINDS, FieldCase, evaluate_fields, field_cases
from magkit.synth.deformation import displacement, make_fields
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(ProceduralPictures(8), ProceduralCutouts(8))


def test_every_kind_at_every_amplitude(sources: Sources) -> None:
    found = list(field_cases(sources, 3))
    assert len(found) == 105
    assert set(Counter((c.kind, c.displacement) for c in found).values()) == {3}
    assert {c.displacement for c in found} == {0.05, 0.1, 0.2, 0.5, 1, 2, 4}
    assert all(8 <= c.factor <= 20 and c.factor * c.displacement <= 40.001 for c in found)
    assert found == list(field_cases(sources, 3))
    assert found != list(field_cases(sources, 3, seed=1))


def test_the_greatest_displacement_is_the_amplitude(sources: Sources) -> None:
    along = torch.linspace(-128, 128, 65, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(along, along, indexing="xy"))[None]
    for case in field_cases(sources, 4):
        field = displacement(make_fields([case.deformation], dtype=torch.float64), points)[0]
        assert field.norm(dim=0).max().item() == pytest.approx(case.displacement, rel=0.02)
        # No fold, wherever the factor takes it.
        down, across = (np.gradient(field.numpy(), 4.0, axis=axis) for axis in (1, 2))
        k = case.factor
        jacobian = (1 + k * across[0]) * (1 + k * down[1]) - k * k * across[1] * down[0]
        assert jacobian.min() > 0.3


def small(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> list[FieldCase]:
    monkeypatch.setattr(fields, "SIZE", 96)
    cases = [c for c in field_cases(sources, 1, seed=2) if c.displacement == 1]
    assert [c.kind for c in cases] == list(KINDS)
    return cases


def test_scores_of_exact_and_untouched_frames(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = small(sources, monkeypatch)
    answers = [c.scene(sources).frames(torch.tensor([c.factor])) for c in cases]
    made = iter(answers)
    exact = list(evaluate_fields(lambda *_: next(made), cases, sources))
    left = list(evaluate_fields(lambda *frames: frames[1], cases, sources))
    for case, one, other in zip(cases, exact, left, strict=True):
        assert one.gain == pytest.approx(1, abs=0.01)
        assert one.ssim > 0.999
        assert one.region_ssim > 0.999
        assert other.gain == pytest.approx(1 / case.factor, abs=0.01)
        assert (other.ssim, other.region_ssim) == (other.input_ssim, other.input_region_ssim)
        assert one.as_dict()["kind"] == case.kind


def test_what_the_input_does_not_show_is_not_judged(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "SIZE", 96)
    zooms = (c for c in field_cases(sources, 9) if c.kind == "zoom" and c.displacement == 1)
    case = next(c for c in zooms if c.deformation.matrix[0][0] < 0)  # new parts come in
    scene = case.scene(sources)
    seen = scene.visible(case.factor, 1.0)
    output = torch.where(seen, scene.frames(torch.tensor([case.factor])), torch.zeros(()))
    assert 0.5 < seen.float().mean() < 0.95
    (score,) = evaluate_fields(lambda *_: output, [case], sources)
    assert score.gain == pytest.approx(1, abs=0.01)
    assert score.ssim > 0.999


def test_frames_a_and_b(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    (case, *_) = small(sources, monkeypatch)
    asked = []

    def predict(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        asked.extend([a, b, torch.tensor(factor)])
        return b

    list(evaluate_fields(predict, [case], sources))
    exact = case.scene(sources).frames(torch.tensor([0.0, 1.0]))
    for seen, wanted in zip(asked[:2], exact, strict=True):
        assert (seen[0] - wanted).abs().max() <= 1.01 / 255  # the dither's step
    assert asked[2].item() == pytest.approx(case.factor)
