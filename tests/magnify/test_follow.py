"""How far places are off their smooth paths, against the same sum over known positions."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.magnify.band import Band
from magkit.magnify.motion import PERIOD, Encoded, Shown, off_path, path_kernel
from magkit.magnify.stages import Stages

WORK = Stages(torch.device("cpu"), "full", concurrent=False)

Path = NDArray[np.float64]  # positions (T, 2) in pixels
CELL = 4


class Known:
    """A magnifier of frames that hold a position: the displacement is that of all cells."""

    stride, cell = 4, CELL

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return (current - reference).view(1, 2, 1, 1).expand(1, 2, 2, 3).contiguous()

    def displacement(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return self.motion(reference, current)

    def average(self, first: Any, others: Any) -> Any:
        raise AssertionError("a path has no reference")

    def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        raise AssertionError("nothing is shown here")


def stream(path: Path, cuts: Sequence[int] = ()) -> list[Encoded]:
    return [
        Encoded(np.full((1, 1, 3), i, np.uint8), torch.tensor(p), () if i in {0, *cuts} else None)
        for i, p in enumerate(path)
    ]


def measured(path: Path, kernel: Sequence[float], cuts: Sequence[int] = ()) -> list[Shown]:
    return list(off_path(stream(path, cuts), WORK, Known(), kernel, lambda frame: frame))


def deviations(path: Path, kernel: Sequence[float], cuts: Sequence[int] = ()) -> Path:
    """The same in float64; 0 where a shot has one frame alone on a side."""
    edges = [0, *cuts, len(path)]
    out = np.zeros_like(path)
    for i in range(len(path)):
        begin, end = max(e for e in edges if e <= i), min(e for e in edges if e > i)
        for k in range(1, min(len(kernel) - 1, i - begin, end - 1 - i) + 1):
            out[i] += kernel[k] * (path[i - k] + path[i + k] - 2 * path[i])
    return out


def values(shown: Sequence[Shown]) -> Path:
    return np.array(
        [[0, 0] if s.motion is None else s.motion[0, :, 1, 2].numpy() for s in shown], float
    )


FRAMES = 45
TIMES = np.arange(float(FRAMES))
PATHS = {
    "still": np.zeros((FRAMES, 2)),
    "straight": np.stack([1.3 * TIMES, -0.7 * TIMES], 1),
    "curved": 30 * np.stack([np.cos(TIMES / 30), np.sin(TIMES / 30)], 1),
    "accelerated": np.stack([0.02 * TIMES**2, TIMES - 0.01 * TIMES**2], 1),
}
WOBBLE = 0.3 * np.stack([np.sin(2 * np.pi * TIMES / 5), 0 * TIMES], 1)
SHORT, LONG = path_kernel(30, Band(5, 12)), path_kernel(30, None)


@pytest.mark.parametrize("cuts", [(), (20,), (1, 30, 32, 44)])
@pytest.mark.parametrize("kernel", [SHORT, LONG], ids=["band", "none"])
@pytest.mark.parametrize("name", PATHS)
def test_deviations_are_sums_over_positions(
    name: str, kernel: list[float], cuts: Sequence[int]
) -> None:
    path = PATHS[name] + WOBBLE
    shown = measured(path, kernel, cuts)
    assert [int(s.frame[0, 0, 0]) for s in shown] == list(range(FRAMES))
    np.testing.assert_allclose(values(shown), deviations(path, kernel, cuts), atol=1e-9)
    # The first and the last frame of a shot have no frames on one side: they stay as they are.
    edges = {0, FRAMES - 1, *cuts, *(cut - 1 for cut in cuts)}
    assert {i for i, s in enumerate(shown) if s.motion is None} == edges


@pytest.mark.parametrize("name", PATHS)
def test_the_wobble_is_found_whole_and_the_path_is_not(name: str) -> None:
    inside = slice(len(LONG), -len(LONG))
    smooth = values(measured(PATHS[name], LONG))[inside]
    both = values(measured(PATHS[name] + WOBBLE, LONG))[inside]
    assert np.abs(smooth).max() < 0.01
    np.testing.assert_allclose(both, WOBBLE[inside], atol=0.03)


def test_a_place_is_followed_through_fields_that_vary() -> None:
    """Everything grows by a twentieth a frame around the first cell: places run away from it."""

    class Growing(Known):
        def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
            x = CELL * torch.arange(400.0).expand(1, 1, 1, -1)
            growth = 1.05 ** float(current - reference)  # of what is now at x
            return torch.cat([x - x / growth, 0 * x], 1)

    clip = [
        Encoded(np.zeros((1, 1, 3), np.uint8), torch.tensor(i), () if i == 0 else None)
        for i in range(5)
    ]
    kernel = [0.0, 1.0, 1.0]
    found = list(off_path(clip, WORK, Growing(), kernel, lambda frame: frame))[2].motion
    assert found is not None
    x = CELL * np.arange(300.0)
    wanted = x * sum(1.05**k + 1.05**-k - 2 for k in (1, 2))
    np.testing.assert_allclose(found[0, 0, 0, :300], wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_clips_shorter_than_the_kernel(count: int) -> None:
    shown = measured(PATHS["curved"][:count], LONG)
    assert len(shown) == count
    assert [s.motion is not None for s in shown] == [0 < i < count - 1 for i in range(count)]


def response(kernel: Sequence[float], frequency: float) -> float:
    """The discrete Fourier transform of the symmetric kernel, at cycles a frame."""
    steps = np.arange(1, len(kernel))
    return float(kernel[0] + 2 * (np.array(kernel[1:]) @ np.cos(2 * np.pi * frequency * steps)))


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.45), st.floats(1.1, 5))
def test_paths_of_constant_acceleration_are_smooth(low: float, width: float) -> None:
    band = Band(low, min(low * width, 0.49))
    for kernel in (path_kernel(1, band), path_kernel(30, None)):
        both = np.array([*kernel[:0:-1], *kernel])
        steps = np.arange(len(both)) - len(kernel) + 1
        for power in (0, 1, 2):
            assert abs((both * steps**power).sum()) < 1e-9 * len(kernel) ** power
        assert len(kernel) <= 60


def test_without_a_band_what_is_faster_than_the_path_is_kept_whole() -> None:
    kernel = path_kernel(30, None)
    fast = [response(kernel, f) for f in np.linspace(1 / PERIOD, 0.5, 50)]
    assert fast == pytest.approx([1] * 50, abs=0.06)
    assert abs(response(kernel, 0.2 / PERIOD)) < 0.02
    assert kernel == path_kernel(Fraction(30000, 1001), None)


@pytest.mark.parametrize("rate", [30, Fraction(30000, 1001), 240.0])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.2), (0.1, 0.45), (0.07, 0.15), (0.2, 0.49)])
def test_a_band_is_kept_and_the_rest_is_not(
    rate: float | Fraction, low: float, high: float
) -> None:
    kernel = path_kernel(rate, Band(low * float(rate), high * float(rate)))
    inside = [response(kernel, f) for f in np.linspace(low, high, 30)]
    assert min(inside) > 0.7
    assert max(inside) < 1.1
    assert abs(response(kernel, low / 5)) < 0.03
    above = [response(kernel, f) for f in np.linspace(2 * high, 0.5, 20) if 2 * high < 0.5]
    assert np.abs([0, *above]).max() < 0.06


@pytest.mark.parametrize("band", [Band(0.1, 5), Band(0.5, 5)])
def test_a_band_that_begins_too_low_is_refused(band: Band) -> None:
    with pytest.raises(UsageError, match="begins too low") as raised:
        path_kernel(30, band)
    lowest = float(raised.value.hint.split(" Hz")[0].split()[-1])
    path_kernel(30, Band(1.01 * lowest, 5))
    with pytest.raises(UsageError, match="begins too low"):
        path_kernel(30, Band(0.99 * lowest, 5))


def test_a_band_of_half_the_rate_is_refused() -> None:
    with pytest.raises(UsageError, match="reaches half the clip's rate"):
        path_kernel(30, Band(5, 15))


def test_several_bands_leave_the_path_and_what_lies_between() -> None:
    bands = [Band(1, 1.5), Band(12, 14)]
    kernel = path_kernel(30, bands)
    assert [response(kernel, f / 30) for f in (0.2, 3.5)] == pytest.approx([0, 0], abs=0.1)
    assert [response(kernel, f / 30) for f in (1.2, 13)] == pytest.approx([1, 1], abs=0.1)


def test_bands_whose_edges_overlap_are_refused() -> None:
    with pytest.raises(UsageError, match="too close"):
        path_kernel(30, [Band(3, 4), Band(4.5, 6)])
