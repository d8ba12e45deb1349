"""The sizes at which pictures are optimised, one after the other."""

from dataclasses import replace

from magkit.invert.optimize import Stage, make_stages, refinement_stages
from magkit.invert.settings import make_settings

PLAIN = make_settings("thesis")


def test_stages_from_noise_and_from_a_frame() -> None:
    settings = replace(PLAIN, iterations=100, sizes=(0.25, 0.5, 1.0), shares=(0.5, 0.3, 0.2))
    plan = make_stages(settings, (256, 448))
    assert plan == [*(Stage((64, 112), 50), Stage((128, 224), 30), Stage((256, 448), 20))]
    assert refinement_stages(plan, 7) == [Stage((128, 224), 7), Stage((256, 448), 7)]
    assert refinement_stages(plan[2:], 7) == [Stage((256, 448), 7)]


def test_stages_are_of_sizes_that_a_target_can_take() -> None:
    settings = make_settings("fast", {"sizes": (0.1, 0.3, 1.0), "shares": (1.0, 1.0, 1.0)})
    found = [stage.size for stage in make_stages(settings, (96, 160), 32)]
    assert found == [(32, 64), (32, 64), (96, 160)]


def test_stages_of_small_pictures() -> None:
    settings = replace(PLAIN, sizes=(0.25, 0.5, 1.0), shares=(1, 1, 1))
    found = [stage.size for stage in make_stages(settings, (48, 96))]
    assert found == [(32, 64), (32, 64), (48, 96)]
    assert {stage.size for stage in make_stages(settings, (16, 24))} == {(16, 24)}
