"""Settings by name: the preset, what outdoes it, and what is refused."""

import json

import pytest

from magkit.errors import UsageError
from magkit.finetune.recipe import make_recipe
from magkit.plugins import registry
from magkit.synth.scene import SceneConfig


def test_the_papers_network_is_trained_as_in_the_paper() -> None:
    """Oh et al., section 4: Adam at 1e-4 without decay, four scenes of 384 pixels, noise to 0.3."""
    recipe = make_recipe(registry().magnifier("magnet").preset)
    assert (recipe.train.lr, recipe.train.beta1, recipe.train.beta2) == (1e-4, 0.9, 0.999)
    assert (recipe.train.warmup, recipe.train.final_lr_ratio) == (0, 1.0)
    assert (recipe.batches.batch, recipe.degradation.noise) == (4, 0.3)
    assert recipe.scenes == SceneConfig(size=384, factors=(2, 100))
    assert (recipe.scenes.max_motion, recipe.scenes.magnified[1]) == (10, 30)
    assert recipe.scenes.objects == (7, 15)


@pytest.mark.parametrize("name", ["magnet", "magnet-fast"])
def test_every_preset_is_made_of_settings(name: str) -> None:
    preset = registry().magnifier(name).preset
    recipe = make_recipe(preset)
    found = recipe.result_settings()
    tuples = {key: list(value) for key, value in found.items() if isinstance(value, tuple)}
    assert json.loads(json.dumps(found)) == found | tuples
    assert {key: found[key] for key in preset} == dict(preset)


def test_later_layers_outdo_earlier_ones_and_texts_are_understood() -> None:
    recipe = make_recipe(
        {"lr": 1e-3, "batch": 8, "warmup": 10}, {"lr": "0.5", "factors": "3,7"}, {"batch": 2}
    )
    assert (recipe.train.lr, recipe.train.warmup, recipe.batches.batch) == (0.5, 10, 2)
    assert recipe.scenes.factors == (3.0, 7.0)


def test_the_settings_of_magkit_0_1_are_understood() -> None:
    assert make_recipe({"final": 0.25}).train.final_lr_ratio == 0.25


def test_how_often_something_is_written_changes_no_result() -> None:
    one, other = make_recipe({"save_every": 1}), make_recipe({"sample_every": 2})
    assert one.result_settings() == other.result_settings()
    assert make_recipe({"seed": 1}).result_settings() != one.result_settings()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"warm_up": 3}, "did you mean 'warmup'"),
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "whole number"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"noise": -1}, "noise must be in"),
        ({"coded": 1.5}, "coded must be in"),
        ({"size": 8}, "size must be at least 16"),
        ({"factors": "100,2"}, "low <= high"),
        ({"factors": "5"}, "float,float"),
    ],
    ids=str,
)
def test_settings_that_are_refused(setting: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_recipe(setting)
    assert words in f"{caught.value.message} {caught.value.hint}"
