"""What the pipeline does with magnifiers that measure displacements, and refuses of others."""

import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from magkit.errors import UsageError
from magkit.magnify.band import AVERAGE, Band, Mode
from magkit.magnify.coherence import DEFAULT_LIMIT, MIN_LIMIT, soft_limit
from magkit.magnify.load import load_magnifier
from magkit.magnify.lucas_kanade import backward_warp
from magkit.magnify.motion import PERIOD, path_kernel
from magkit.magnify.pipeline import magnify, to_frame
from magkit.protocols import DisplacementMagnifier
from magkit.runtime import device
from magkit.runtime.device import Precision
from magkit.video import Frame


class Greys:
    """The grey of a frame is where it is; what is rendered is noted."""

    stride, cell = 8, 4

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed  # pixels of displacement a grey level
        self.added: list[torch.Tensor] = []  # to each frame, pixels
        self.averaged: list[int] = []

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        greys = (current - reference)[:, :2, ::4, ::4] * 255
        return torch.as_tensor(greys * self.speed)

    def displacement(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return self.motion(reference, current)

    def average(self, first: torch.Tensor, others: Iterable[torch.Tensor]) -> torch.Tensor:
        both = [first, *others]
        self.averaged.append(len(both))
        return torch.stack(both).mean(0)

    def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        self.added.append(motion * (factor - 1))
        return torch.as_tensor(current)


class Plain:
    """A magnifier whose motion is something else."""

    stride, encode = 8, Greys.encode

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return current - reference

    def render(self, current: torch.Tensor, motion: torch.Tensor, factor: Any) -> torch.Tensor:
        return torch.as_tensor(current + (factor - 1) * motion)


def greys(values: Iterable[int], height: int = 40, width: int = 56) -> Iterator[Frame]:
    for value in values:
        yield np.full((height, width, 3), value, np.uint8)


def added(model: Greys) -> list[float]:
    """The x of what was added to each frame: it is the same in all cells."""
    return [float(shift[0, 0, 2, 3]) for shift in model.added]


def test_the_protocol_tells_them_apart() -> None:
    assert isinstance(Greys(), DisplacementMagnifier)
    assert not isinstance(Plain(), DisplacementMagnifier)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("limit", [5.0, 20.0])
def test_a_limit_bounds_what_is_shown(mode: Mode, limit: float) -> None:
    model = Greys()
    values = [50, 51, 53, 60, 100, 50]
    list(magnify(greys(values), model, 9, mode=mode, limit=limit, average=None))
    unlimited = Greys()
    list(magnify(greys(values), unlimited, 9, mode=mode, limit=0))
    for shown, whole in zip(model.added, unlimited.added, strict=True):
        assert shown.norm(dim=1).max() <= limit * (1 + 1e-4)
        torch.testing.assert_close(shown, soft_limit(whole, limit), rtol=1e-3, atol=1e-3)
    assert max(shift.norm(dim=1).max().item() for shift in unlimited.added) > 4 * limit


def test_the_default_limit_follows_the_shorter_side() -> None:
    for height, width in ((40, 56), (300, 400)):
        model = Greys()
        list(magnify(greys([50, 250], height, width), model, 300, average=1))
        pixels = max(DEFAULT_LIMIT * min(height, width), MIN_LIMIT)
        assert model.added[0].norm(dim=1).max().item() == pytest.approx(pixels, rel=0.01)


@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_less_motion_needs_no_limit(factor: float) -> None:
    model = Greys()
    list(magnify(greys([50, 150]), model, factor, limit=1, average=1))
    assert added(model) == pytest.approx([100 * (factor - 1)])


@pytest.mark.parametrize(
    ("average", "length"), [(1, 1), (3, 3), (12, 12), (64, 20), (None, AVERAGE)]
)
def test_the_reference_is_a_mean_of_so_many_frames(average: int | None, length: int) -> None:
    model = Greys()
    values = list(range(50, 70))
    out = list(magnify(greys(values), model, 2, limit=0, average=average))
    assert model.averaged == [length]
    mean = np.mean(values[:length])
    assert added(model) == pytest.approx([value - mean for value in values[1:]], abs=1e-3)
    assert out[0][0, 0, 0] == 50


@pytest.mark.parametrize("band", [None, Band(5, 10)])
@pytest.mark.parametrize("concurrent", [False, True])
def test_following_magnifies_what_is_off_the_path(band: Band | None, concurrent: bool) -> None:
    count = 2 * len(path_kernel(30, band)) + 6
    path = 20 + 2.0 * np.arange(count)
    wobble = 2.0 * (np.arange(count) % 4 == 0)
    model = Greys()
    out = magnify(
        greys((path + wobble).astype(int)),
        *(model, 5),
        mode="follow",
        band=band,
        rate=30,
        limit=0,
        concurrent=concurrent,
    )
    assert [int(frame[0, 0, 0]) for frame in out] == (path + wobble).astype(int).tolist()
    kernel = path_kernel(30, band)
    both = [*kernel[:0:-1], *kernel]
    exact = 4 * np.convolve(path + wobble, both, "valid")
    reach = len(kernel) - 1
    assert added(model)[reach - 1 : 1 - reach] == pytest.approx(exact, abs=1e-2)


def test_frames_of_another_type_and_shots_of_a_frame_can_be_followed() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 2**16, (9, 13, 3), np.uint16) for _ in range(5)]
    out = list(magnify(frames, Greys(), 5, mode="follow"))
    np.testing.assert_array_equal(out, frames)
    assert list(magnify([], Greys(), 5, mode="follow")) == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"mode": "follow"}, "the mode follow needs"),
        ({"limit": 10.0}, "a limit needs"),
        ({"average": 8}, "a mean of frames needs"),
    ],
)
def test_only_displacements_can_be_followed_limited_and_aligned(
    asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        magnify(greys([1]), Plain(), 2, **asked)
    magnify(greys([1]), Greys(), 2, **asked)


def test_other_magnifiers_may_be_told_to_do_neither() -> None:
    out = magnify(greys([50, 60]), Plain(), 2, limit=0, average=1)
    assert [int(frame[0, 0, 0]) for frame in out] == [50, 70]


@pytest.mark.parametrize(
    ("band", "rate"), [(Band(5, 15), 30), (Band(0.1, 5), 30), (Band(0, 5), 30), (Band(5, 10), None)]
)
def test_bands_that_cannot_be_followed(band: Band, rate: float | None) -> None:
    def never() -> Iterator[Frame]:
        raise AssertionError("a frame was read")
        yield

    with pytest.raises(UsageError):
        magnify(never(), Greys(), 2, mode="follow", band=band, rate=rate)


def most_alive(mode: Mode, **asked: Any) -> int:
    """The greatest number of frames in memory at a time."""
    alive: list[weakref.ref[Frame]] = []

    def source() -> Iterator[Frame]:
        for frame in greys([50 + i % 3 for i in range(70)], 16, 16):
            held = frame.copy()
            alive.append(weakref.ref(held))
            yield held
            del held

    most = 0
    for number, frame in enumerate(magnify(source(), Greys(), 2, mode=mode, **asked)):
        del frame
        if number in {30, 50}:
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))
    return most


def test_frames_are_let_go_as_they_pass() -> None:
    reach = len(path_kernel(30, None)) - 1
    assert reach > PERIOD  # or the next line says little
    # `reach` frames before the one that is shown and as many after it, and two in passing.
    assert most_alive("follow") <= 2 * reach + 3
    assert most_alive("static", average=5) <= 5 + 3


class Noted(Greys):
    """Notes whether each step runs under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.half: list[bool] = []

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        self.half.append(torch.is_autocast_enabled("cpu"))
        return super().encode(frames)

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        self.half.append(torch.is_autocast_enabled("cpu"))
        return super().motion(reference, current)

    def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        self.half.append(torch.is_autocast_enabled("cpu"))
        return super().render(current, motion, factor)


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize(
    ("precision", "fast", "half"),
    [("auto", True, True), ("auto", False, False), ("full", True, False), ("bf16", False, True)],
)
def test_every_step_has_the_precision_asked_for(
    precision: Precision, fast: bool, half: bool, concurrent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_fast_bf16", lambda _: fast)
    model = Noted()
    frames = [np.full((8, 8, 3), grey, np.uint8) for grey in (10, 12, 14)]
    list(magnify(frames, model, 3, precision=precision, concurrent=concurrent))
    assert len(model.half) > 6
    assert set(model.half) == {half}


def test_other_magnifiers_keep_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    class Looked(Plain):
        def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
            seen.append(torch.is_autocast_enabled("cpu"))
            return super().motion(reference, current)

    monkeypatch.setattr(device, "has_fast_bf16", lambda _: True)
    frames = [np.full((8, 8, 3), grey, np.uint8) for grey in (10, 12, 14)]
    list(magnify(frames, Looked(), 3))
    assert seen == [False, False]
    list(magnify(frames, Looked(), 3, precision="bf16"))
    assert seen[2:] == [True, True]


def test_bf16_changes_frames_by_far_less_than_a_grey_level() -> None:
    magnifier = load_magnifier()
    texture = torch.from_numpy(np.random.default_rng(0).random((1, 3, 24, 32), np.float32))
    texture = torch.nn.functional.interpolate(texture, scale_factor=4, mode="bicubic").clamp(0, 1)
    moved = backward_warp(texture, torch.full((1, 2, 96, 128), 0.3), mode="bicubic").clamp(0, 1)
    frames = [to_frame(each, (96, 128)) for each in (texture, moved)]
    full, half = (
        np.array(list(magnify(frames, magnifier, 8, precision=each)), np.float64)
        for each in ("full", "bf16")
    )
    assert 0 < np.abs(half - full).mean() < 0.1
    assert np.abs(full[1] - frames[1]).mean() > 5
