"""The pictures of a folder in natural order, and the numbers in their names."""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import accumulate, chain, islice, pairwise
from pathlib import Path
from typing import TypeVar

from magkit.errors import MagkitError
from magkit.video.formats import SUFFIXES, format_by_suffix


def list_frames(folder: Path, pattern: str = "*") -> list[Path]:
    """The pictures of a folder, in natural order; hidden files are left out.

    Args:
        folder: Where they are.
        pattern: A glob that their names match, in any case.
    """
    found = (path for path in _files(folder, pattern) if path.suffix.lower() in SUFFIXES)
    return sorted(found, key=natural_key)


def list_unsupported(folder: Path, pattern: str = "*") -> dict[Path, str]:
    """The pictures of a folder whose kinds aren't read as frames, and what they are."""
    kinds = {path: format_by_suffix(path) for path in _files(folder, pattern)}
    return {path: kinds[path] or "" for path in sorted(kinds, key=natural_key) if kinds[path]}


def _files(folder: Path, pattern: str) -> list[Path]:
    wanted = pattern.lower()
    named = (p for p in folder.iterdir() if fnmatchcase(p.name.lower(), wanted))
    return [path for path in named if path.name[0] != "." and path.is_file()]


def natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key by which paths are sorted as people count: 2 before 10."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    key = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return key, path.name


K = TypeVar("K", bound=Hashable)

_FEW = 5


@dataclass(frozen=True, slots=True)
class MissingNumbers:
    """The numbers that no frame has, though frames before and after are there.

    Args:
        runs: Each gap, in rising order; a slip of the pen may make one of billions.
    """

    runs: tuple[range, ...] = ()

    @property
    def count(self) -> int:
        """How many numbers are missing."""
        # `len` fails on a range longer than a machine word counts.
        return sum(run.stop - run.start for run in self.runs)

    def first(self, most: int) -> list[int]:
        """The lowest of them, at most so many."""
        return list(islice(chain.from_iterable(self.runs), most))

    def __str__(self) -> str:
        return summarize(chain.from_iterable(self.runs), self.count)


def find_missing(paths: Sequence[Path]) -> MissingNumbers:
    """The gaps in the numbers of a clip's frames; none where no name has a number.

    Raises:
        MagkitError: Two frames have one number, or some have none.
    """
    return find_gaps(frame_numbers(paths))


def find_gaps(numbers: Iterable[int]) -> MissingNumbers:
    """The gaps in numbers of any order."""
    known = sorted(numbers)
    return MissingNumbers(tuple(range(a + 1, b) for a, b in pairwise(known) if b - a > 1))


def frame_numbers(paths: Sequence[Path]) -> list[int]:
    """The number of each frame; an empty list where no name has a number.

    Of several numbers in the names, that counts which tells most frames apart, or the last of such.

    Raises:
        MagkitError: Two frames have one number, or some have none.
    """
    numbers = [[int(digits) for digits in re.findall(r"\d+", path.stem)] for path in paths]
    if not any(numbers):
        return []
    if bare := [path for path, own in zip(paths, numbers, strict=True) if not own]:
        others = f"; {len(bare)} such pictures in all" if len(bare) > 1 else ""
        raise MagkitError(
            f"{bare[0]} has no frame number, though others have{others}",
            hint="number all frames, or leave out other pictures with --pattern",
        )
    return list(_index(_telling(numbers), paths))


def _telling(numbers: list[list[int]]) -> tuple[int, ...]:
    """Of the numbers in every name, the one that is the frame's."""
    if len({len(one) for one in numbers}) > 1:
        return tuple(one[-1] for one in numbers)
    places = list(zip(*numbers, strict=True))
    return max(reversed(places), key=lambda place: len(set(place)))


def index_by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Pictures by their names without suffixes, in which 7, 007 and 00007 are the same.

    Raises:
        MagkitError: Two have one name.
    """
    return _index(map(normalized_stem, paths), paths)


def normalized_stem(path: Path) -> str:
    """A name without its suffix and its numbers' leading zeros."""
    return re.sub(r"\d+", lambda n: str(int(n[0])), path.stem)


def _index(keys: Iterable[K], paths: Sequence[Path]) -> dict[K, Path]:
    found: dict[K, Path] = {}
    twice: dict[K, Path] = {}
    for key, path in zip(keys, paths, strict=True):
        (twice if key in found else found).setdefault(key, path)
    if twice:
        key, path = next(iter(twice.items()))
        others = f"; {len(twice)} frames are there twice" if len(twice) > 1 else ""
        raise MagkitError(
            f"{found[key]} and {path.name} are both frame {key}{others}",
            hint="a clip holds each frame once: --pattern '*.png' leaves others out",
        )
    return found


def summarize(items: Iterable[object], count: int) -> str:
    """The first few of `count` items, for a message."""
    shown = ", ".join(map(str, islice(items, _FEW)))
    return shown if count <= _FEW else f"{shown}, ... ({count} in all)"


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
