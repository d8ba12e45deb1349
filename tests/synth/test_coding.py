"""Clips coded as H.264: whose frames A and B become, and when."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from magkit.synth import triplets as module
from magkit.synth.coding import CRF, FRAMES, FURTHEST, Coding, Path, code, draw_coding, draw_path
from magkit.synth.records import SceneConfig
from magkit.synth.render import Sources
from magkit.synth.stream import SceneBatches
from magkit.synth.triplets import Degradation, Triplets, degrade

SETTINGS = Coding(frames=4, crf=4, preset="veryfast", keyint=3, bframes=2)
NAMES = ("a", "b", "c", "m", "factor", "motion", "moving")


def equal(one: Triplets, other: Triplets) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in NAMES)


@given(st.integers(0, 2**32), st.integers(2, 12))
@hypothesis_settings(max_examples=200, deadline=None)
def test_a_path_leads_from_a_to_b(seed: int, count: int) -> None:
    path = draw_path(np.random.default_rng(seed), count)
    assert 0 <= path.a < path.b < count == len(path.scales)
    assert path.scales[path.a] == pytest.approx(0, abs=1e-12)
    assert path.scales[path.b] == pytest.approx(1)
    assert max(map(abs, path.scales)) <= FURTHEST + 1e-12


def test_settings_cover_what_is_asked_for() -> None:
    drawn = [draw_coding(np.random.default_rng(seed)) for seed in range(400)]
    assert {c.crf for c in drawn} == set(range(CRF[0], CRF[1] + 1))
    assert {c.frames for c in drawn} == set(range(FRAMES[0], FRAMES[1] + 1))
    assert {c.bframes for c in drawn} == {0, 1, 2, 3}
    assert {1, 12, 250} <= {c.keyint for c in drawn}


def test_every_frame_of_every_clip_comes_back_to_its_place() -> None:
    levels = torch.arange(12).view(3, 4, 1, 1, 1) * 18 + 20
    clips = levels.expand(-1, -1, 3, 32, 48).byte()
    clips = torch.cat([clips, clips + 9], -1)  # no two places alike
    coded = code(clips, SETTINGS)
    assert coded.shape == clips.shape
    inner = (coded.int() - clips.int())[..., 4:-4, 4:44].abs()
    assert inner.max() <= 3


def batch(count: int = 4, side: int = 32) -> Triplets:
    grey = torch.full((count, 3, side, side), 0.5)
    shape = (count, 1, side, side)
    return Triplets(
        **dict.fromkeys("abcm", grey),
        factor=torch.ones(count),
        motion=torch.zeros(count, 2, side, side),
        moving=torch.zeros(shape),
    )


class Filmed:
    """Frames as grey as their scale, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[float]]] = []

    def __call__(self, n: int, scales: Sequence[float]) -> torch.Tensor:
        self.asked.append((n, list(scales)))
        grey = torch.tensor(scales).view(-1, 1, 1, 1) * 0.3 + 0.45
        return grey.expand(-1, 3, 32, 32)


@pytest.fixture
def uncoded(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The clips that would be coded, which come back as they are."""
    clips: list[torch.Tensor] = []

    def keep(given: torch.Tensor, _: Coding) -> torch.Tensor:
        clips.append(given)
        return given

    monkeypatch.setattr(module, "code", keep)
    return clips


def test_a_and_b_are_frames_of_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path((-0.5, 0.0, 0.4, 1.0), 1, 3)
    monkeypatch.setattr(module, "draw_coding", lambda _: SETTINGS)
    monkeypatch.setattr(module, "draw_path", lambda *_: path)
    clips: list[torch.Tensor] = []

    def keep(given: torch.Tensor, coding: Coding) -> torch.Tensor:
        assert coding == SETTINGS
        clips.append(given)
        return given + 3

    monkeypatch.setattr(module, "code", keep)
    film, clean = Filmed(), batch()
    clean = replace(clean, a=clean.a - 0.05, b=clean.b + 0.25, c=clean.c + 0.2)
    made = degrade(clean, Degradation(noise=0, x264=1.0), 0, 0, film)
    scales = [[-0.5, 0.4]] * 4
    assert film.asked == list(enumerate(scales))
    greys = torch.tensor([0.3, 0.45, 0.57, 0.75]) * 255
    for clip in clips[0]:
        means = clip.float().mean((1, 2, 3))
        torch.testing.assert_close(means, greys, atol=0.55, rtol=0)
    step = 3 / 255
    torch.testing.assert_close(made.a, clean.a + step, atol=0.5 / 255, rtol=0)
    torch.testing.assert_close(made.b, clean.b + step, atol=0.5 / 255, rtol=0)
    torch.testing.assert_close(made.c, clean.c + step, atol=0.5 / 255, rtol=0)
    assert torch.equal(made.m, clean.m)


def test_all_frames_of_a_clip_are_as_noisy(uncoded: list[torch.Tensor]) -> None:
    for kind in (Degradation(noise=0.9, x264=1.0), Degradation(noise=0, read_noise=0.1, x264=1.0)):
        degrade(batch(), kind, 5, 0, lambda _, s: torch.full((len(s), 3, 32, 32), 0.5))
        for clip in uncoded.pop():
            spreads = clip.float().std((1, 2, 3))
            assert spreads.max() < 1.15 * spreads.min()
            assert spreads.min() > 0.5
            assert len({frame.numpy().tobytes() for frame in clip}) == len(clip)


def test_without_a_film_scenes_rest_at_a_then_at_b(uncoded: list[torch.Tensor]) -> None:
    given = replace(batch(), a=batch().a - 0.5, b=batch().b + 0.5)
    degrade(given, Degradation(noise=0, x264=1.0), 1, 0)
    assert set(uncoded[0].flatten().tolist()) == {0, 255}


def test_four_scenes_of_consecutive_numbers_share_a_stream(uncoded: list[torch.Tensor]) -> None:
    levels = torch.arange(10) / 10
    given = replace(batch(10), a=levels.view(-1, 1, 1, 1).expand(-1, 3, 32, 32))
    degrade(given, Degradation(noise=0, x264=1.0), 1, 0)
    firsts = [[round(clip.min().item() / 25.5) for clip in clips] for clips in uncoded]
    assert [len(clips) for clips in firsts] == [4, 4, 2]
    assert sum(firsts, [])[:6] == [0, 1, 2, 3, 4, 5]  # noqa: RUF017


def test_a_share_of_scenes_is_coded_always_alike(procedural: Sources) -> None:
    config = SceneConfig(size=32, objects=(0, 1), deform=0.5)
    kind = Degradation(noise=0, x264=0.4)
    coded = SceneBatches(config, procedural, seed=3, batch=40, steps=2, degradation=kind)
    plain = SceneBatches(config, procedural, seed=3, batch=40, steps=2)
    made = coded[1]
    changed = (made.b != plain[1].b).flatten(1).any(1)
    assert 0.15 < changed.float().mean() < 0.65
    assert torch.equal(changed, (made.a != plain[1].a).flatten(1).any(1))
    assert torch.equal(made.m, plain[1].m)
    assert equal(made, coded[1])
