"""Frames that are named by the clock: 12-00-59.png, 20260101_120059.jpg."""

import re
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

_DAY = 24 * 3600  # seconds

_DATE = r"(?P<year>(?:19|20)\d\d)(?P<dash>[-_.]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
_BETWEEN = r"(?:[-_.T]|\s+(?:at\s+)?)?"
# Six digits alone are a number like others: without a date the parts need separators.
_TIME = r"(?P<hour>\d\d|\d(?=\D\d\d\D\d\d\s?[ap]m)){}(?P<minute>\d\d)(?P=colon)(?P<second>\d\d)"
_FRACTION = r"(?:[-_.,]{}(?P<fraction>\d{{1,9}}))?(?!\d)(?:\s?(?P<half>[ap])m\b)?"
_BARE = _TIME.format(r"(?P<colon>[-_.:])") + _FRACTION.format("")
_DATED = _DATE + _BETWEEN + _TIME.format(r"(?P<colon>[-_.:]?)") + _FRACTION.format("?")
_FORMS = [
    re.compile(rf"(?P<before>.*?)(?<!\d){form}(?P<after>.*)", re.IGNORECASE)
    for form in (_DATED, _BARE)
]

_FEWEST = 3  # names without dates that tell a clock from numbers of scenes or takes

_EVEN = Fraction(5, 4)  # how much longer than others a step may be


def clock_times(paths: Sequence[Path]) -> list[Fraction] | None:
    """Seconds of the clock in each name; None where names don't read as different times of one.

    Names hold hours, minutes and seconds, with a date before and a fraction after them, or without;
    all else in them is the same. Without a date they may pass midnight once.
    """
    dated, bare = ([form.fullmatch(path.stem) for path in paths] for form in _FORMS)
    if all(dated):
        times = _times(dated)
    else:
        times = _times(bare) if all(bare) and len(bare) >= _FEWEST else None
        times = times and _past_midnight(times)
    return times if times and len(set(times)) == len(times) else None


def _times(matches: Sequence[re.Match[str] | None]) -> list[Fraction] | None:
    found = [match for match in matches if match]
    if len({(match["before"].lower(), match["after"].lower()) for match in found}) != 1:
        return None
    times = [time for match in found if (time := _time(match)) is not None]
    return times if len(times) == len(found) else None


def _time(match: re.Match[str]) -> Fraction | None:
    """Seconds from some midnight; None where the clock shows no such time."""
    parts = match.groupdict()
    hour, minute, second = (int(parts[name]) for name in ("hour", "minute", "second"))
    if half := parts["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half in "pP")
    if hour > 23 or minute > 59 or second > 59:
        return None
    days = 0
    if parts.get("year"):
        try:
            days = date(*(int(parts[name]) for name in ("year", "month", "day"))).toordinal()
        except ValueError:
            return None
    fraction = Fraction(f"0.{parts['fraction'] or 0}")
    return days * _DAY + hour * 3600 + minute * 60 + second + fraction


def _past_midnight(times: list[Fraction]) -> list[Fraction]:
    """Times of one day, of which those before a pause of half a day belong to the next."""
    ordered = sorted(times)
    longest, after = max((b - a, b) for a, b in pairwise(ordered))
    if longest <= _DAY // 2:
        return times
    return [time if time >= after else time + _DAY for time in times]


def count_steps(times: Sequence[Fraction]) -> tuple[Fraction, list[int]]:
    """The step from frame to frame in seconds, and the number of steps up to each frame.

    The step is the median one, or the shortest where that is much shorter. A step that is longer
    by more than a quarter counts as two or more.

    Args:
        times: Seconds, rising.
    """
    steps = [b - a for a, b in pairwise(times)]
    usual = sorted(steps)[(len(steps) - 1) // 2]
    if min(steps) * _EVEN < usual:
        usual = min(steps)
    counts = (1 if one <= _EVEN * usual else max(2, round(one / usual)) for one in steps)
    return usual, list(accumulate(counts, initial=0))
