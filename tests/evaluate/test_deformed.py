"""Deformed frames against a float64 spline at inverted points, and scales found in them."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from numpy.typing import NDArray

from magkit.evaluate.deformed import Cut, DeformedScene, ScaleFit, draw_cut
from magkit.synth.deformation import Deformation, bending, membrane
from magkit.synth.procedural import ProceduralPictures

SIZE, SIDE = 48, 80
NUMBER = math.pi / 30
MEMBRANE = Deformation(waves=membrane((0.3, -0.4), (NUMBER, NUMBER), (math.pi / 2,) * 2))
BEAM = Deformation(waves=(bending(0.5, 72.0, 0.0, math.pi / 2),))


def texels(seed: int = 0) -> torch.Tensor:
    picture = np.random.default_rng(seed).random((3, SIDE, SIDE))
    smooth = scipy.ndimage.gaussian_filter(picture, (0, 1.5, 1.5))
    return torch.from_numpy((smooth - smooth.min()) / np.ptp(smooth)).float()


def square() -> DeformedScene:
    return DeformedScene(SIZE, MEMBRANE, texels(), texels(), (15.0, 15.0))


def strip() -> DeformedScene:
    return DeformedScene(SIZE, BEAM, texels(), texels(1), (18.0, 6.0), edge=1.5)


def field(
    scene: DeformedScene, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    if scene.edge:
        return np.stack([0 * x, 0.5 * np.cos(2 * np.pi * x / 72)])
    shape = np.cos(NUMBER * x) * np.cos(NUMBER * y)
    return np.stack([0.3 * shape, -0.4 * shape])


def exact(scene: DeformedScene, scale: float) -> NDArray[np.float64]:
    """A frame by fixed-point iteration and scipy's spline."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    px, py = x, y
    for _ in range(200):
        dx, dy = scale * field(scene, px, py)
        px, py = x - dx, y - dy

    def spline(
        image: torch.Tensor | None, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        assert image is not None
        at = np.stack([y, x]) + (SIDE - 1) / 2
        planes = image.double().numpy()
        return np.stack(
            [scipy.ndimage.map_coordinates(p, at, order=3, prefilter=False) for p in planes]
        )

    inside = np.minimum(scene.half[0] - abs(px), 1e9), np.minimum(scene.half[1] - abs(py), 1e9)
    if scene.edge:
        cover = np.prod([(i / scene.edge + 0.5).clip(0, 1) for i in inside], 0)
    else:
        cover = ((inside[0] >= 0) & (inside[1] >= 0)).astype(float)
    still = spline(scene.behind, x, y)
    frame: NDArray[np.float64] = still + cover * (spline(scene.front, px, py) - still)
    return frame


@pytest.mark.parametrize("scene", [square(), strip()])
@pytest.mark.parametrize("scale", [-6.0, 0.0, 1.0, 9.0])
def test_frames_against_scipy(scene: DeformedScene, scale: float) -> None:
    (made,) = scene.frames(torch.tensor([scale])).numpy()
    np.testing.assert_allclose(made, exact(scene, scale), atol=5e-4)
    (grey,) = scene.frames(torch.tensor([scale]), grey=True).numpy()
    np.testing.assert_allclose(grey[0], made.mean(0), atol=1e-5)


def test_what_stands_still_and_what_moves() -> None:
    scene = square()
    rest, moved = scene.frames(torch.tensor([0.0, 9.0]))
    outside = scene.cover(torch.tensor([9.0]))[0, 0] == 0
    assert (rest == moved).all(0)[outside].all()
    assert 0.5 < outside.float().mean() < 0.7
    lengths = scene.lengths(torch.tensor([0.0]))[0, 0]
    assert lengths.max().item() == pytest.approx(0.5, rel=0.01)
    assert (lengths[outside] == 0).all()


def test_what_another_frame_shows() -> None:
    # At scale 4 everything is 12 px further right, at scale 1 it was 3 px right.
    scene = DeformedScene(SIZE, Deformation(shift=(3.0, 0.0)), texels())
    seen = scene.visible(4.0, 1.0)[0, 0]
    assert seen[:, 9:].all()
    assert not seen[:, :9].any()


@pytest.mark.parametrize("scene", [square(), strip()])
def test_scales_of_exact_frames(scene: DeformedScene) -> None:
    scales = torch.tensor([-7.3, -0.4, 0.0, 3.33, 8.1])
    fit = ScaleFit(scene, torch.linspace(-10, 10, 41))
    np.testing.assert_allclose(fit(scene.frames(scales)), scales.numpy(), atol=0.05)
    noisy = scene.frames(scales) + 0.02 * torch.randn(5, 3, SIZE, SIZE)
    np.testing.assert_allclose(fit(noisy), scales.numpy(), atol=0.2)


def test_pixels_without_weight_do_not_count() -> None:
    scene, scales = square(), torch.tensor([2.0])
    frames = scene.frames(scales)
    frames[..., :20] = 1.0
    weight = (torch.arange(SIZE) >= 20).expand(1, 1, SIZE, SIZE)
    grid = torch.linspace(-4, 4, 17)
    assert ScaleFit(scene, grid, weight)(frames)[0] == pytest.approx(2, abs=0.02)
    assert abs(ScaleFit(scene, grid)(frames)[0] - 2) > 0.1


def test_squares_of_pictures() -> None:
    pictures = ProceduralPictures(4)
    cuts = [draw_cut(np.random.default_rng(seed), pictures) for seed in range(50)]
    assert {cut.number for cut in cuts} == {0, 1, 2, 3}
    assert all(1 <= cut.zoom <= 2 for cut in cuts)
    whole = Cut(1, 1e9, (0.3, 0.9)).texels(pictures, 40)
    assert whole.shape == (3, 40, 40)
    height, width = pictures.picture(1).shape[-2:]
    corner = Cut(1, 1.0, (1.0, 1.0)).texels(pictures, 40)
    wanted = pictures.picture(1)[:, height - 40 :, width - 40 :] / 255
    # The spline's samples at its own places give back the picture, to first order.
    taps = torch.tensor([1.0, 4.0, 1.0]) / 6
    blurred = torch.nn.functional.conv2d(corner[:, None], taps.view(1, 1, 1, 3))
    blurred = torch.nn.functional.conv2d(blurred, taps.view(1, 1, 3, 1))[:, 0]
    assert (blurred - wanted[:, 1:-1, 1:-1]).abs().mean() < 0.02
