"""What is drawn for scenes like real clips: within its limits, and nothing where it is off."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.data.plan import draw_digest
from magkit.synth.deformation import MAX_STRAIN, Deformation
from magkit.synth.instants import longest
from magkit.synth.records import VARIETY, Scene, SceneConfig, as_table
from magkit.synth.scene import draw_scene
from magkit.synth.variety import EXPOSED, draw_deformation

CONFIG = SceneConfig(size=128, factors=(2, 100))
ALL = replace(CONFIG, **dict.fromkeys(VARIETY, 1.0))  # type: ignore[arg-type]
seeds, indices = st.integers(0, 2**63), st.integers(0, 2**31)


def draw(index: int, seed: int = 0, **shares: Any) -> Scene:
    return draw_scene(replace(CONFIG, **shares), 50, 70, seed, index)


def reach(scene: Scene) -> float:
    return max(math.hypot(*part.motion) for part in scene.parts)


def test_without_them_scenes_are_drawn_as_they_always_were() -> None:
    # Digests of the release before these settings.
    assert draw_digest(SceneConfig(size=96), 2048, 2048, 0) == "8a15177220085754"
    config = SceneConfig(size=128, factors=(2.0, 100.0), objects=(5, 11))
    assert draw_digest(config, 2048, 2048, 0) == "fdaddd75b869bd7c"


def test_what_is_off_is_not_recorded() -> None:
    names = {"size", "factors", "max_motion", "magnified", "objects", "extents", "zoom"}
    assert as_table(SceneConfig()).keys() == {*names, "colour", "kinds"}
    table = as_table(SceneConfig(deform=0.5, far_motion=(20.0, 30.0)))
    assert (table["deform"], table["far_motion"]) == (0.5, [20.0, 30.0])
    plain = as_table(next(scene for scene in map(draw, range(9)) if scene.layers))
    assert not {"deformation", "shutter", "far"} & {*plain, *plain["layers"][0]}
    rich = as_table(draw_scene(ALL, 50, 70, 0, 1))
    assert {"ground", "exposure"} <= rich.keys()


@settings(max_examples=40, deadline=None)
@given(seeds, indices)
def test_a_scene_is_a_function_of_seed_and_index(seed: int, index: int) -> None:
    scene = draw_scene(ALL, 50, 70, seed, index)
    assert scene == draw_scene(ALL, 50, 70, seed, index)
    assert scene != draw_scene(ALL, 50, 70, seed, index + 1)
    assert scene != draw_scene(ALL, 50, 70, seed + 1, index)


@pytest.mark.parametrize("name", VARIETY)
def test_a_share_of_scenes_has_it(name: str) -> None:
    plain = [draw(index) for index in range(300)]
    share: dict[str, Any] = {name: 0.5}
    scenes = [draw(index, **share) for index in range(300)]
    changed = [a != b for a, b in zip(plain, scenes, strict=True)]
    if name in ("lines", "light"):
        assert sum(changed) / 300 == pytest.approx(0.5, abs=0.1)
    assert 30 < sum(changed) < 190
    # The others' decisions do not depend on it.
    shares: dict[str, Any] = {name: 0.5, "light": 0.5}
    both = [draw(index, **shares) for index in range(100)]
    light = [draw(index, light=0.5) for index in range(100)]
    assert [s.flicker for s in both] == [s.flicker for s in light]


@settings(max_examples=150, deadline=None)
@given(seeds, indices)
def test_deformations_never_fold_and_keep_the_reach(seed: int, index: int) -> None:
    plain, scene = draw(index, seed), draw(index, seed, deform=1.0)
    limit = reach(plain)
    for part, before, radius in zip(
        scene.parts, plain.parts, (64, *(x.extent / 2 for x in plain.layers)), strict=True
    ):
        field = part.deformation or Deformation()
        assert scene.factor * field.strain < MAX_STRAIN
        assert field.reach(radius) <= 2 * limit + 1e-9
        assert math.hypot(*part.motion) <= math.hypot(*before.motion) + 1e-12
        assert part.moves == before.moves
        assert not (part.deformation and not any(before.motion))


def test_deformations_reach_what_they_are_asked_for() -> None:
    """Where the strain allows it."""
    rng = np.random.default_rng(0)
    fields = [draw_deformation(rng, 64.0, 0.01, 10.0) for _ in range(200)]
    y, x = np.mgrid[-64:65, -64:65].astype(float)
    inside = np.hypot(x, y) <= 64
    longest = []
    for field in fields:
        (a, b), (c, d) = field.matrix
        dx, dy = a * x + b * y, c * x + d * y
        for w in field.waves:
            sine = np.sin(w.vector[0] * x + w.vector[1] * y + w.phase)
            dx, dy = dx + w.amplitude[0] * sine, dy + w.amplitude[1] * sine
        longest.append(np.hypot(dx, dy)[inside].max() / 0.01)
    assert np.median(longest) == pytest.approx(1, abs=0.1)
    assert min(longest) > 0.2
    assert max(longest) < 2.01
    assert sum(not f.waves for f in fields) > 20
    assert sum(not Deformation(matrix=f.matrix).strain for f in fields) > 60


@settings(max_examples=100, deadline=None)
@given(seeds, indices)
def test_far_scenes_move_far_and_are_magnified_less(seed: int, index: int) -> None:
    plain, scene = draw(index, seed), draw(index, seed, far=1.0)
    if reach(plain) == 0:
        assert scene == plain
        return
    assert 10 - 1e-9 <= reach(scene) <= 60 + 1e-9
    assert scene.factor >= 1
    assert reach(scene) * scene.factor <= 80 + 1e-9
    for part, before in zip(scene.layers, plain.layers, strict=True):
        middle = [o + m / 128 / 2 for o, m in zip(part.origin, part.motion, strict=True)]
        assert middle == pytest.approx(before.origin)
        cross = part.motion[0] * before.motion[1] - part.motion[1] * before.motion[0]
        assert cross == pytest.approx(0, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(seeds, indices)
def test_a_camera_moves_what_is_nearer_further(seed: int, index: int) -> None:
    plain, scene = draw(index, seed), draw(index, seed, parallax=1.0)
    if plain.kind not in ("normal", "low-contrast"):
        assert scene == plain
        return
    lengths = [math.hypot(*part.motion) for part in scene.parts]
    assert lengths == sorted(lengths)
    assert lengths[-1] <= reach(plain) + 1e-12
    ways = [math.atan2(*part.motion) for part in scene.parts]
    assert ways == pytest.approx([ways[0]] * len(ways))


@settings(max_examples=100, deadline=None)
@given(seeds, indices)
def test_exposures_are_short(seed: int, index: int) -> None:
    scene = draw(index, seed, blur=1.0, deform=0.5)
    first, second = scene.exposure
    assert first in (0, second)
    assert second * longest(scene, 128) <= EXPOSED + 1e-9
    assert second <= scene.factor / 2
    assert (second > 0) == any(part.moves for part in scene.parts)


def test_light_and_grounds() -> None:
    scenes = [draw(index, light=1.0, lines=1.0) for index in range(200)]
    plain = [draw(index) for index in range(200)]
    assert all(s.flicker is None or 0 <= s.flicker.depth <= 0.15 for s in scenes)
    ratios = [a.gain[1] / b.gain[1] for a, b in zip(scenes, plain, strict=True)]
    assert math.exp(-0.25) <= min(ratios) < 0.85
    assert 1.17 < max(ratios) <= math.exp(0.25)
    assert all(s.flicker or r != 1 for s, r in zip(scenes, ratios, strict=True))
    assert {len(scene.layers) for scene in scenes} == {0, 1, 2}
    assert len({scene.ground for scene in scenes}) == 200


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: 1.1} for name in VARIETY),
        {"deform": -0.1},
        {"far_motion": (60.0, 10.0)},
        {"far_motion": (0.0, 10.0)},
        {"far_magnified": 50.0},
    ],
)
def test_a_config_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=name):
        replace(SceneConfig(), **wrong)
