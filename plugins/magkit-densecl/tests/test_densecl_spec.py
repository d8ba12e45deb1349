"""Options, presets, and data that don't go with them."""

from typing import Any

import pytest
import torch
from magkit_densecl.spec import SPEC, DenseClConfig, check, magkit_methods

from magkit import MapInfo, UsageError
from magkit.options import from_mapping, option_rows, parse_options


def test_the_hook_gives_the_method() -> None:
    assert list(magkit_methods()) == [SPEC]
    assert list(SPEC.presets) == ["small", "paper"]
    assert all(row.help and row.default for row in option_rows(SPEC.config))


@pytest.mark.parametrize("name", SPEC.presets)
def test_every_preset_makes_a_method(name: str) -> None:
    preset = SPEC.presets[name]
    config = from_mapping(SPEC.config, preset.options)
    method: Any = SPEC.build(config, MapInfo(channels=8, stride=4, centre=2))
    assert issubclass(type(method), torch.nn.Module)
    assert method.keyed
    assert method.embed(torch.rand(2, 8, 24, 24)).shape == (2, 2 * config.dim)
    assert {"batch", "lr", "optimizer", "weight_decay", "size"} <= set(preset.settings)
    assert preset.why


def test_published_values_are_the_papers() -> None:
    config: Any = from_mapping(SPEC.config, SPEC.presets["paper"].options)
    assert (config.queue, config.temperature, config.tau) == (65536, 0.2, 0.999)
    assert (config.hidden, config.dim, config.grid, config.dense) == (2048, 128, 7, 0.5)
    settings = SPEC.presets["paper"].settings
    assert (settings["lr"], settings["batch"], settings["weight_decay"]) == (0.03, 256, 1e-4)


@pytest.mark.parametrize(
    "option",
    [
        "hidden=0",
        "dim=0",
        "queue=0",
        "grid=0",
        "grid=7.5",
        "temperature=0",
        "tau=1.5",
        "dense=-0.1",
        "dense=2",
        "boxes=3",
    ],
)
def test_values_that_mean_nothing_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match=option.partition("=")[0]):
        parse_options(SPEC.config, [option], "method 'densecl'")


@pytest.mark.parametrize(
    ("queue", "frames", "batch", "said", "hint"),
    [
        (512, 200, 64, "512 keys are larger than the data, 200 frames", "--opt queue=100"),
        (512, 200, 128, "larger than the data", "--opt queue=128"),
        (512, 8, 64, "larger than the data, 8 frames", "--batch"),
        (32, 200, 64, "64 keys don't fit queues of 32", "--opt queue=64"),
    ],
)
def test_queues_that_do_not_suit_the_data_are_refused(
    queue: int, frames: int, batch: int, said: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        check(DenseClConfig(queue=queue), frames, batch)
    assert hint in caught.value.hint


def test_queues_that_suit_the_data_pass() -> None:
    check(DenseClConfig(queue=64), 64, 64)
    check(DenseClConfig(queue=512), 1000, 64)
