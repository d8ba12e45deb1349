"""How methods are found and set up."""

from typing import Any

import pytest
from torch import nn

from magkit.errors import UsageError
from magkit.options import from_mapping, option_rows, parse_options
from magkit.plugins import registry
from magkit.selfsup.recipe import make_recipe
from magkit.specs import MapInfo

NAMES = ("moco", "byol", "scrl")


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_makes_a_method(name: str) -> None:
    spec = registry().method(name)
    assert next(iter(spec.presets)) == "small"
    assert {"small", "paper"} <= set(spec.presets)
    for preset in spec.presets.values():
        method = spec.build(
            from_mapping(spec.config, preset.options), MapInfo(channels=8, stride=4, centre=2)
        )
        assert isinstance(method, nn.Module)
        assert method.keyed
        assert {"batch", "lr", "optimizer", "weight_decay", "size"} <= set(preset.settings)
        make_recipe(preset.settings)  # refuses values that don't go together


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_is(name: str) -> None:
    assert all(row.help and row.default for row in option_rows(registry().method(name).config))


def test_published_values_are_the_papers() -> None:
    moco, byol, scrl = (registry().method(name) for name in NAMES)
    config: Any = from_mapping(moco.config, moco.presets["paper"].options)
    assert (config.queue, config.temperature, config.tau) == (65536, 0.2, 0.999)
    config = from_mapping(byol.config, byol.presets["paper"].options)
    assert (config.hidden, config.dim, config.tau) == (4096, 256, 0.996)
    config = from_mapping(scrl.config, scrl.presets["paper"].options)
    assert (config.boxes, config.min_size, config.max_iou) == (10, 32, 0.5)
    assert (config.aligned, config.whole) == (True, False)
    config = from_mapping(scrl.config, scrl.presets["compat"].options)
    assert (config.aligned, config.whole) == (False, True)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("moco", "queue=0"),
        ("moco", "temperature=0"),
        ("moco", "tau=1.5"),
        ("byol", "hidden=0"),
        ("byol", "tau=-0.1"),
        ("scrl", "boxes=0"),
        ("scrl", "candidates=5"),
        ("scrl", "max_iou=2"),
        ("scrl", "sampling=0"),
        ("byol", "queue=4096"),
    ],
)
def test_values_that_mean_nothing_are_refused(name: str, option: str) -> None:
    with pytest.raises(UsageError, match=option.partition("=")[0]):
        parse_options(registry().method(name).config, [option], f"method '{name}'")


def test_where_cells_look_goes_with_aligned_boxes() -> None:
    with pytest.raises(UsageError, match="centre"):
        parse_options(registry().method("scrl").config, ["centre=0.5", "aligned=no"])


def test_scrl_reads_where_the_encoder_looks_unless_told_otherwise() -> None:
    spec, maps = registry().method("scrl"), MapInfo(channels=8, stride=2, centre=0.5)
    told = spec.build(spec.config(hidden=8, dim=4), maps)
    other = spec.build(spec.config(hidden=8, dim=4, centre=1.0), maps)
    assert [getattr(method, "centre", None) for method in (told, other)] == [0.5, 1.0]
