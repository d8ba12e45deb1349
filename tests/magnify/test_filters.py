"""The streaming filter against scipy's and against the formula."""

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.magnify.band import Band
from magkit.magnify.filters import BandPass

Values = NDArray[np.float64]

BANDS = [
    (Band(0.4, 3.0), 30.0, 2),
    (Band(0.04, 0.4), 30.0, 1),
    (Band(28.0, 36.0), 250.0, 2),
    (Band(72.0, 92.0), 600.0, 4),
    (Band(0.0, 2.0), 24.0, 3),
]


def streamed(filter_: BandPass, values: Values) -> Values:
    return np.stack([filter_(torch.from_numpy(value)).numpy() for value in values])


@pytest.mark.parametrize(("band", "rate", "order"), BANDS, ids=str)
def test_it_is_scipys_filter_started_in_steady_state(band: Band, rate: float, order: int) -> None:
    values = np.random.default_rng(0).normal(3, 1, (400, 2, 3))
    if band.low:
        sos = scipy.signal.butter(order, [band.low, band.high], "bandpass", output="sos", fs=rate)
    else:
        sos = scipy.signal.butter(order, band.high, "lowpass", output="sos", fs=rate)
    start = scipy.signal.sosfilt_zi(sos)[..., None, None] * values[0]
    expected, _ = scipy.signal.sosfilt(sos, values, axis=0, zi=start[:, :])
    np.testing.assert_allclose(
        streamed(BandPass(band, rate, order), values), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("frequency", [0.1, 0.4, 1.1, 3.0, 9.0])
def test_its_gain_is_butterworths(frequency: float) -> None:
    """|H|^2 = 1 / (1 + x^2n), with frequencies bent by the bilinear transform."""
    rate, order, low, high = 30.0, 2, 0.4, 3.0
    times = np.arange(6000) / rate
    values = np.sin(2 * np.pi * frequency * times)[:, None]
    tail = streamed(BandPass(Band(low, high), rate, order), values)[3000:, 0]
    amplitude = np.sqrt(2 * np.mean(tail**2))

    def bent(hertz: float) -> float:
        return float(np.tan(np.pi * hertz / rate))

    x = (bent(frequency) ** 2 - bent(low) * bent(high)) / (
        bent(frequency) * (bent(high) - bent(low))
    )
    assert amplitude == pytest.approx(1 / np.sqrt(1 + x ** (2 * order)), abs=2e-3)


def test_what_never_changes_is_nothing_to_a_band_and_all_to_a_low_pass() -> None:
    value = torch.full((1, 2, 3, 4), 7.0)
    band, low = BandPass(Band(0.4, 3.0), 30), BandPass(Band(0.0, 3.0), 30)
    for _ in range(50):
        assert band(value).abs().max() < 1e-6
        assert (low(value) - 7).abs().max() < 1e-6


def test_single_precision_goes_in_and_out_and_does_not_drift() -> None:
    """A band four orders below the rate: its poles are within 1e-4 of the unit circle."""
    single, double = BandPass(Band(0.01, 0.02), 240), BandPass(Band(0.01, 0.02), 240)
    rng = np.random.default_rng(1)
    values = torch.from_numpy(100 + np.cumsum(rng.normal(0, 0.01, (5000, 4)), 0))
    outs = [(single(value.float()), double(value)) for value in values]
    assert outs[-1][0].dtype == torch.float32
    worst = max(float((one - other).abs().max()) for one, other in outs)
    assert worst < 1e-5


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.001, 0.998),
    st.floats(0.001, 0.998),
    st.floats(1, 1000),
    st.integers(1, 4),
)
def test_every_band_below_half_the_rate_is_stable(
    one: float, other: float, rate: float, order: int
) -> None:
    low, high = sorted((one * rate / 2, other * rate / 2))
    if high - low < 0.002 * rate:
        return
    filter_ = BandPass(Band(low, high), rate, order)
    values = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (300, 1)))
    assert max(float(filter_(value).abs()) for value in values) < 20


@pytest.mark.parametrize("order", [0, 9])
def test_orders_that_are_refused(order: int) -> None:
    with pytest.raises(UsageError, match="order must be from 1 to 8"):
        BandPass(Band(1, 2), 30, order)


def test_a_band_that_reaches_half_the_rate_is_refused() -> None:
    with pytest.raises(UsageError, match=r"1-15 Hz reaches half the clip's rate of 30 frames"):
        BandPass(Band(1, 15), 30)
