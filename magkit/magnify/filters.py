"""A streaming temporal band-pass for evenly or unevenly spaced frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.magnify.band import Band

ORDER = 2

# Of a period of the band's upper edge: longer time steps are divided.
_LONGEST_STEP = 0.4

Matrix = NDArray[np.floating[Any]]


class BandPass:
    """A Butterworth filter in the steady state of its first value.

    It is the analog filter in state space, with the integrators of its low-pass prototype replaced
    by resonators, discretised at each step by the bilinear transform (trapezoidal rule). At the
    given rate that is the digital filter of `scipy.signal.butter`, its edges prewarped. A step of
    another length is prewarped at the centre of the band: there the gain is right at every step,
    and constants are removed exactly. Sources: Oppenheim & Schafer, Discrete-Time Signal
    Processing, 7.1 (bilinear transform) and 7.2 (low-pass to band-pass); Zavalishin, The Art of VA
    Filter Design, 3 (trapezoidal integrators whose states outlast a change).

    The state is 2 values an order for every element, whatever the length.

    Args:
        band: the pass band; from 0 on it is a low-pass.
        rate: frames a second, the mean rate of unevenly spaced ones.
        order: 6 dB an octave and side for each.

    Raises:
        UsageError: the band reaches half the rate, or the order isn't from 1 to 8.
    """

    def __init__(self, band: Band, rate: float | Fraction, order: int = ORDER) -> None:
        band.check_rate(rate)
        if not 1 <= order <= 8:
            raise UsageError(f"the filter's order must be from 1 to 8, not {order}")
        self._interval = 1 / float(rate)
        self._longest = max(self._interval, _LONGEST_STEP / band.high)
        import scipy.signal  # takes half a second, and only bands need it

        prototype = scipy.signal.zpk2ss(*scipy.signal.buttap(order))
        self._half_step, self._input, self._out, self._rest, center = _analog(
            band, self._interval, *prototype[:3]
        )
        self._center = np.pi * center
        self._discretised = lru_cache(maxsize=256)(self._discretise)
        self._memory: torch.Tensor | None = None  # states, the input before, this input

    def __call__(self, value: torch.Tensor, interval: float | None = None) -> torch.Tensor:
        """Return the filtered value, of the shape and type of `value`.

        Args:
            value: the next frame's.
            interval: seconds since the previous one; None: 1 / rate.
        """
        # Poles of low bands lie so near 1 that the state would drift in single precision.
        kind = torch.float32 if value.device.type == "mps" else torch.float64
        flat = value.flatten().to(kind)
        if self._memory is None:
            rest = torch.as_tensor(self._rest, dtype=kind, device=flat.device) * flat
            self._memory = torch.cat([rest, flat[None], flat[None]])
            return float((self._out @ self._rest).item()) * value
        step = self._interval if interval is None else round(interval, 9)
        matrix = torch.as_tensor(self._discretised(step), dtype=kind, device=flat.device)
        self._memory[-1] = flat
        made = matrix @ self._memory
        self._memory[:-2] = made[:-1]
        self._memory[-2] = flat
        return made[-1].view_as(value).to(value.dtype)

    def _discretise(self, interval: float) -> Matrix:
        """Return the matrix from states and both inputs to the next states and the output."""
        count = max(1, math.ceil(interval / self._longest - 1e-6))
        length = math.tan(self._center * interval / count) / math.tan(self._center * self._interval)
        half = length * self._half_step
        identity = np.eye(len(half))
        kept = np.linalg.solve(identity - half, identity + half)
        fed = np.linalg.solve(identity - half, length * self._input)
        step = np.concatenate([identity, 0 * fed, 0 * fed], 1)
        for number in range(count):
            # The input between is interpolated linearly.
            share = (2 * number + 1) / count
            step = kept @ step
            step[:, -2:] += fed * np.array([2 - share, share])
        return np.concatenate([step, self._out @ step])


class BandSum:
    """The sum of the filters of several bands, see `BandPass`."""

    def __init__(self, bands: Sequence[Band], rate: float | Fraction, order: int = ORDER) -> None:
        self._parts = [BandPass(band, rate, order) for band in bands]

    def __call__(self, value: torch.Tensor, interval: float | None = None) -> torch.Tensor:
        """Return the filtered value, see `BandPass`."""
        first, *others = (part(value, interval) for part in self._parts)
        for other in others:
            first = first + other
        return first


def _analog(
    band: Band, interval: float, a: Matrix, b: Matrix, c: Matrix
) -> tuple[Matrix, Matrix, Matrix, Matrix, float]:
    """Return the analog filter whose bilinear transform at this interval has the band's edges.

    Args:
        band: its edges.
        interval: seconds.
        a: of the low-pass prototype with its edge at 1 rad/s, with b and c.

    Returns:
        Half a step of the system matrix and of the input matrix, the output matrix, the steady
        state for an input of 1, and the centre of the band in Hz (the edge of a low-pass).
    """
    high = math.tan(math.pi * band.high * interval)
    if band.low == 0:
        return high * a, high * b, c, -np.linalg.solve(a, b), band.high
    low = math.tan(math.pi * band.low * interval)
    width, square = high - low, high * low
    identity, zero = np.eye(len(a)), np.zeros_like(a)
    # Each integrator 1/s becomes width s / (s^2 + square). The second half of the states, which
    # carries the constant part of the input, rests at b times it whatever the step.
    system = np.block([[width * a, -width * identity], [square / width * identity, zero]])
    center = math.atan(math.sqrt(square)) / (math.pi * interval)
    return (
        system,
        np.concatenate([width * b, 0 * b]),
        np.concatenate([c, 0 * c], 1),
        np.concatenate([0 * b, b]),
        center,
    )
