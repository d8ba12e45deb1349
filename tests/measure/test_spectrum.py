"""Floors, limits and tones of displacements, against closed forms and simulated noise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.measure.spectrum import FALSE_ALARMS, analyze, hann_amplitudes, noise_floor
from tests.measure.textures import Array, sine

RATE = 50.0


def noise(count: int, deviation: float, seed: int = 0) -> Array:
    values: Array = deviation * np.random.default_rng(seed).standard_normal(count)
    return values


@settings(max_examples=40, deadline=None)
@given(st.floats(6, 180), st.floats(-5, 1), st.floats(0, 2 * math.pi), st.integers(400, 900))
def test_a_sine_is_found_with_its_amplitude(
    cycles: float, exponent: float, phase: float, count: int
) -> None:
    amplitude = 10**exponent
    spectrum = analyze(sine(count, amplitude, cycles, phase), RATE, 1e-7)
    tone = spectrum.tones[0]
    assert tone.frequency == pytest.approx(cycles * RATE / count, rel=1e-4)
    assert tone.amplitude == pytest.approx(amplitude, rel=1e-3)
    assert math.cos(tone.phase - phase) > 0.999


def test_two_tones_and_a_drift() -> None:
    drift = np.linspace(0, 5, 600)
    moves = drift + sine(600, 1.0, 40.3) + sine(600, 0.02, 47.8) + noise(600, 0.003)
    tones = analyze(moves, RATE, 0.003).tones
    assert [round(t.frequency * 600 / RATE, 1) for t in tones] == [40.3, 47.8]
    assert tones[1].amplitude == pytest.approx(0.02, rel=0.05)


def test_a_strong_tone_has_no_side_lobes_among_the_tones() -> None:
    assert len(analyze(sine(300, 1.0, 33.7) + noise(300, 1e-4), RATE, 1e-4).tones) == 1


@pytest.mark.parametrize("count", [64, 300])
def test_noise_has_tones_as_seldom_as_stated(count: int) -> None:
    alarms = sum(bool(analyze(noise(count, 0.01, n), RATE, 0.01).tones) for n in range(200))
    assert alarms <= 2
    assert FALSE_ALARMS <= 1e-3


def test_understated_noise_is_seen_in_the_spectrum() -> None:
    assert not analyze(noise(300, 0.01), RATE, 1e-6).tones


def test_red_noise_has_no_tones() -> None:
    alarms = 0
    for seed in range(60):
        alarms += bool(analyze(np.cumsum(noise(300, 0.003, seed)), RATE, 1e-4).tones)
    assert alarms <= 2


def test_the_floor_is_that_of_white_noise() -> None:
    floors = [noise_floor(noise(512, 0.02, seed), 0).mean() for seed in range(20)]
    assert np.mean(floors) == pytest.approx(0.02 * math.sqrt(6 / 512), rel=0.1)
    assert noise_floor(np.zeros(512), 0.02) == pytest.approx(0.02 * math.sqrt(6 / 512))


def test_tones_above_the_limit_are_found_with_their_intervals() -> None:
    found = covered = frequencies = 0
    rng = np.random.default_rng(3)
    for seed in range(150):
        cycles = rng.uniform(8, 130)
        amplitude = rng.uniform(1.5, 5) * 0.01 * math.sqrt(6 / 300 * math.log(150 / FALSE_ALARMS))
        tones = analyze(sine(300, amplitude, cycles) + noise(300, 0.01, seed), RATE, 0.01).tones
        for tone in [t for t in tones if abs(t.frequency - cycles / 6) < 1 / 6][:1]:
            found += 1
            covered += abs(tone.amplitude - amplitude) < tone.amplitude_error
            frequencies += abs(tone.frequency - cycles / 6) < tone.frequency_error
    assert found > 145
    assert 0.9 < covered / found <= 0.99
    assert 0.88 < frequencies / found <= 0.99


def test_what_is_slower_than_three_cycles_or_at_half_the_rate_is_no_tone() -> None:
    assert not analyze(sine(300, 1.0, 2.0) + noise(300, 0.001), RATE, 0.001).tones
    assert not analyze(sine(300, 1.0, 150, 0.5 * math.pi), RATE, 0.001).tones


def test_the_spectrum_has_a_sines_own_amplitude() -> None:
    amplitudes = hann_amplitudes(sine(200, 0.7, 25))
    assert amplitudes[100] == pytest.approx(0.7)
    spectrum = analyze(sine(200, 0.7, 25), RATE, 1e-6)
    assert spectrum.frequencies[100] == pytest.approx(25 / 4)
    assert spectrum.frequencies[-1] == RATE / 2


@pytest.mark.parametrize("count", [64, 256])
@pytest.mark.parametrize("bins", [3.1, 3.5, 4, 6])
@pytest.mark.parametrize("end", ["slow", "fast"])
def test_tones_near_both_ends_of_the_spectrum(count: int, bins: float, end: str) -> None:
    cycles = bins if end == "slow" else count / 2 - bins
    moves = sine(count, 0.3, cycles, 0.7) + noise(count, 1e-3)
    tone = analyze(moves, RATE, 1e-3).tones[0]
    assert tone.frequency == pytest.approx(cycles * RATE / count, abs=0.05 * RATE / count)
    assert tone.amplitude == pytest.approx(0.3, rel=0.03)


@pytest.mark.parametrize("bins", [2.6, 3, 4, 5, 7, 12])
@pytest.mark.parametrize("weaker", [1.0, 0.8, 0.3])
def test_two_tones_near_each_other_are_both_told(bins: float, weaker: float) -> None:
    count, rate = 750, 250.0
    time = np.arange(count) / rate
    first, second = 31.97, 31.97 + bins * rate / count
    values = np.sin(2 * np.pi * first * time) + weaker * np.sin(2 * np.pi * second * time + 1)
    values += 0.003 * np.random.default_rng(0).standard_normal(count)
    tones = sorted(analyze(values, rate, 0.003).tones, key=lambda tone: tone.frequency)
    assert [tone.frequency for tone in tones] == pytest.approx([first, second], abs=0.05)
    assert [tone.amplitude for tone in tones] == pytest.approx([1, weaker], rel=0.05)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0, 10.0])
def test_a_tone_that_decays_is_one_tone(seconds: float) -> None:
    time = np.arange(750) / 250
    values = 1.2 * np.exp(-time / seconds) * np.sin(2 * np.pi * 31.97 * time)
    values += 0.003 * np.random.default_rng(0).standard_normal(750)
    [tone] = analyze(values, 250.0, 0.003).tones
    assert tone.frequency == pytest.approx(31.97, abs=0.02)


@pytest.mark.parametrize("modulation", [0.3, 0.7])
def test_a_tone_that_is_slowly_modulated_is_one_tone(modulation: float) -> None:
    time = np.arange(750) / 250
    values = (1 + 0.3 * np.sin(2 * np.pi * modulation * time)) * np.sin(2 * np.pi * 31.97 * time)
    values += 0.003 * np.random.default_rng(0).standard_normal(750)
    [tone] = analyze(values, 250.0, 0.003).tones
    assert (tone.frequency, tone.amplitude) == pytest.approx((31.97, 1), rel=0.02)


def test_red_noise_has_no_pairs_of_tones() -> None:
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.standard_normal((100, 256)), 1)
    assert sum(bool(analyze(walk, 1.0, 1e-6).tones) for walk in walks) <= 2
