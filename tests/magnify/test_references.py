"""What motion is measured from: a shot's first frames, or the frame before."""

from collections.abc import Iterable
from functools import partial
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

from magkit.magnify.band import Band
from magkit.magnify.fast import MagnetFast
from magkit.magnify.fast_encoder import Features
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.filters import BandPass
from magkit.magnify.lucas_kanade import backward_warp, upsample
from magkit.magnify.motion import Encoded, Shown, off_path, since_first, since_last
from magkit.magnify.stages import Stages

WORK = Stages(torch.device("cpu"), "full", concurrent=False)


class Numbers:
    """A magnifier of numbers; the mean of frames is that of the numbers."""

    stride, cell = 4, 4

    def __init__(self) -> None:
        self.averaged: list[list[float]] = []

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return (current - reference).view(1, 1, 1, 1).expand(1, 2, 1, 1)

    def displacement(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return self.motion(reference, current)

    def average(self, first: torch.Tensor, others: Iterable[torch.Tensor]) -> torch.Tensor:
        both = [first, *others]
        self.averaged.append([float(value) for value in both])
        return torch.stack(both).mean()

    def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        raise AssertionError("nothing is shown here")


def stream(values: Iterable[float], cuts: Iterable[int] = (), opening: int = 1) -> list[Encoded]:
    encoded = [torch.tensor(value, dtype=torch.float64) for value in values]
    begins = [0, *cuts, len(encoded)]
    frame = np.zeros((1, 1, 3), np.uint8)
    items = [Encoded(frame, value) for value in encoded]
    for begin, end in pairwise(begins):
        others = iter(encoded[begin + 1 : min(begin + opening, end)])
        items[begin] = Encoded(frame, encoded[begin], others)
    return items


def motions(shown: Iterable[Shown]) -> list[float | None]:
    return [None if s.motion is None else float(s.motion[0, 0, 0, 0]) for s in shown]


def test_the_reference_is_the_mean_of_its_shot_alone() -> None:
    model = Numbers()
    clip = stream([1, 2, 6, 10, 100, 104, 103], cuts=[4], opening=3)
    found = motions(since_first(clip, WORK, model, None, repeat(0.1)))
    assert model.averaged == [[1, 2, 6], [100, 104, 103]]
    mean = 307 / 3
    assert found == pytest.approx([None, -1, 3, 7, None, 104 - mean, 103 - mean])


def test_a_magnifier_without_displacements_keeps_the_first_frame() -> None:
    class Plain:
        stride, encode, motion, render = 4, Numbers.encode, Numbers.motion, Numbers.render

    clip = stream([1, 2, 6, 50, 51], cuts=[3], opening=3)
    found = motions(since_first(clip, WORK, Plain(), None, repeat(0.1)))
    assert found == [None, 1, 5, None, 1]


def test_the_filter_begins_anew_with_each_shot() -> None:
    rng, cut, rate = np.random.default_rng(0), 25, 30.0
    values = rng.normal(size=60) + np.where(np.arange(60) < cut, 0, 1e3)
    make = partial(BandPass, Band(3, 6), rate, 2)
    clip = stream(values, cuts=[cut])
    found = motions(since_first(clip, WORK, Numbers(), make, repeat(1 / rate)))
    assert found[0] is found[cut] is None
    sos = scipy.signal.butter(2, [3, 6], "bandpass", fs=rate, output="sos")
    for part in (slice(0, cut), slice(cut, None)):
        exact = scipy.signal.sosfilt(sos, values[part] - values[part][0])
        assert found[part][1:] == pytest.approx(exact[1:], abs=1e-6)


class Uncertain(Numbers):
    """No displacement of it can be told from noise."""

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return 0 * super().motion(reference, current)

    def displacement(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return Numbers.motion(self, reference, current)


def test_a_band_is_filtered_out_of_displacements_below_the_noise() -> None:
    values = np.random.default_rng(0).normal(size=30)
    make = partial(BandPass, Band(3, 6), 30.0, 2)
    shown = {}
    for magnifier in (Numbers(), Uncertain()):
        for filters in (None, make):
            found = since_first(stream(values), WORK, magnifier, filters, repeat(1 / 30))
            shown[type(magnifier), filters] = motions(found)[1:]
    assert shown[Uncertain, make] == shown[Numbers, make]
    assert set(shown[Uncertain, None]) == {0.0}


def test_the_path_of_a_band_is_made_of_displacements_below_the_noise() -> None:
    for filtered in (False, True):
        items = stream(np.random.default_rng(0).normal(size=9))
        found = off_path(items, WORK, Uncertain(), [0.5, -0.25], torch.tensor, filtered=filtered)
        assert any(motion for motion in motions(found)) == filtered


def test_intervals_belong_to_frames_whatever_is_cut() -> None:
    asked: list[float | None] = []

    def make() -> Any:
        def filtered(value: torch.Tensor, interval: float | None = None) -> torch.Tensor:
            asked.append(interval)
            return value

        return filtered

    clip = stream(range(5), cuts=[2])
    list(since_first(clip, WORK, Numbers(), make, iter([0.1, 0.2, 0.3])))
    # The first of a shot rests; between frames 1 and 2 lies the cut; the last is not known.
    assert asked == [None, 0.1, None, 0.3, None]


def test_nothing_is_measured_across_a_cut() -> None:
    clip = stream([0, 1, 3, 100, 104], cuts=[3])
    assert motions(since_last(clip, WORK, Numbers())) == [None, 1, 2, None, 4]


# The mean of frames by magnet-fast, untrained: least squares.


@pytest.fixture(scope="module")
def network() -> MagnetFast:
    torch.manual_seed(0)
    return MagnetFast(FastConfig(stem=4, width=8, guide=4, hidden=4)).eval()


def texture(seed: int = 0, height: int = 96, width: int = 128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=generator)
    return 0.2 + 0.6 * upsample(coarse, 4)


def noisy(frame: torch.Tensor, seed: int, sigma: float = 0.02) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 + seed)
    return frame + sigma * torch.randn(frame.shape, generator=generator)


def moved(frame: torch.Tensor, x: float, y: float) -> torch.Tensor:
    field = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, *frame.shape[-2:])
    return backward_warp(frame, field, mode="bicubic")


@torch.no_grad()
def average(network: MagnetFast, frames: list[torch.Tensor]) -> torch.Tensor:
    first, *others = frames
    made: Features = network.average(network.encode(first), map(network.encode, others))
    return made.frames


def error(frame: torch.Tensor, clean: torch.Tensor) -> float:
    """Root mean square, away from the border."""
    return (frame - clean)[..., 12:-12, 12:-12].square().mean().sqrt().item()


def test_the_first_frame_alone_is_itself(network: MagnetFast) -> None:
    frame = texture()
    assert torch.equal(average(network, [frame]), frame)


@pytest.mark.parametrize("count", [4, 9])
def test_noise_falls_with_the_root_of_the_number(network: MagnetFast, count: int) -> None:
    clean = texture()
    frames = [noisy(clean, seed) for seed in range(count)]
    fallen = error(frames[0], clean) / error(average(network, frames), clean)
    assert 0.75 * count**0.5 < fallen < 1.3 * count**0.5


def test_what_moves_stays_sharp(network: MagnetFast) -> None:
    clean = texture()
    frames = [noisy(moved(clean, 0.35 * i, -0.25 * i), i) for i in range(8)]
    plain = torch.stack(frames).mean(0)
    aligned = average(network, frames)
    assert error(aligned, clean) < 0.5 * error(plain, clean)
    assert error(aligned, clean) < 0.7 * error(frames[0], clean)


def test_frames_that_cannot_be_aligned_do_not_count(network: MagnetFast) -> None:
    clean = texture()
    frames = [clean, *(texture(seed) for seed in (1, 2, 3))]
    plain = torch.stack(frames).mean(0)
    assert error(average(network, frames), clean) < 0.5 * error(plain, clean)


def test_frames_of_less_contrast_count_too(network: MagnetFast) -> None:
    clean = texture()
    dim = 0.5 + 0.6 * (clean - 0.5)
    assert error(average(network, [clean, dim]), (clean + dim) / 2) < 0.01
    assert error(average(network, [dim, clean]), (clean + dim) / 2) < 0.01
