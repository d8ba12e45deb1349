"""The motion to show in each frame: since the first frame, since the last, or off a smooth path."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.magnify.band import Band, bands_of
from magkit.magnify.lucas_kanade import backward_warp
from magkit.protocols import DisplacementMagnifier, Magnifier
from magkit.video import Frame

_T = TypeVar("_T")
_R = TypeVar("_R")


class Work(Protocol):
    """How things are computed: how many at a time, and with which precision."""

    def turn(self) -> AbstractContextManager[object]:
        """Return what is held while something is computed."""

    def map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
        """Apply a function to items, several at a time; each call has its turn. Keep the order."""


class Filter(Protocol):
    """A streaming filter over time, such as `filters.BandSum`."""

    def __call__(self, value: torch.Tensor, interval: float | None = None, /) -> torch.Tensor:
        """Return the filtered value of the next frame, `interval` seconds after the last one."""


PERIOD = 10  # frames: periods up to this are magnified whole, where no band is given
MAX_GAIN = 1.1  # of several bands together at any frequency
RESPONSES = 4096  # points of a filter's response
MAX_REACH = 60  # frames on each side of which a path is made
_SPREAD = 1.4  # half of the filter's length over the period at its edge
_KEPT = 2.0  # frequency from which on all is left out, over the band's upper edge


@dataclass(frozen=True, slots=True)
class Encoded:
    """A frame and its features; of a shot's first frame those of its opening's other frames too.

    Attributes:
        frame: (H, W, 3).
        features: what `Magnifier.encode` returned of it.
        opening: features of the shot's first frames, made when iterated over; None: the shot
            goes on.
    """

    frame: Frame
    features: Any
    opening: Iterable[Any] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame, its features, and the motion to magnify in it; None: the frame stays as it is."""

    frame: Frame
    features: Any
    motion: torch.Tensor | None = None


def since_first(
    stream: Iterable[Encoded],
    work: Work,
    magnifier: Magnifier,
    make_filter: Callable[[], Filter] | None,
    intervals: Iterator[float],
) -> Iterator[Shown]:
    """Yield each frame with its motion since its shot's first frame, filtered in time.

    Args:
        stream: frames.
        work: see `Work`.
        magnifier: measures motion. If it averages references, that of a shot is the aligned mean
            of its opening.
        make_filter: makes a new filter for each shot; None: motion is not filtered.
        intervals: seconds between successive frames, as far as they are known.
    """
    measure = _measure(magnifier, filtered=make_filter is not None)

    def found(pair: _Pair) -> tuple[Encoded, torch.Tensor | None]:
        if pair.item.opening is None:
            return pair.item, measure(pair.reference, pair.item.features)
        # The shot's first frame stays as it is, and a filter begins with no motion.
        begins = make_filter is not None
        return pair.item, measure(pair.reference, pair.reference) if begins else None

    part: Filter | None = None
    interval: float | None = None
    for item, motion in work.map(found, _to_reference(stream, work, magnifier)):
        first, shown = item.opening is not None, motion
        if first and make_filter is not None:
            part = make_filter()
        if part is not None and motion is not None:
            with work.turn():
                shown = part(motion, None if first else interval)
        yield Shown(item.frame, item.features, None if first else shown)
        interval = next(intervals, None)
        del item


def _measure(magnifier: Magnifier, *, filtered: bool) -> Callable[[Any, Any], torch.Tensor]:
    """Return the measurement of motion: a filter over time tells small ones from noise itself."""
    if filtered and isinstance(magnifier, DisplacementMagnifier):
        return magnifier.displacement
    return magnifier.motion


@dataclass(frozen=True, slots=True)
class _Pair:
    """A frame and the features that it is compared with; those of a first frame are its own."""

    item: Encoded
    reference: Any


def _to_reference(stream: Iterable[Encoded], work: Work, magnifier: Magnifier) -> Iterator[_Pair]:
    """Pair each frame with the reference of its shot."""
    reference: Any = None
    for item in stream:
        if item.opening is not None:
            with work.turn():
                reference = _reference(magnifier, item)
        yield _Pair(item, reference)
        del item


def _to_last(stream: Iterable[Encoded]) -> Iterator[_Pair]:
    """Pair each frame with the frame before."""
    last: Any = None
    for item in stream:
        yield _Pair(item, last)
        last = item.features
        del item


def _reference(magnifier: Magnifier, first: Encoded) -> Any:
    if not isinstance(magnifier, DisplacementMagnifier):
        return first.features
    return magnifier.average(first.features, first.opening or ())


def since_last(stream: Iterable[Encoded], work: Work, magnifier: Magnifier) -> Iterator[Shown]:
    """Yield each frame with its motion since the frame before, none after a cut."""

    def found(pair: _Pair) -> Shown:
        item, known = pair.item, pair.item.opening is None
        motion = magnifier.motion(pair.reference, item.features) if known else None
        return Shown(item.frame, item.features, motion)

    return work.map(found, _to_last(stream))


@dataclass(slots=True)
class _Moment:
    """A frame whose turn to be shown comes later, and its displacements to its neighbours."""

    frame: Frame
    before: torch.Tensor | None = None  # to the frame before it, None after a cut
    after: torch.Tensor | None = None  # to the frame after it, None before a cut


def off_path(
    stream: Iterable[Encoded],
    work: Work,
    magnifier: DisplacementMagnifier,
    kernel: Sequence[float],
    encode: Callable[[Frame], Any],
    *,
    filtered: bool = False,
) -> Iterator[Shown]:
    """Yield each frame with how far its places are off their smooth paths.

    A place is followed from frame to frame, as far as the kernel reaches in both directions,
    through the displacements between successive frames. The kernel is symmetric, and a path of
    constant acceleration counts as smooth. Frames near a cut use as many frames on both sides as
    there are.

    Args:
        stream: frames.
        work: see `Work`.
        magnifier: measures displacements.
        kernel: weights of the frames 0, 1, 2, ... before and after; see `path_kernel`.
        encode: encodes a frame again when it is shown, so that no features wait in memory.
        filtered: whether the kernel lets a band pass, so that it removes noise.
    """
    measure = _measure(magnifier, filtered=filtered)

    def steps(pair: _Pair) -> tuple[_Moment, torch.Tensor | None]:
        moment, features, last = _Moment(pair.item.frame), pair.item.features, pair.reference
        if pair.item.opening is not None:
            return moment, None
        moment.before = -measure(last, features)
        return moment, -measure(features, last)

    reach, shown = len(kernel) - 1, 0
    moments: deque[_Moment] = deque()
    for moment, after in work.map(steps, _to_last(stream)):
        if after is not None:
            moments[-1].after = after
        moments.append(moment)
        if shown + reach < len(moments):
            with work.turn():
                found = _deviation(moments, shown, kernel, magnifier, encode)
            yield found
            shown += 1
        if shown > reach:
            moments.popleft()
            shown -= 1
    for number in range(shown, len(moments)):
        with work.turn():
            found = _deviation(moments, number, kernel, magnifier, encode)
        yield found


def _deviation(
    moments: Sequence[_Moment],
    number: int,
    kernel: Sequence[float],
    magnifier: DisplacementMagnifier,
    encode: Callable[[Frame], Any],
) -> Shown:
    """Return the weighted sum of where the places of a frame are in the frames around it."""
    frame = moments[number].frame
    before = after = total = None
    for step in range(1, len(kernel)):
        before = _follow(moments, number - step + 1, before, magnifier.cell, backwards=True)
        after = _follow(moments, number + step - 1, after, magnifier.cell, backwards=False)
        if before is None or after is None:
            break
        part = kernel[step] * (before + after)
        total = part if total is None else total + part
    return Shown(frame, None if total is None else encode(frame), total)


def _follow(
    moments: Sequence[_Moment],
    number: int,
    position: torch.Tensor | None,
    cell: int,
    *,
    backwards: bool,
) -> torch.Tensor | None:
    """Return the displacement of places after one more step; None beyond a cut or an end."""
    if not 0 <= number < len(moments):
        return None
    step = moments[number].before if backwards else moments[number].after
    if step is None or position is None:
        return step
    return position + backward_warp(step, -position / cell)


def path_kernel(rate: float | Fraction, band: Band | Sequence[Band] | None) -> list[float]:
    """Return the weights of frames 0, 1, 2, ... before and after, which tell off-path motion.

    The difference of two low-pass filters: what is slower than the band belongs to the path, what
    is faster than twice its upper edge is left out. Without a band the path is what is slower than
    a period of 10 frames, and nothing is left out. Of several bands it is the sum.

    Returns:
        Weights that sum to nought over both directions; the first one is that of the frame itself.

    Raises:
        UsageError: the band reaches half the rate, or begins so low that the path needs more than
            60 frames on each side; or what two bands let through overlaps.
    """
    bands = bands_of(band)
    halves = [_off_path_kernel(rate, each) for each in bands or [None]]
    longest = max(len(half) for half in halves)
    kernel = np.sum([np.pad(half, (0, longest - len(half))) for half in halves], 0)
    if len(halves) > 1 and _highest(kernel) > max(MAX_GAIN, *map(_highest, halves)):
        raise UsageError(
            f"the bands {' and '.join(map(str, bands))} are too close to each other for the mode "
            "follow, whose bands have gentle edges",
            "ask for one band that holds both, or for the mode static",
        )
    weights: list[float] = kernel.tolist()
    return weights


def _highest(kernel: NDArray[np.float64]) -> float:
    """Return the greatest response of half of a symmetric filter to any frequency."""
    return float((2 * np.fft.rfft(kernel, RESPONSES).real - kernel[0]).max())


def _off_path_kernel(rate: float | Fraction, band: Band | None) -> NDArray[np.float64]:
    """Return the weights of one band, see `path_kernel`."""
    if band is not None:
        band.check_rate(rate)
    slow = 1 / PERIOD if band is None else band.low / float(rate)
    if _SPREAD / slow > MAX_REACH:
        lowest = _SPREAD / MAX_REACH * float(rate)
        raise UsageError(
            f"the band {band} begins too low for the mode follow at this rate",
            f"ask for a band from {lowest:.3g} Hz, or for the mode static",
        )
    path = _low_pass(slow)
    kept = np.ones(1) if band is None else _low_pass(_KEPT * band.high / float(rate))
    kernel: NDArray[np.float64] = np.pad(kept, (0, len(path) - len(kept))) - path
    return kernel


def _low_pass(frequency: float) -> NDArray[np.float64]:
    """Return half of a symmetric low-pass filter, its edge in cycles a frame.

    A Hann window times a parabola, which leaves paths of constant acceleration as they are
    (Savitzky & Golay, Analytical Chemistry 1964). What is faster than the edge is damped to at most
    5 % of its amplitude.
    """
    reach = _SPREAD / frequency
    steps = np.arange(int(np.ceil(reach)))
    if len(steps) < 3:  # the edge is above all frequencies
        return np.ones(1)
    window = 0.5 + 0.5 * np.cos(np.pi * steps / reach)
    moments = [2 * (window * steps**power).sum() - window[0] * (power == 0) for power in (0, 2, 4)]
    level, curve = np.linalg.solve([moments[:2], moments[1:]], [1, 0])
    weights: NDArray[np.float64] = window * (level + curve * steps**2)
    return weights
