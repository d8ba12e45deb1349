"""What can be asked of a magnifier, and what can't."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.magnify.band import (
    MAX_AVERAGE,
    Band,
    Mode,
    Ramp,
    bands_of,
    check_request,
    parse_band,
    parse_bands,
    parse_ramp,
)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0.4-3", 0.4, 3),
        ("0-2", 0, 2),
        (" 72-92 ", 72, 92),
        (".04-.4", 0.04, 0.4),
        ("1e-3-2", 1e-3, 2),
    ],
)
def test_bands_that_are_understood(text: str, low: float, high: float) -> None:
    assert parse_band(text) == Band(low, high)


@pytest.mark.parametrize(
    "text",
    ["", "3", "3-", "-3", "-1-3", "3-1", "2-2", "nan-3", "0.4-nan", "1-inf", "a-b", "1-2-3", "1:2"],
)
def test_bands_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no band of frequencies") as raised:
        parse_band(text)
    assert "LO-HI" in raised.value.hint


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_band_is_what_was_written(low: float, high: float) -> None:
    if low < high:
        assert parse_band(f"{low!r}-{high!r}".replace("e+", "e")) == Band(low, high)


def test_bands_that_nothing_can_be() -> None:
    for low, high in ((math.nan, 3), (1, math.nan), (-1, 3), (1, math.inf)):
        with pytest.raises(UsageError):
            Band(low, high)


@pytest.mark.parametrize("rate", [math.nan, -30.0, 0.0, math.inf])
def test_rates_that_no_scene_was_filmed_at(rate: float) -> None:
    with pytest.raises(UsageError, match="rate of filming must be above 0"):
        Band(0.4, 3).check_rate(rate)


def test_the_rate_is_named() -> None:
    Band(1, 14.98).check_rate(Fraction(30000, 1001))
    with pytest.raises(UsageError, match=r"rate of 29.97 frames a second") as raised:
        Band(1, 14.99).check_rate(Fraction(30000, 1001))
    assert "14.985" in raised.value.hint


@pytest.mark.parametrize("factor", [-1, -0.001, 300.1, math.nan, math.inf])
def test_factors_that_are_refused(factor: float) -> None:
    with pytest.raises(UsageError, match="factor must be from 0 to 300"):
        check_request(factor, "static")


def test_a_band_needs_the_first_frame() -> None:
    check_request(10, "static", Band(1, 2))
    with pytest.raises(UsageError, match="mode static"):
        check_request(10, "dynamic", Band(1, 2))


@pytest.mark.parametrize("limit", [-1, -0.001, math.nan, math.inf])
def test_limits_that_are_refused(limit: float) -> None:
    check_request(10, "static", limit=0)
    with pytest.raises(UsageError, match="the limit must"):
        check_request(10, "static", limit=limit)


@pytest.mark.parametrize("average", [-1, 0, MAX_AVERAGE + 1])
def test_means_that_are_refused(average: int) -> None:
    check_request(10, "static", average=MAX_AVERAGE)
    with pytest.raises(UsageError, match=f"must be of 1 to {MAX_AVERAGE} frames"):
        check_request(10, "static", average=average)


@pytest.mark.parametrize("mode", ["dynamic", "follow"])
def test_only_a_fixed_reference_is_a_mean(mode: Mode) -> None:
    with pytest.raises(UsageError, match=f"the mode {mode} has no reference"):
        check_request(10, mode, average=8)


def test_a_path_is_no_band() -> None:
    check_request(10, "follow", Band(2, 3))
    with pytest.raises(UsageError, match="includes the path"):
        check_request(10, "follow", Band(0, 3))


def test_a_ramp_is_linear_in_time() -> None:
    ramp = parse_ramp("1-9")
    assert ramp.factors([0, 1, 2, 3, 4]) == pytest.approx([1, 3, 5, 7, 9])
    assert ramp.factors([5, 6, 9]) == pytest.approx([1, 3, 9])
    assert Ramp(20, 2.5).factors([0, 0.5, 1]) == pytest.approx([20, 11.25, 2.5])
    assert ramp.factors([3]) == [1]
    assert str(Ramp(20, 2.5)) == "20-2.5"


@pytest.mark.parametrize("text", ["", "5", "1-", "-1-5", "1-nan", "1-2-3", "a-b", "1-301", "400-1"])
def test_what_is_no_ramp(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ramp(text)


def test_several_bands_are_in_order() -> None:
    assert parse_bands(["5-6", "1-2"]) == (Band(1, 2), Band(5, 6))
    assert parse_bands([]) == bands_of(None) == ()
    assert bands_of(Band(1, 2)) == (Band(1, 2),)


@pytest.mark.parametrize(
    ("texts", "whole"),
    [(["1-2", "1.5-3"], "1-3"), (["2-3", "1-2"], "1-3"), (["1-9", "2-3"], "1-9")],
)
def test_bands_that_overlap_are_refused(texts: list[str], whole: str) -> None:
    with pytest.raises(UsageError, match="overlap or touch") as raised:
        parse_bands(texts)
    assert f"the band {whole}" in raised.value.hint


def test_no_band_of_several_suits_every_mode() -> None:
    check_request(10, "follow", [Band(1, 2), Band(5, 6)])
    with pytest.raises(UsageError, match="mode static"):
        check_request(10, "dynamic", [Band(1, 2), Band(5, 6)])
    with pytest.raises(UsageError, match="includes the path"):
        check_request(10, "follow", [Band(5, 6), Band(0, 2)])
