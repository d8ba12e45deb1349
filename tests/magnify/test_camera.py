"""The camera's motion, measured in pictures that splines moved by known amounts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.magnify.camera import STILL, Reference, displacement, inverse
from tests.magnify.shaken import Pose, Scene, Values, as_frame

HEIGHT, WIDTH = 120, 160
POSES = [
    Pose(0.3, -0.2),
    Pose(4.2, -3.1),
    Pose(0.0, 0.0, 1.0),
    Pose(0.0, 0.0, 0.0, 0.02),
    Pose(-5.3, 2.4, -0.8, 0.01),
]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(HEIGHT, WIDTH)


def tensor(grey: Values, noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    noisy = grey + noise * np.random.default_rng(seed).standard_normal(grey.shape)
    return torch.from_numpy(as_frame(noisy.clip(0, 1))).permute(2, 0, 1)[None].float() / 255


def error(parameters: NDArray[np.floating], pose: Pose) -> float:
    """The greatest distance between where the pixels are said to be and where they are."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    places = torch.from_numpy(np.stack([x, y]))
    found = places + displacement(parameters, places, HEIGHT, WIDTH)
    return float(np.hypot(*(found.numpy() - pose.moved(x, y, HEIGHT, WIDTH))).max())


@pytest.mark.parametrize("pose", POSES, ids=str)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_motion_is_found(scene: Scene, pose: Pose, noise: float) -> None:
    reference = Reference(tensor(scene.seen(Pose()), noise, 1))
    found = reference.measure(tensor(scene.seen(pose), noise, 2))
    assert error(found.parameters, pose) < 0.02
    assert found.deviation < 0.01


def test_its_uncertainty_is_that_of_its_errors(scene: Scene) -> None:
    reference = Reference(tensor(scene.seen(Pose())))
    pose = Pose(0.4, 0.3)
    frames = [tensor(scene.seen(pose), 0.03, seed) for seed in range(8)]
    found = [reference.measure(frame) for frame in frames]
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    exact = pose.moved(x, y, HEIGHT, WIDTH)
    places = torch.from_numpy(np.stack([x, y]))
    fields = [places + displacement(each.parameters, places, HEIGHT, WIDTH) for each in found]
    errors = [((each.numpy() - exact) ** 2).sum(0).mean() for each in fields]
    stated = np.mean([each.deviation for each in found])
    assert stated == pytest.approx(math.sqrt(np.mean(errors)), rel=0.6)


@pytest.mark.parametrize("speed", [1.5, 6.0, 20.0])
def test_an_object_that_fills_a_quarter_of_the_frame_does_not_count(
    scene: Scene, speed: float
) -> None:
    pose, other = Pose(2.0, 1.0, 0.3), Scene(HEIGHT, WIDTH, seed=5)
    frames = []
    for camera, left in ((Pose(), 40.0), (pose, 40.0 + speed)):
        background = scene.seen(camera)
        thing = other.seen(Pose(left - 40.0))
        start = round(left)
        background[30:90, start : start + 80] = thing[30:90, start : start + 80]
        frames.append(tensor(background))
    found = Reference(frames[0]).find(frames[1], STILL).parameters
    assert error(found, pose) < 0.1


def test_light_that_changes_is_no_motion(scene: Scene) -> None:
    reference = Reference(tensor(scene.seen(Pose())))
    pose = Pose(1.2, -0.7)
    assert (
        error(reference.find(tensor(0.7 * scene.seen(pose) + 0.1), STILL).parameters, pose) < 0.03
    )


def test_a_jump_beyond_the_reach_of_least_squares_is_found() -> None:
    scene = Scene(HEIGHT, WIDTH, sigma=4.0)
    pose = Pose(-22.0, 17.0)
    found = Reference(tensor(scene.seen(Pose()))).find(tensor(scene.seen(pose)), STILL).parameters
    assert error(found, pose) < 0.1


def test_noise_alone_is_no_motion(scene: Scene) -> None:
    reference = Reference(tensor(scene.seen(Pose()), 0.02, 100))
    for seed in range(10):
        found = reference.find(tensor(scene.seen(Pose()), 0.02, seed), STILL).parameters
        np.testing.assert_array_equal(found, STILL)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (20, 30), (1, 1)])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_without_texture_the_camera_stands_still(size: tuple[int, int], noise: float) -> None:
    flat = np.full(size, 0.4)
    reference = Reference(tensor(flat, noise, 1))
    np.testing.assert_array_equal(reference.find(tensor(flat, noise, 2), STILL).parameters, STILL)


def test_what_has_nothing_in_common_with_the_reference_keeps_the_motion_before() -> None:
    first, second = (Scene(HEIGHT, WIDTH, seed).seen(Pose()) for seed in (1, 2))
    near = np.array([1.0, 2.0, 0.5, -0.5])
    np.testing.assert_array_equal(
        Reference(tensor(first)).find(tensor(second), near).parameters, near
    )


@given(st.lists(st.floats(-20, 20), min_size=4, max_size=4))
def test_the_way_back(values: list[float]) -> None:
    parameters = np.array(values)
    places = torch.tensor([[0.0, 30.0, 159.0], [0.0, 70.0, 119.0]], dtype=torch.float64)
    there = places + displacement(parameters, places, HEIGHT, WIDTH)
    back = there + displacement(inverse(parameters, HEIGHT, WIDTH), there, HEIGHT, WIDTH)
    assert (back - places).abs().max() < 1e-9
