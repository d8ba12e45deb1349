"""Which frames of a clip are asked for: the text of `--frames`."""

from __future__ import annotations

import re

from magkit.errors import UsageError

_EXAMPLE = "all, first, or numbers from 0 on with a comma between: 0-9,20,30-32"
# Python refuses to read numbers of thousands of digits.
_SPAN = re.compile(r"([0-9]{1,18})(?:\s*-\s*([0-9]{1,18}))?")


def choose_frames(text: str, count: int, clip: str | None = None) -> list[int]:
    """Return the numbers of the frames that are asked for, each once, in ascending order.

    Args:
        text: `all`, `first`, or numbers and spans with commas between, as in `0-9,20`.
        count: how many frames the clip has, at least 1; they are numbered from 0.
        clip: its name, for messages.

    Raises:
        UsageError: The text is something else, a span runs backwards, or a frame isn't there.
    """
    chosen: list[int] = []
    for first, last in sorted(_spans(text, count)):
        if last >= count:
            raise UsageError(_too_far(first, last, count, clip), _range(count))
        chosen.extend(range(max(first, chosen[-1] + 1 if chosen else 0), last + 1))
    return chosen


def _spans(text: str, count: int) -> list[tuple[int, int]]:
    """Return the first and last number of each part of a text."""
    match text.strip().lower():
        case "all":
            return [(0, count - 1)]
        case "first":
            return [(0, 0)]
        case words:
            return [_span(part.strip(), text) for part in words.split(",")]


def _span(part: str, text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise UsageError(f"'{text:.80}' is no choice of frames", _EXAMPLE)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise UsageError(f"the frames {first}-{last} run backwards", f"write {last}-{first}")
    return first, last


def _too_far(first: int, last: int, count: int, clip: str | None) -> str:
    asked = f"frame {first} is" if first == last else f"frames {first}-{last} are"
    owner = "the clip" if clip is None else f"'{clip}'"
    return f"{asked} asked for, and {owner} has {count}"


def _range(count: int) -> str:
    return "it is frame 0" if count == 1 else f"they are numbered from 0 to {count - 1}"
