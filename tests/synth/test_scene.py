"""What is drawn at random: within its limits, and a function of seed and index alone."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.synth.render import Sources, render
from magkit.synth.scene import KINDS, Kind, Scene, SceneConfig, draw_scene

CONFIG = SceneConfig()
SMALL = SceneConfig(size=64, factors=(2, 60), objects=(2, 4))
seeds, indices = st.integers(0, 2**63), st.integers(0, 2**31)


def draw(index: int, seed: int = 0, config: SceneConfig = CONFIG) -> Scene:
    return draw_scene(config, 50, 70, seed, index)


def lengths(scene: Scene) -> list[float]:
    return [math.hypot(*motion) for motion in (scene.motion, *(x.motion for x in scene.layers))]


def check_kind(scene: Scene) -> None:
    background, objects = any(scene.motion), any(any(layer.motion) for layer in scene.layers)
    assert background == (scene.kind in ("normal", "low-contrast", "background-motion"))
    assert objects == (scene.kind in ("normal", "low-contrast", "static-background"))
    assert (scene.layers == ()) == (scene.kind == "background-motion")


@settings(max_examples=300, deadline=None)
@given(seeds, indices)
def test_every_scene_keeps_the_limits(seed: int, index: int) -> None:
    scene = draw(index, seed)
    assert 2 <= scene.factor <= 300
    assert max(lengths(scene)) <= 10
    assert max(lengths(scene)) * scene.factor <= 30.001
    assert not scene.layers or 7 <= len(scene.layers) <= 15
    assert 0 <= scene.background < 50
    assert all(0 <= layer.number < 70 for layer in scene.layers)
    assert all(0.9 <= gain <= 1.15 or 0.85 <= gain <= 1.1 for gain in scene.gain)
    assert max(abs(offset) for offset in scene.offset) <= 0.075
    check_kind(scene)


@settings(max_examples=50, deadline=None)
@given(seeds, indices)
def test_a_scene_is_a_function_of_seed_and_index(seed: int, index: int) -> None:
    assert draw(index, seed) == draw(index, seed)
    assert draw(index, seed) != draw(index + 1, seed)
    assert draw(index, seed) != draw(index, seed + 1)


def test_many_scenes_cover_what_is_asked_for() -> None:
    scenes = [draw(index) for index in range(2000)]
    kinds = Counter(scene.kind for scene in scenes)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 300
    moved = [scene for scene in scenes if scene.kind not in ("static", "background-motion")]
    assert {len(scene.layers) for scene in moved} == set(range(7, 16))
    longest = [max(lengths(scene)) for scene in scenes if scene.kind != "static"]
    assert min(longest) < 0.01
    assert max(longest) > 7
    factors = [scene.factor for scene in scenes]
    assert sum(f < math.sqrt(600) for f in factors) / 2000 == pytest.approx(0.5, abs=0.05)
    angles = [math.atan2(*layer.motion) for scene in moved for layer in scene.layers]
    assert sum(angle > 0 for angle in angles) / len(angles) == pytest.approx(0.5, abs=0.03)
    assert any(scene.gain != (1, 1, 1) for scene in scenes)
    assert any(scene.gain == (1, 1, 1) and scene.offset == (0, 0, 0) for scene in scenes)


def test_a_few_kinds_alone() -> None:
    config = replace(CONFIG, kinds=("static",))
    assert {draw(index, config=config).kind for index in range(20)} == {"static"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 8},
        {"factors": (5.0, 2.0)},
        {"factors": (2.0, 301.0)},
        {"magnified": (0.0, 30.0)},
        {"max_motion": 0.0},
        {"objects": (9, 3)},
        {"extents": (0.0, 0.5)},
        {"zoom": (2.0, 1.0)},
        {"colour": 1.5},
        {"kinds": ()},
        {"kinds": ("odd",)},
    ],
)
def test_a_config_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_looks_like(kind: Kind, procedural: Sources) -> None:
    config = replace(SMALL, kinds=(kind,))
    scenes = [draw_scene(config, 12, 12, 0, index) for index in range(4)]
    made = render(scenes, config, procedural)
    level = 1.001 / 255
    if kind == "static":
        assert (made.a - made.c).abs().max() <= level
        assert (made.b - made.m).abs().max() <= level
        assert made.moving.max() == made.motion.abs().max() == 0
    elif kind == "static-background":
        still = (made.moving == 0).expand_as(made.a)
        assert still.any()
        assert (made.a - made.c)[still].abs().max() <= level
        assert made.moving.amax((1, 2, 3)).min() > 0.9
    else:
        assert made.moving.min() > 0.9 or kind != "background-motion"
        assert ((made.a - made.m).abs().amax((1, 2, 3)) > 2 * level).all()


def test_frames_do_not_depend_on_what_is_rendered_beside_them(procedural: Sources) -> None:
    scenes = [draw_scene(SMALL, 12, 12, 3, index) for index in range(5)]
    together = render(scenes, SMALL, procedural)
    turned = render(scenes[::-1], SMALL, procedural)
    for n, scene in enumerate(scenes):
        alone = render([scene], SMALL, procedural)
        for name in ("a", "b", "c", "m", "factor", "motion", "moving"):
            assert torch.equal(getattr(together, name)[n], getattr(alone, name)[0]), name
            assert torch.equal(getattr(turned, name)[4 - n], getattr(alone, name)[0]), name
