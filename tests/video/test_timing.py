"""Rates and times from time stamps, against clips whose times are known exactly."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.video.info import fit_timing, is_constant, nominal_rate

RATES = [Fraction(24), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60), Fraction(240)]
BASES = [Fraction(1, 1000), Fraction(1, 600), Fraction(1, 90000), Fraction(1, 12800)]


@given(
    rate=st.sampled_from(RATES),
    base=st.sampled_from(BASES),
    count=st.integers(2, 2000),
    down=st.booleans(),
    offset=st.integers(-(10**6), 10**6),
)
def test_a_rate_survives_rounding_to_ticks(
    rate: Fraction, base: Fraction, count: int, down: bool, offset: int
) -> None:
    exact = [number / rate / base for number in range(count)]
    # Muxers round down or half up.
    ticks = [offset + math.floor(time if down else time + Fraction(1, 2)) for time in exact]
    assert fit_timing(ticks, base, 0, [rate]).times is None
    assert fit_timing(ticks, base, 0, [rate]).rate == rate


@given(
    count=st.integers(40, 300),
    lost=st.integers(5, 30),
    base=st.sampled_from([*BASES, Fraction(1, 30)]),
)
def test_one_frame_that_is_missing_is_never_overlooked(
    count: int, lost: int, base: Fraction
) -> None:
    rate = Fraction(30)
    kept = [number for number in range(count) if number != lost]
    timing = fit_timing([round(number / rate / base) for number in kept], base, 0, [rate])
    assert timing.times is not None
    assert timing.times[:-1] == pytest.approx([number / 30 for number in kept], abs=float(base))


@given(st.lists(st.integers(2, 500), min_size=3, max_size=200))
def test_times_are_the_stamps_and_rise(steps: list[int]) -> None:
    ticks = [sum(steps[:number]) for number in range(len(steps))]
    base = Fraction(1, 1000)
    timing = fit_timing(ticks, base, steps[-1])
    if timing.times is None:
        assert is_constant(ticks, base, timing.rate)
        return
    assert timing.times == pytest.approx([tick / 1000 for tick in [*ticks, sum(steps)]])
    assert float(timing.rate) == pytest.approx(len(steps) / sum(steps) * 1000, rel=1e-3)


def test_frames_that_share_a_tick_keep_their_order() -> None:
    timing = fit_timing([0, 40, 40, 40, 200], Fraction(1, 1000), 0, [Fraction(25)])
    assert timing.times is not None
    assert timing.times == pytest.approx([0, 0.04, 0.04, 0.04, 0.2, 0.36], abs=1e-4)
    assert all(a < b for a, b in zip(timing.times, timing.times[1:], strict=False))


def test_the_last_frame_lasts_as_it_says_or_as_long_as_the_one_before() -> None:
    ticks, base = [0, 100, 150, 400], Fraction(1, 1000)
    assert fit_timing(ticks, base, 70).times == pytest.approx((0, 0.1, 0.15, 0.4, 0.47))
    assert fit_timing(ticks, base, 0).times == pytest.approx((0, 0.1, 0.15, 0.4, 0.65))


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(10**6), Fraction(-3)])
def test_an_impossible_rate_is_none(rate: Fraction) -> None:
    assert nominal_rate(rate) == 25


@pytest.mark.parametrize("ticks", [[], [7]])
def test_few_frames_have_the_rate_that_is_stated(ticks: list[int]) -> None:
    assert fit_timing(ticks, Fraction(1, 1000), 0, [Fraction(50)]).rate == 50
