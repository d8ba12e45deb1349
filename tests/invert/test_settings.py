"""Settings: presets, what is refused, how steps are shared out."""

import math
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.invert.settings import (
    OWNER,
    PRESETS,
    WEIGHTS,
    InvertSettings,
    make_settings,
    setting_names,
)
from magkit.options import from_mapping, option_rows


def test_the_thesis() -> None:
    """Adam at 0.1 for 2,000 steps, full size, from noise; five terms, by their published names."""
    found = make_settings("thesis")
    assert (found.iterations, found.lr, found.final_lr_ratio) == (2000, 0.1, 1.0)
    assert (found.beta1, found.beta2, found.noise, found.plateau) == (0.9, 0.999, 0, 0)
    assert (found.size, found.sizes, found.steps()) == (0, (1.0,), [2000])
    assert (found.jitter, found.flip, found.clip, found.start) == (0, 0, False, "noise")
    assert found.axes == "plain"
    assert (found.bn_form, found.bn_first, found.bn_region) == ("plain", 1, 1)
    counted = {name for name in WEIGHTS if getattr(found, name)}
    assert counted - {"other"} == {"mask", "bn", "var_l2", "l2_norm"}


def test_the_preset_that_is_the_default() -> None:
    assert make_settings("fast") == InvertSettings()


def test_later_tables_outdo_earlier_ones() -> None:
    found = make_settings(
        "thesis", {"lr": 0.5, "bn": 2}, {"bn": 3.5, "sizes": [0.5, 1], "shares": "1,1"}
    )
    assert (found.lr, found.bn, found.iterations) == (0.5, 3.5, 2000)
    assert (found.sizes, found.shares) == ((0.5, 1.0), (1.0, 1.0))


def test_an_unknown_preset() -> None:
    with pytest.raises(UsageError, match="no preset is named 'thessis'") as refused:
        make_settings("thessis")
    assert refused.value.hint.startswith("did you mean 'thesis'?")


def test_an_unknown_setting() -> None:
    with pytest.raises(UsageError, match="no option of the inversion is named 'lrr'") as refused:
        make_settings("fast", {"lrr": 1})
    assert "'lr'" in refused.value.hint


@pytest.mark.parametrize(
    "name", ["iterations", "keyframe_steps", "warm_steps", "window", "keyframe", "batch"]
)
def test_numbers_that_are_at_least_one(name: str) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        make_settings("fast", {name: 0})
    assert getattr(make_settings("fast", {name: 1}), name) == 1


@pytest.mark.parametrize("name", [*WEIGHTS, "noise", "bn_first", "bn_region", "jitter", "seed"])
def test_what_must_not_be_negative(name: str) -> None:
    with pytest.raises(UsageError, match="must not be negative"):
        make_settings("fast", {name: -1})
    assert getattr(make_settings("fast", {name: 0}), name) == 0


@pytest.mark.parametrize("name", [*WEIGHTS, "noise", "lr", "bn_first", "bn_region"])
@pytest.mark.parametrize("value", [math.inf, math.nan, "inf", "nan"])
def test_weights_are_numbers(name: str, value: object) -> None:
    with pytest.raises(UsageError):
        make_settings("fast", {name: value})


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"lr": 0}, "lr must be above 0"),
        ({"beta1": 1}, "beta1 and beta2"),
        ({"beta2": -0.1}, "beta1 and beta2"),
        ({"sizes": (0.5, 1), "shares": (1,)}, "as many"),
        ({"sizes": (), "shares": ()}, "at least one"),
        ({"sizes": (0.5, 0.75), "shares": (1, 1)}, "end with 1"),
        ({"sizes": (0, 1), "shares": (1, 1)}, "sizes must be above 0"),
        ({"sizes": (2, 1), "shares": (1, 1)}, "at most 1"),
        ({"sizes": (math.inf, 1), "shares": (1, 1)}, "sizes. of the inversion must be of the form"),
        ({"sizes": (1,), "shares": (0,)}, "shares must be above 0"),
        ({"sizes": (1,), "shares": (math.inf,)}, "shares. of the inversion must be of the form"),
        ({"size": 31}, "at least 32, or 0"),
        ({"size": -1}, "at least 32, or 0"),
        ({"flip": 1.1}, r"in \[0, 1\]"),
        ({"final_lr_ratio": -0.1}, r"in \[0, 1\]"),
        ({"plateau": 1}, r"in \[0, 1\)"),
        ({"precision": "half"}, "auto|full|bf16"),
        ({"start": "after"}, "before|noise"),
        ({"bn_form": "L1"}, "scaled|plain"),
        ({"iterations": "many"}, "a whole number"),
        ({"iterations": 1.5}, "a whole number"),
        ({"clip": "maybe"}, "true or false"),
    ],
)
def test_refusals(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_settings("fast", table)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_shares_and_sizes_are_numbers_for_callers_too(value: float) -> None:
    with pytest.raises(ValueError, match="sizes"):
        InvertSettings(sizes=(value, 1.0), shares=(1.0, 1.0))
    with pytest.raises(ValueError, match="shares"):
        InvertSettings(sizes=(0.5, 1.0), shares=(value, 1.0))


@given(
    iterations=st.integers(1, 5000),
    shares=st.lists(st.floats(0.01, 100), min_size=1, max_size=6),
)
def test_steps_of_stages(iterations: int, shares: list[float]) -> None:
    found = InvertSettings(
        iterations=iterations, sizes=(1.0,) * len(shares), shares=tuple(shares)
    ).steps()
    assert len(found) == len(shares)
    assert min(found) >= 1
    for steps, share in zip(found, shares, strict=True):
        exact = iterations * share / sum(shares)
        assert steps == 1 or abs(steps - exact) <= 0.5 + 1e-9


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_through_a_table_and_back(preset: str) -> None:
    made = make_settings(preset)
    assert from_mapping(InvertSettings, asdict(made), OWNER) == made


def test_every_setting_is_explained() -> None:
    rows = option_rows(InvertSettings)
    assert [row.key for row in rows] == setting_names()
    assert all(row.help for row in rows)
    assert set(WEIGHTS) <= set(setting_names())
