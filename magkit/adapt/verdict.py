"""Whether adapted weights are better than those they started from, on frames kept out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from torch import Tensor

from magkit.evaluate.bootstrap import Interval, difference_of_means, ratio_of_means
from magkit.evaluate.real_frames import Coding, displacement_gain, trembling
from magkit.progress import Progress, silent
from magkit.protocols import Magnifier
from magkit.selfsup.windows import WindowSource

PICTURES = 8  # of the windows kept out
SIDE = 192  # pixels of a picture's side, at most
CODINGS = (Coding("h264", 23), Coding("h264", 28), Coding("hevc", 28))
"""The last codec is one that no training sees."""
AMPLITUDES = (0.1, 0.2)  # pixels
TOLERANCE = 0.02  # how much further from 1 the gain may be
MARKED = 0.1  # share of the trembling that must be gone

Judgement = Literal["better", "equal", "worse"]


@dataclass(frozen=True, slots=True)
class Measures:
    """The measurements of one magnifier.

    Attributes:
        trembling: of each picture, under each of `CODINGS`; see `real_frames.trembling`.
        gain: of each picture, at each of `AMPLITUDES`; see `real_frames.displacement_gain`.
    """

    trembling: list[list[float]]
    gain: list[list[float]]

    @property
    def mean_trembling(self) -> list[float]:
        """Return the mean of each picture."""
        return [fmean(row) for row in self.trembling]

    @property
    def gain_error(self) -> list[float]:
        """Return the mean of |gain - 1| of each picture."""
        return [fmean(abs(gain - 1) for gain in row) for row in self.gain]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A comparison of magnifiers on the same frames.

    Attributes:
        judgement: "better": less trembling for certain, by `MARKED` at least, and the gain as
            near to 1 but for `TOLERANCE`; "worse": more trembling for certain, or the gain further
            from 1; else "equal".
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
                name: {"trembling": each.mean_trembling, "gain_error": each.gain_error}
                for name, each in (("before", self.before), ("after", self.after))
            },
        }


def held_out_pictures(source: WindowSource) -> list[Tensor]:
    """Return `PICTURES` square parts of frames, (3, S, S) in [0, 1], evenly chosen.

    Where there are fewer windows, several parts of each are taken, side by side.
    """
    places = [divmod(n * len(source), PICTURES) for n in range(PICTURES)]
    windows = source.windows([window for window, _ in places])
    return [
        _part(window, share / PICTURES) for window, (_, share) in zip(windows, places, strict=True)
    ]


def _part(window: Tensor, share: float) -> Tensor:
    """Return a part of a window's frame: which one, and where along the longer side."""
    frame = window[int(share * len(window))]
    side = min(*frame.shape[-2:], SIDE)
    top, left = (round(share * (length - side)) for length in frame.shape[-2:])
    return frame[:, top : top + side, left : left + side].float() / 255


def measure(
    magnifier: Magnifier, pictures: Sequence[Tensor], progress: Progress = silent
) -> Measures:
    """Measure trembling and gain on pictures (3, S, S)."""
    found = Measures([], [])
    for number, picture in enumerate(pictures):
        progress(number, len(pictures))
        found.trembling.append([trembling(magnifier, picture, c, number) for c in CODINGS])
        angle = math.tau * 0.38 * number
        found.gain.append([displacement_gain(magnifier, picture, a, angle) for a in AMPLITUDES])
    progress(len(pictures), len(pictures))
    return found


def judge(before: Measures, after: Measures) -> Verdict:
    """Compare two magnifiers' measurements of the same pictures."""
    ratio = ratio_of_means(after.mean_trembling, before.mean_trembling)
    gain = difference_of_means(after.gain_error, before.gain_error)
    judgement: Judgement = "equal"
    if ratio.low > 1 or gain.value > TOLERANCE:
        judgement = "worse"
    elif ratio.high < 1 and ratio.value <= 1 - MARKED:
        judgement = "better"
    return Verdict(
        judgement=judgement, trembling=ratio, gain_error=gain, before=before, after=after
    )
