"""Clips of a shaking camera: the shake is taken out, put back, and never magnified."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from numpy.typing import NDArray

from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify
from magkit.magnify.region import Controls
from magkit.magnify.stabilize import Stabilize, without_camera
from magkit.protocols import Magnifier
from magkit.video import Frame
from tests.magnify.shaken import Pose, Scene, Values, as_frame, shake

HEIGHT, WIDTH, COUNT, FACTOR = 96, 128, 24, 8.0
SWING, PERIOD = 0.2, 6  # pixels and frames, of the patch in the middle
PATCH = (slice(30, 66), slice(44, 84))
POSES = shake(COUNT)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(HEIGHT, WIDTH)


def swings(scene: Scene, pose: Pose, number: int) -> Values:
    """How far the scene moves right at the pixels of a frame: the patch swings."""
    x, y = scene.places(pose)
    rows, columns = PATCH
    edges = [x - columns.start, columns.stop - x, y - rows.start, rows.stop - y]
    share = (np.min(edges, 0) / 4 + 0.5).clip(0, 1)
    return np.asarray(SWING * np.sin(2 * np.pi * number / PERIOD) * share)


@pytest.fixture(scope="module")
def shaken(scene: Scene) -> list[Frame]:
    return [
        as_frame(scene.seen(pose, swings(scene, pose, number))) for number, pose in enumerate(POSES)
    ]


@pytest.fixture(scope="module")
def model() -> Magnifier:
    return load_magnifier("magnet-fast", None, (), torch.device("cpu"))


class Nothing:
    """Shows no motion at all."""

    stride = 8

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(current)

    def render(self, current: torch.Tensor, motion: torch.Tensor, factor: Any) -> torch.Tensor:
        return current


def held(frames: list[Frame], poses: list[Pose]) -> list[Values]:
    """Frames (H, W) as a still camera would have seen them, from known poses."""
    y, x = np.mgrid[: len(frames[0]), : frames[0].shape[1]].astype(float)
    found = []
    for frame, pose in zip(frames, poses, strict=True):
        places = pose.moved(x, y, *x.shape)[::-1]
        grey = frame[..., 0].astype(float)
        found.append(scipy.ndimage.map_coordinates(grey, places, order=5, mode="nearest"))
    return found


def displacements(frames: list[Values], where: tuple[slice, slice]) -> NDArray[np.float64]:
    """How far a part of the frames (H, W) has moved since the first one, x and y, (T, 2)."""
    rows, columns = (np.arange(part.start, part.stop, dtype=float) for part in where)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    first, found = frames[0][where], []
    for frame in frames:
        coefficients = scipy.ndimage.spline_filter(frame, order=5, mode="mirror")
        moved = np.zeros(2)
        for _ in range(15):
            seen = scipy.ndimage.map_coordinates(
                coefficients, [y + moved[1], x + moved[0]], order=5, prefilter=False, mode="mirror"
            )
            down, across = np.gradient(seen)
            design = np.stack([across.ravel(), down.ravel(), np.ones(across.size)], 1)
            moved += np.linalg.lstsq(design, (first - seen).ravel(), rcond=None)[0][:2]
        found.append(moved)
    return np.array(found)


def amplitude(moves: NDArray[np.float64]) -> float:
    """The amplitude of the swing in x."""
    phase = 2 * np.pi * np.arange(len(moves)) / PERIOD
    design = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)], 1)
    return float(np.hypot(*np.linalg.lstsq(design, moves[:, 0], rcond=None)[0][:2]))


INSIDE = (slice(36, 60), slice(50, 78))
CORNERS = [(slice(8, 26), slice(10, 40)), (slice(70, 88), slice(90, 118))]


def rest(moves: list[NDArray[np.float64]]) -> float:
    return float(np.sqrt(np.mean(np.square(moves))))


def test_the_swing_is_magnified_and_the_shake_is_not(shaken: list[Frame], model: Magnifier) -> None:
    plain = [frame[..., 0].astype(float) for frame in shaken]
    before = rest([displacements(plain, corner) for corner in CORNERS])
    assert before > 1.0
    shown = list(magnify(shaken, model, FACTOR, stabilize="out"))
    out = [frame[..., 0].astype(float) for frame in shown]
    assert amplitude(displacements(out, INSIDE)) == pytest.approx(FACTOR * SWING, rel=0.1)
    assert rest([displacements(out, corner) for corner in CORNERS]) < 0.05 * before
    # The same with the camera's motion put back: from its known poses.
    back = list(magnify(shaken, model, FACTOR, stabilize="back"))
    steady = held(back, POSES)
    assert amplitude(displacements(steady, INSIDE)) == pytest.approx(FACTOR * SWING, rel=0.1)
    assert rest([displacements(steady, corner) for corner in CORNERS]) < 0.05 * before


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("how", ["out", "back"])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_still_camera_changes_nothing(
    scene: Scene, deep: bool, how: Stabilize, noise: float
) -> None:
    rng, still = np.random.default_rng(0), scene.seen(Pose())
    frames = [as_frame((still + noise * rng.standard_normal(still.shape)).clip(0, 1), deep)]
    frames += [as_frame((still + noise * rng.standard_normal(still.shape)).clip(0, 1), deep)] * 3
    for factor in (1, 5):
        out = list(magnify(frames, Nothing(), factor, stabilize=how))
        assert all(one.dtype == frames[0].dtype for one in out)
        np.testing.assert_array_equal(out, frames)


@pytest.mark.parametrize("concurrent", [False, True])
def test_put_back_what_is_not_magnified_is_the_input(shaken: list[Frame], concurrent: bool) -> None:
    out = magnify(shaken, Nothing(), 5, stabilize="back", concurrent=concurrent)
    np.testing.assert_array_equal(list(out), shaken)


def test_frames_show_the_view_of_the_first_one(scene: Scene) -> None:
    """Inside, what scipy's quintic spline makes of the scene; borders stay as they were."""
    poses = [Pose(), Pose(3.3, -2.2), Pose(-4.1, 1.7, 0.5)]
    frames = [as_frame(scene.seen(pose)) for pose in poses]
    out = list(without_camera(frames))
    inner = np.s_[12:-12, 12:-12]
    for frame in out:
        assert np.abs(frame[inner].astype(int) - frames[0][inner]).max() <= 5
        # No part of the frame is black, or jumps.
        assert np.abs(frame.astype(int) - frames[0]).max() <= 5


def test_a_cut_begins_anew(scene: Scene) -> None:
    other = Scene(HEIGHT, WIDTH, seed=9, sigma=6.0)
    poses = [Pose(), Pose(3.0, 1.0), Pose(-2.0, 2.0)]
    frames = [as_frame(each.seen(pose)) for each in (scene, other) for pose in poses]
    out = list(without_camera(frames))
    np.testing.assert_array_equal(out[0], frames[0])
    np.testing.assert_array_equal(out[3], frames[3])
    for before, after in [*pairwise(out[:3]), *pairwise(out[3:])]:
        assert np.abs(after.astype(int) - before).max() <= 3


def test_a_camera_that_travels_on_takes_another_view() -> None:
    scene = Scene(HEIGHT, 3 * WIDTH, seed=4)
    wide = scene.seen(Pose())
    frames = [as_frame(wide[:, left : left + WIDTH]) for left in range(0, 2 * WIDTH, 8)]
    out = list(without_camera(frames))
    views = [number for number in range(len(out)) if np.array_equal(out[number], frames[number])]
    assert len(views) == pytest.approx(1 + len(frames) // 9, abs=2)
    for number, (before, after) in enumerate(pairwise(out), 1):
        if number not in views:
            assert np.abs(after.astype(int) - before)[12:-12, 70:-12].mean() < 1


def test_only_the_part_of_a_mask_changes_in_the_first_view(
    shaken: list[Frame], model: Magnifier
) -> None:
    controls = Controls(roi=(44, 30, 40, 36))
    plain = list(without_camera(shaken[:6]))
    out = list(magnify(shaken[:6], model, 8, stabilize="out", controls=controls))
    changed = np.array(out) != np.array(plain)
    assert changed[:, PATCH[0], PATCH[1]].any()
    changed[:, PATCH[0], PATCH[1]] = False
    assert not changed.any()


@pytest.mark.parametrize("mode", ["dynamic", "follow"])
@pytest.mark.parametrize("how", ["out", "back"])
def test_every_mode_gives_as_many_frames(
    shaken: list[Frame], model: Magnifier, mode: Any, how: Stabilize
) -> None:
    out = list(magnify(shaken[:8], model, 4, mode=mode, stabilize=how))
    assert [frame.shape for frame in out] == [shaken[0].shape] * 8


@pytest.mark.parametrize("size", [(1, 1), (20, 300), (33, 35)])
def test_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(3)]
    out = list(magnify(frames, Nothing(), 3, stabilize="back"))
    np.testing.assert_array_equal(out, frames)
