"""Frames through a magnifier whose every answer is known: it works on pixels themselves."""

import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.magnify import fast_spec, magnet_spec
from magkit.magnify.band import Band, Mode
from magkit.magnify.pipeline import magnify, to_frame, to_tensor

Frame = NDArray[np.uint8]


class Pixels:
    """Linear: the motion is the difference of pixels, and what is shown their weighted sum."""

    stride = 8

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.pairs: list[tuple[int, int]] = []
        self.sizes: set[tuple[int, ...]] = set()

    def encode(self, frames: torch.Tensor) -> tuple[int, torch.Tensor]:
        assert torch.is_inference_mode_enabled()
        self.sizes.add(tuple(frames.shape))
        self.calls["encode"] += 1
        return self.calls["encode"] - 1, frames

    def motion(self, reference: Any, current: Any) -> torch.Tensor:
        self.pairs.append((reference[0], current[0]))
        return torch.as_tensor(current[1] - reference[1])

    def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        self.calls["render"] += 1
        return torch.as_tensor(current[1] + (factor - 1).view(-1, 1, 1, 1) * motion)


def noise(count: int, height: int, width: int, low: int = 0, high: int = 256) -> list[Frame]:
    """Frames of one picture with small changes: no cuts."""
    rng = np.random.default_rng(count * height * width)
    picture = rng.integers(low, high, (1, height, width, 3))
    changes = rng.integers(-6, 7, (count, height, width, 3))
    return list((picture + changes).clip(low, high - 1).astype(np.uint8))


def test_a_factor_of_one_passes_the_very_frames_through() -> None:
    frames, model = noise(3, 5, 7), Pixels()
    out = list(magnify(iter(frames), model, 1.0))
    assert all(one is other for one, other in zip(out, frames, strict=True))
    assert not model.calls


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_factor_of_zero_removes_the_motion(mode: Mode) -> None:
    frames = noise(4, 9, 11)
    out = list(magnify(frames, Pixels(), 0, mode=mode))
    before = [frames[0]] * 4 if mode == "static" else [frames[0], *frames[:3]]
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_the_motion_is_multiplied(mode: Mode, factor: float) -> None:
    frames = noise(5, 16, 24, 100, 150)
    out = list(magnify(frames, Pixels(), factor, mode=mode))
    assert out[0] is frames[0]
    for index in range(1, 5):
        base = frames[0 if mode == "static" else index - 1].astype(float)
        exact = (frames[index] + (factor - 1) * (frames[index] - base)).clip(0, 255)
        assert np.abs(out[index] - exact).max() <= 0.5 + 1e-3  # rounded, not cut off


@pytest.mark.parametrize(
    ("mode", "pairs"),
    [("static", [(0, 1), (0, 2), (0, 3)]), ("dynamic", [(0, 1), (1, 2), (2, 3)])],
)
def test_every_frame_is_encoded_once(mode: Mode, pairs: list[tuple[int, int]]) -> None:
    model = Pixels()
    assert len(list(magnify(noise(4, 8, 8), model, 7, mode=mode))) == 4
    assert model.calls == {"encode": 4, "render": 3}
    assert model.pairs == pairs


def test_a_band_changes_only_what_lies_in_it() -> None:
    rate, count = 30.0, 300
    times = np.arange(count) / rate
    drift, swing = 20 * times / times[-1], 2 * np.sin(2 * np.pi * 3.0 * times)
    values = (100 + drift + swing).round().astype(np.uint8)
    frames = [np.full((8, 8, 3), value, np.uint8) for value in values]
    shown = magnify(frames, Pixels(), 10, band=Band(2, 4), rate=rate)
    out = np.array([frame[0, 0, 0] for frame in shown], float)
    sos = scipy.signal.butter(2, [2, 4], "bandpass", fs=rate, output="sos")
    exact = values + 9 * scipy.signal.sosfilt(sos, values / 1.0 - values[0])
    assert np.abs(out - exact.clip(0, 255)).max() < 0.51
    late = slice(150, None)
    assert np.ptp(out[late] - drift[late]) == pytest.approx(10 * 4, rel=0.1)


def test_a_band_still_encodes_every_frame_once() -> None:
    model = Pixels()
    list(magnify(noise(4, 8, 8), model, 7, band=Band(1, 2), rate=10))
    assert model.calls == {"encode": 4, "render": 3}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["static", "dynamic"]))
def test_any_size_comes_back_as_it_was(height: int, width: int, mode: Mode) -> None:
    frames, model = noise(3, height, width), Pixels()
    out = list(magnify(frames, model, 2, mode=mode))
    assert [frame.shape for frame in out] == [(height, width, 3)] * 3
    assert {frame.dtype for frame in out} == {np.dtype(np.uint8)}
    ((_, _, padded_height, padded_width),) = model.sizes
    assert (padded_height % 8, padded_width % 8) == (0, 0)
    assert padded_height - height < 8
    assert padded_width - width < 8


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 16))
def test_a_frame_survives_padding_and_rounding(height: int, width: int, stride: int) -> None:
    (frame,) = noise(1, height, width)
    back = to_frame(to_tensor(frame, stride), frame.shape[:2])
    np.testing.assert_array_equal(back, frame)
    assert back.flags.c_contiguous


def test_what_is_missing_is_reflected() -> None:
    frame = np.arange(5, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(3, 2)
    padded = to_tensor(frame, 8)[0, 0, :, 0] * 255
    assert padded.round().tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (1, 40), (17, 9)])
@pytest.mark.parametrize("spec", [fast_spec.SPEC, magnet_spec.SPEC], ids=lambda spec: spec.name)
def test_the_networks_take_the_smallest_frames(spec: Any, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    out = list(magnify(noise(2, *size), spec.build(spec.config()).eval(), 300.0))
    assert [frame.shape for frame in out] == [(*size, 3)] * 2


@pytest.mark.parametrize("count", [0, 1])
def test_clips_without_motion(count: int) -> None:
    frames, model = noise(count, 4, 4), Pixels()
    assert len(list(magnify(frames, model, 10, band=Band(1, 2), rate=24))) == count
    assert not model.calls["render"]


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_steps_in_threads_give_the_same_frames(mode: Mode, threads: int) -> None:
    frames, before = noise(6, 24, 40), torch.get_num_threads()
    band: dict[str, Any] = {"band": Band(1, 5), "rate": 24} if mode == "static" else {}
    apart, together = Pixels(), Pixels()
    expected = list(magnify(frames, apart, 4, mode=mode, **band))
    torch.set_num_threads(threads)
    try:
        made = list(magnify(iter(frames), together, 4, mode=mode, concurrent=True, **band))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(made, expected)
    assert sorted(together.pairs) == sorted(apart.pairs)  # two are measured at a time


def test_an_error_in_a_step_ends_the_others() -> None:
    class Broken(Pixels):
        def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
            raise ValueError("rendering broke")

    def source() -> Iterator[Frame]:
        try:
            while True:
                yield noise(1, 8, 8)[0]
        finally:
            ended.append(True)

    ended: list[bool] = []
    with pytest.raises(ValueError, match="rendering broke"):
        list(magnify(source(), Broken(), 4, concurrent=True))
    assert ended


@pytest.mark.parametrize("concurrent", [False, True])
def test_frames_are_let_go_as_they_pass(concurrent: bool) -> None:
    alive: list[weakref.ref[Frame]] = []

    def source() -> Iterator[Frame]:
        for frame in noise(30, 8, 8):
            held = frame.copy()
            alive.append(weakref.ref(held))
            yield held

    # In threads each of five steps may hold one frame, and one for the next step.
    most = 12 if concurrent else 3
    for number, _ in enumerate(
        magnify(source(), Pixels(), 2, mode="dynamic", concurrent=concurrent)
    ):
        if number in {7, 20}:
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= most


def test_what_is_impossible_is_refused_before_a_frame_is_asked_for() -> None:
    def never() -> Iterator[Frame]:
        raise AssertionError("a frame was read")
        yield

    for arguments in (
        {"factor": float("nan")},
        {"factor": -1.0},
        {"factor": 2.0, "mode": "dynamic", "band": Band(1, 2), "rate": 30},
        {"factor": 2.0, "band": Band(1, 2)},
        {"factor": 2.0, "band": Band(1, 20), "rate": 30},
        {"factor": 1.0, "band": Band(1, 20), "rate": 30},
    ):
        with pytest.raises(UsageError):
            magnify(never(), Pixels(), **arguments)


BANDS = [Band(1, 2), Band(5, 6)]


@pytest.mark.parametrize(
    ("frequency", "gain"), [(0.2, 1.0), (1.41, 10.0), (3.2, 1.0), (5.48, 10.0), (11.0, 1.0)]
)
def test_all_of_several_bands_are_magnified(frequency: float, gain: float) -> None:
    rate, count = 30.0, 600
    times = np.arange(count) / rate
    values = (1000 * (32 + np.sin(2 * np.pi * frequency * times))).round().astype(np.uint16)
    frames = [np.full((8, 8, 3), value, np.uint16) for value in values]
    shown = magnify(frames, Pixels(), 10, band=BANDS, rate=rate, order=4)
    out = np.array([frame[0, 0, 0] for frame in shown], float)
    exact = values.astype(float)
    for band in BANDS:
        edges = [band.low, band.high]
        sos = scipy.signal.butter(4, edges, "bandpass", fs=rate, output="sos")
        exact += 9 * scipy.signal.sosfilt(sos, values.astype(float) - values[0])
    assert np.abs(out - exact).max() < 1
    late = slice(300, None)
    wave = np.exp(-2j * np.pi * frequency * times[late])
    amplitude = 2 * abs(((out - out[late].mean())[late] * wave).mean())
    assert amplitude / 1000 == pytest.approx(gain, rel=0.06, abs=0.15)


def test_every_band_must_be_below_half_the_rate() -> None:
    with pytest.raises(UsageError, match="5-6 Hz reaches half"):
        magnify(noise(3, 8, 8), Pixels(), 10, band=BANDS, rate=11)
