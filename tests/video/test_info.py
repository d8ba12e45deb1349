"""Frame rates are exact, and an untagged clip has the colours that players give it."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.video.info import guess_standard, snap_rate

NTSC = [Fraction(n * 1000, 1001) for n in (24, 30, 60, 120)]


@pytest.mark.parametrize(
    ("printed", "exact"),
    [
        ("29.97", "30000/1001"),
        ("23.976", "24000/1001"),
        ("59.94", "60000/1001"),
        ("30", "30"),
        ("24", "24"),
        ("25", "25"),
        ("12.5", "25/2"),
        ("50/3", "50/3"),
        ("1000", "1000"),
    ],
)
def test_rate_is_snapped_to_the_exact_one(printed: str, exact: str) -> None:
    assert snap_rate(Fraction(printed)) == Fraction(exact)


@given(st.sampled_from([*NTSC, Fraction(24), Fraction(25), Fraction(30), Fraction(60)]))
def test_a_rate_measured_in_milliseconds_is_recognised(rate: Fraction) -> None:
    seconds = Fraction(round(1000 * 299 / rate), 1000)
    assert snap_rate(299 / seconds) == rate


@given(st.fractions(min_value=Fraction(1, 100), max_value=500, max_denominator=1001))
def test_snapping_twice_changes_nothing_and_never_moves_far(rate: Fraction) -> None:
    once = snap_rate(rate)
    assert snap_rate(once) == once
    assert abs(once - rate) <= rate / 100_000


def test_standard_follows_the_size() -> None:
    assert guess_standard(1280, 534) == "bt709"
    assert guess_standard(768, 576) == "smpte170m"
    assert guess_standard(640, 720) == "bt709"
