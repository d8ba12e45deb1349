"""Whether adapted weights are better than those they started from, on frames kept out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from magkit.evaluate.bootstrap import Interval, difference_of_means, ratio_of_means
from magkit.evaluate.real_frames import Coding, displacement_gain, trembling
from magkit.progress import Progress, silent
from magkit.protocols import Magnifier
from magkit.selfsup.windows import WindowSource

PICTURES = 8  # of the windows kept out, at most
SIDE = 192  # pixels of a picture's side, at most
CODINGS = (Coding("h264", 23), Coding("h264", 28), Coding("hevc", 28))
"""The last codec is one that no training sees."""
AMPLITUDES = (0.1, 0.2)  # pixels
TOLERANCE = 0.02  # how much further from 1 the gain may be

Judgement = Literal["better", "equal", "worse"]


@dataclass(frozen=True, slots=True)
class Measures:
    """The measurements of one magnifier.

    Attributes:
        trembling: of each picture under each coding; see `real_frames.trembling`.
        gain: of each picture and amplitude; see `real_frames.displacement_gain`.
    """

    trembling: Sequence[float]
    gain: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A comparison of magnifiers on the same frames.

    Attributes:
        judgement: "better": less trembling, and the gain no further from 1 than `TOLERANCE`
            allows; "worse": more trembling, or the gain further from 1; "equal": neither is
            certain.
        trembling: mean of the second over the mean of the first, with its 95 % interval.
        gain_error: mean of |gain - 1| of the second minus that of the first, likewise.
        before: measurements of the first.
        after: of the second.
    """

    judgement: Judgement
    trembling: Interval
    gain_error: Interval
    before: Measures
    after: Measures

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, of JSON's types."""
        return {
            "judgement": self.judgement,
            "trembling_ratio": self.trembling._asdict(),
            "gain_error_difference": self.gain_error._asdict(),
            **{
                name: {"trembling": list(each.trembling), "gain": list(each.gain)}
                for name, each in (("before", self.before), ("after", self.after))
            },
        }


def held_out_pictures(source: WindowSource) -> list[Tensor]:
    """Return square parts of up to `PICTURES` frames, (3, S, S) in [0, 1], evenly chosen."""
    count = min(PICTURES, len(source))
    numbers = [(2 * n + 1) * len(source) // (2 * count) for n in range(count)]
    return [_centre(window[len(window) // 2]) for window in source.windows(numbers)]


def _centre(frame: Tensor) -> Tensor:
    side = min(*frame.shape[-2:], SIDE)
    top, left = ((length - side) // 2 for length in frame.shape[-2:])
    return frame[:, top : top + side, left : left + side].float() / 255


def measure(
    magnifier: Magnifier, pictures: Sequence[Tensor], progress: Progress = silent
) -> Measures:
    """Measure trembling and gain on pictures (3, S, S)."""
    return Measures(
        [trembling(magnifier, *case) for case in _still_cases(pictures, progress)],
        [displacement_gain(magnifier, *case) for case in _gain_cases(pictures, progress)],
    )


def _still_cases(
    pictures: Sequence[Tensor], progress: Progress
) -> Iterator[tuple[Tensor, Coding, int]]:
    total = len(pictures) * (len(CODINGS) + len(AMPLITUDES))
    for number, picture in enumerate(pictures):
        for index, coding in enumerate(CODINGS):
            progress(number * len(CODINGS) + index, total)
            yield picture, coding, number


def _gain_cases(
    pictures: Sequence[Tensor], progress: Progress
) -> Iterator[tuple[Tensor, float, float]]:
    done, total = len(pictures) * len(CODINGS), len(pictures) * (len(CODINGS) + len(AMPLITUDES))
    for number, picture in enumerate(pictures):
        for index, amplitude in enumerate(AMPLITUDES):
            progress(done + number * len(AMPLITUDES) + index, total)
            yield picture, amplitude, math.tau * 0.38 * number
    progress(total, total)


def judge(before: Measures, after: Measures) -> Verdict:
    """Compare two magnifiers' measurements of the same pictures."""
    ratio = ratio_of_means(after.trembling, before.trembling)
    errors = [[abs(gain - 1) for gain in each.gain] for each in (after, before)]
    gain = difference_of_means(*errors)
    judgement: Judgement = "equal"
    if ratio.low > 1 or gain.value > TOLERANCE:
        judgement = "worse"
    elif ratio.high < 1:
        judgement = "better"
    return Verdict(
        judgement=judgement, trembling=ratio, gain_error=gain, before=before, after=after
    )
