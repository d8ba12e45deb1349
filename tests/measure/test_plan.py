"""Plans against closed forms, simulated clips, and simulated noise."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.measure.clip import measure_frames
from magkit.measure.plan import (
    SURE,
    TEXTURES,
    Expected,
    Recording,
    advice,
    exposure_factor,
    lens_scale,
    longest_exposure,
    outlook,
    seen_at,
)
from magkit.measure.regions import Region
from magkit.measure.spectrum import analyze
from tests.measure.textures import Texture, clip, sine

RECORDING = Recording(0.25, 200.0, 5.0, 0.001, noise=2.0, side=50, size=(640, 480))
SIDE, NOISE = 64, 2.5


def test_the_limit_by_hand() -> None:
    # A deviation of 2 / (8 x 50) = .005 px over 1000 frames; ln(500 / .001) = 13.122.
    by_hand = 0.005 * math.sqrt(6 / 1000) * math.sqrt(13.122363)
    assert RECORDING.limit(8.0) == pytest.approx(by_hand, rel=1e-6)


def test_units_of_the_limit_by_hand() -> None:
    [seen] = outlook(RECORDING, 20.0, {"a": 8.0}).detections
    assert seen.limit_px == pytest.approx(RECORDING.limit(8.0) / 0.9993421, rel=1e-6)
    assert seen.limit_um == pytest.approx(seen.limit_px * 250)
    omega = 2 * math.pi * 20
    assert seen.limit_mm_s == pytest.approx(seen.limit_px * 0.25 * omega / math.sqrt(2))
    assert seen.limit_g == pytest.approx(seen.limit_mm_s * omega / 9806.65)
    assert seen.margin is seen.seen is None


@pytest.mark.parametrize("frames", [96, 256])
def test_the_limit_is_that_of_a_measured_clip(frames: int) -> None:
    texture = Texture()
    slope = np.fft.ifft2(np.fft.fft2(texture.displaced(0)) * 2j * np.pi * texture.x).real
    gradient = 255 * math.sqrt((slope[8 : 8 + SIDE, 16 : 16 + SIDE] ** 2).mean())
    still = clip(np.zeros((frames, 2)), texture, NOISE / 255)
    [found] = measure_frames(still, 50.0, [Region(16, 8, SIDE, SIDE, "region")]).regions
    limit = found.spectra[0].limit
    measured = float(np.median(limit[np.isfinite(limit)]))
    planned = Recording(1.0, 50.0, frames / 50, 0.001, NOISE, SIDE).limit(gradient)
    assert planned == pytest.approx(measured, rel=0.2)
    assert gradient == pytest.approx(TEXTURES["rich"], rel=0.2)


def test_what_will_be_seen_is_found_in_noise() -> None:
    recording = Recording(1.0, 50.0, 6.0, 0.001, noise=1.0, side=10)
    amplitude, found = SURE * recording.limit(10.0), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        cycles, phase = rng.uniform(6, 140), rng.uniform(0, 6)
        values = sine(300, amplitude, cycles, phase) + 0.01 * rng.standard_normal(300)
        tones = analyze(values, 50.0, 0.01).tones
        found += any(abs(tone.frequency - cycles / 6) < 1 / 6 for tone in tones)
    assert found >= 95


@given(
    st.floats(0.1, 1e3), st.floats(1.01, 100), st.sampled_from(["seconds", "rate", "side", "noise"])
)
def test_more_of_anything_but_noise_lowers_the_limit(
    gradient: float, times: float, name: str
) -> None:
    base = Recording(0.1, 100.0, 2.0, 1e-6, noise=1.0, side=20)
    value = getattr(base, name) * times
    change: Any = {name: math.ceil(value) if name == "side" else value}
    changed = replace(base, **change)
    lower, higher = (base, changed) if name == "noise" else (changed, base)
    assert lower.limit(gradient) <= higher.limit(gradient)
    assert base.limit(gradient * times) < base.limit(gradient)


@given(st.floats(0.1, 1e4), st.floats(1e-6, 0.99))
def test_exposure_averages_the_sine(frequency: float, periods: float) -> None:
    exposure = periods / frequency
    time = (np.arange(2000) + 0.5) / 2000 * exposure - exposure / 2
    mean = np.cos(2 * np.pi * frequency * time).mean()
    assert exposure_factor(frequency, exposure) == pytest.approx(abs(mean), abs=1e-5)


def test_the_longest_exposure() -> None:
    assert exposure_factor(50.0, longest_exposure(50.0)) == pytest.approx(0.97)
    assert exposure_factor(50.0, 0.04) == 0
    [seen] = outlook(Recording(1.0, 25.0, 10.0, 0.04), 50.0, {"a": 8.0}).detections
    assert math.isinf(seen.limit_px)
    assert "whole periods" in seen.verdict


@given(st.floats(0.01, 500), st.floats(1, 400))
def test_an_alias_has_the_same_samples(frequency: float, rate: float) -> None:
    alias, number = seen_at(frequency, rate), np.arange(20)
    assert 0 <= alias <= rate / 2 * (1 + 1e-12)
    a, b = (np.cos(2 * np.pi * each / rate * number) for each in (frequency, alias))
    assert a == pytest.approx(b, abs=1e-6)


def test_the_blur_is_the_greatest_displacement_during_an_exposure() -> None:
    found = outlook(
        replace(RECORDING, exposure=0.004), 30.0, {"a": 8.0}, Expected(500.0, "um", "pp")
    )
    assert found.expected_px == pytest.approx(1.0)
    time = np.linspace(0, 1 / 30, 20001)
    moved = np.sin(2 * np.pi * 30 * (time + 0.004)) - np.sin(2 * np.pi * 30 * time)
    assert found.blur_px == pytest.approx(moved.max(), rel=1e-6)
    slow = outlook(Recording(0.25, 10.0, 5.0, 0.1), 30.0, {}, Expected(500.0, "um", "pp"))
    assert slow.blur_px == pytest.approx(2.0)


def test_an_expected_velocity() -> None:
    # 4.5 mm/s rms at 25 Hz is an amplitude of 40.5 um.
    found = outlook(RECORDING, 25.0, {"a": 8.0}, Expected(4.5, "mm/s", "rms"))
    assert found.expected_px == pytest.approx(0.0405 / 0.25, rel=1e-3)
    [seen] = found.detections
    assert seen.margin == pytest.approx(4.5 / seen.limit_mm_s)
    assert seen.seen
    assert seen.verdict.startswith("will be seen")


@pytest.mark.parametrize(
    ("margin", "verdict", "seen"),
    [
        (2.0, "will be seen: 2 times the limit", True),
        (1.2, "may be seen: 1.2 times", False),
        (0.5, "below the limit: 0.5 of it; about 3.5 times as many pixels per mm", False),
        (1e-3, "far out of reach", False),
    ],
)
def test_verdicts(margin: float, verdict: str, seen: bool) -> None:
    [plain] = outlook(RECORDING, 20.0, {"a": 8.0}).detections
    expected = Expected(margin * plain.limit_um, "um", "peak")
    [found] = outlook(RECORDING, 20.0, {"a": 8.0}, expected).detections
    assert verdict in found.verdict
    assert found.seen is seen


@pytest.mark.parametrize(
    ("frequency", "verdict"),
    [
        (0.5, "fewer than 3 periods; record 6 s"),
        (100.0, "at half the frame rate; film at 500"),
        (200.1, "looks still; film at 1000"),
        (130.0, "appears at 70 Hz, an alias: film at 650"),
        (0.6, "seen from about"),
    ],
)
def test_frequencies_out_of_reach(frequency: float, verdict: str) -> None:
    found = outlook(RECORDING, frequency, {"a": 8.0})
    assert verdict in found.detections[0].verdict
    assert (found.alias is not None) == (frequency >= 100)
    hidden = outlook(RECORDING, frequency, {"a": 8.0}, Expected(1.0, "mm", "peak"))
    assert hidden.detections[0].seen is (frequency in (0.6, 130.0))


def test_advice() -> None:
    slow = replace(RECORDING, exposure=0.002)
    found = [outlook(slow, each, TEXTURES) for each in (20.0, 90.0)]
    few, blur, codec, noise = advice(slow, found)
    assert "at 90 Hz: film at 450" in few
    assert "1.5 ms at most" in blur
    assert "x264" in codec
    assert "noise" in noise
    large = outlook(RECORDING, 20.0, TEXTURES, Expected(1.0, "mm", "peak"))
    assert advice(RECORDING, [large]) == [noise]
    huge = outlook(RECORDING, 20.0, TEXTURES, Expected(3.0, "mm", "peak"))
    smear, _ = advice(RECORDING, [huge])
    assert "over 1.5 px" in smear  # 24 px sin(2 pi .01)


def test_a_thin_lens() -> None:
    # 5 um pixels at 1 m through 50 mm: 19 times smaller.
    assert lens_scale(1.0, 50.0, 5.0) == pytest.approx(0.095)


def test_the_rate_of_the_file() -> None:
    assert RECORDING.megabytes_per_second(8) == pytest.approx(61.44)
    assert RECORDING.megabytes_per_second(12) == pytest.approx(92.16)
    assert replace(RECORDING, size=None).megabytes_per_second(8) is None


@pytest.mark.parametrize("name", ["scale", "rate", "seconds", "exposure", "noise"])
@pytest.mark.parametrize("value", [math.nan, 0.0, -1.0, math.inf, 1e300, 1e-300])
def test_what_is_no_number_above_0_is_refused(name: str, value: float) -> None:
    change: Any = {name: value}
    with pytest.raises(UsageError):
        replace(RECORDING, **change)
    with pytest.raises(UsageError, match="must be"):
        Expected(value, "um", "peak")
    with pytest.raises(UsageError, match="must be"):
        outlook(RECORDING, value, TEXTURES)
    with pytest.raises(UsageError, match="must be"):
        outlook(RECORDING, 1.0, {"a": value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exposure": 0.0051}, "longer than a frame"),
        ({"side": 7}, "too small"),
        ({"seconds": 0.07}, "14 frames is too short"),
        ({"size": (0, 480)}, "width must be above 0"),
    ],
)
def test_recordings_that_are_refused(change: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(RECORDING, **change)


@pytest.mark.parametrize("lens", [(0.05, 50.0, 5.0), (math.nan, 50.0, 5.0), (1.0, -5.0, 5.0)])
def test_lenses_that_are_refused(lens: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        lens_scale(*lens)
