"""Objects drawn by scipy's spline at exact places, and found there again."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from magkit.evaluate.sprite import SpriteScene

SIZE = 192


@pytest.fixture(scope="module")
def parts() -> tuple[torch.Tensor, torch.Tensor]:
    """A picture 4 px larger than the frame, and a round object of 40 px."""
    draw = np.random.default_rng(0).random
    behind = scipy.ndimage.gaussian_filter(draw((3, SIZE + 4, SIZE + 4)), (0, 2, 2))
    y, x = np.mgrid[:40, :40] - 19.5
    alpha = np.clip(18 - np.hypot(x, y), 0, 1)
    colour = scipy.ndimage.gaussian_filter(draw((3, 40, 40)), (0, 1.5, 1.5))
    rgba = np.concatenate([(colour - 0.35) * 3, alpha[None]]).clip(0, 1)
    return torch.from_numpy(behind).float(), torch.from_numpy(rgba).float()


@pytest.fixture(scope="module")
def scene(parts: tuple[torch.Tensor, torch.Tensor]) -> SpriteScene:
    return SpriteScene(SIZE, *parts)


def test_the_object_is_where_it_was_asked_for(
    scene: SpriteScene, parts: tuple[torch.Tensor, torch.Tensor]
) -> None:
    place = (7.3, -11.45)
    alpha = parts[1][3].double().numpy()
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    at = np.stack([y - place[1], x - place[0]]) + 19.5
    wanted = scipy.ndimage.map_coordinates(alpha, at, order=3, prefilter=False)
    cover = scene.cover(torch.tensor([place]))[0, 0].double().numpy()
    np.testing.assert_allclose(cover, wanted, atol=1e-4)
    (frame,) = scene.frames(torch.tensor([place])).double().numpy()
    grid = np.stack([y, x]) + (SIZE + 3) / 2
    for plane, picture in zip(frame, parts[0].double().numpy(), strict=True):
        still = scipy.ndimage.map_coordinates(picture, grid, order=3, prefilter=False)
        np.testing.assert_allclose(plane[wanted == 0], still[wanted == 0], atol=1e-4)


@pytest.mark.parametrize("miss", [(0.0, 0.0), (0.4, -0.3), (9.7, -10.2)])
def test_the_object_is_found(scene: SpriteScene, miss: tuple[float, float]) -> None:
    places = torch.tensor([[0.0, 0.0], [20.25, -3.1], [-18.5, 14.9]], dtype=torch.float64)
    frames = (scene.frames(places) * 255).round() / 255
    found = scene.locate(frames, places + torch.tensor(miss))
    np.testing.assert_allclose(found.numpy(), places.numpy(), atol=0.01)
