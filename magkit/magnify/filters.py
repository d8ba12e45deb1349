"""Temporal filters that are fed one frame at a time, on tensors of any shape."""

from __future__ import annotations

from fractions import Fraction

import scipy.signal
import torch

from magkit.errors import UsageError
from magkit.magnify.band import Band

ORDER = 2


class BandPass:
    """A Butterworth filter in second-order sections, started as if the first value had always been.

    The state is 2 values a section for every element of what is filtered, whatever the length.

    Args:
        band: What passes; from 0 on it is a low-pass.
        rate: Values a second.
        order: How steep: 6 dB an octave and side for each.

    Raises:
        UsageError: The band reaches half the rate, or the order isn't from 1 to 8.
    """

    def __init__(self, band: Band, rate: float | Fraction, order: int = ORDER) -> None:
        band.check_rate(rate)
        if not 1 <= order <= 8:
            raise UsageError(f"the filter's order must be from 1 to 8, not {order}")
        edges, kind = ([band.low, band.high], "bandpass") if band.low else (band.high, "lowpass")
        sections = scipy.signal.butter(order, edges, kind, output="sos", fs=float(rate))
        self._sections: list[list[float]] = sections.tolist()
        self._start: list[list[float]] = scipy.signal.sosfilt_zi(sections).tolist()
        self._states: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        """The filtered value at this time, of the shape and type of `value`."""
        # Poles of low bands lie so near 1 that single precision would let the state drift.
        wide = value if value.device.type == "mps" else value.double()
        if not self._states:
            self._states = [(wide * first, wide * second) for first, second in self._start]
        out = wide
        for index, (b0, b1, b2, _, a1, a2) in enumerate(self._sections):
            first, second = self._states[index]
            new = b0 * out + first
            # Direct form II transposed: Oppenheim & Schafer, Discrete-Time Signal Processing, 6.3.
            self._states[index] = (b1 * out - a1 * new + second, b2 * out - a2 * new)
            out = new
        return out.to(value.dtype)
