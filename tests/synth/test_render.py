"""The renderer against oracles in float64 that share no code with it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage

from magkit.synth.render import Sources, render
from magkit.synth.scene import Layer, Scene, SceneConfig, draw_scene

Plane = npt.NDArray[np.float64]
Make = Callable[..., Scene]
MakeLayer = Callable[..., Layer]
MakeSources = Callable[..., Sources]
MakePicture = Callable[..., torch.Tensor]

CONFIG = SceneConfig(size=48, magnified=(0.5, 8.0))
SIDE = CONFIG.size + 2 * CONFIG.margin
SUPER = 16  # samples to a pixel, in each direction
MOTIONS = [(0.003, 0.0), (-0.05, 0.02), (0.37, -0.61), (1.0, 0.0), (-2.25, 3.7)]


def sharpened(image: Plane) -> Plane:
    for axis in (1, 2):
        image = ndimage.correlate1d(image, np.array([-1, 8, -1]) / 6, axis, mode="nearest")
    return np.clip(image, 0, 1)


def sampled(texels: Plane, x0: float, y0: float, size: int = CONFIG.size) -> Plane:
    """The frame that a spline with these texels gives, the first one at (x0, y0) of the frame."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    return np.stack(
        [
            ndimage.map_coordinates(plane, [y - y0, x - x0], order=3, prefilter=False)
            for plane in texels
        ]
    )


def in_the_plane(texels: Plane, x0: float, y0: float, size: int = CONFIG.size) -> Plane:
    """Square texels at many points of the plane, two pixels beyond the frame; outside them 0."""
    points = (np.arange((size + 4) * SUPER) + 0.5) / SUPER - 2.5
    down, across = np.rint(points - y0).astype(int), np.rint(points - x0).astype(int)
    height, width = texels.shape[1:]
    inside = ((down >= 0) & (down < height))[:, None] & ((across >= 0) & (across < width))
    looked_up = texels[:, down.clip(0, height - 1)[:, None], across.clip(0, width - 1)]
    return np.where(inside, looked_up, 0.0)


def through_optics(plane: Plane) -> Plane:
    """Many points of the plane to pixels: the quadratic B-spline, three pixels wide."""
    distance = np.abs((np.arange(3 * SUPER) + 0.5) / SUPER - 1.5)
    taps = np.where(distance < 0.5, 0.75 - distance**2, (1.5 - distance) ** 2 / 2) / SUPER
    for axis in (1, 2):
        plane = ndimage.correlate1d(plane, taps, axis, mode="constant")
        centres = range(2 * SUPER + SUPER // 2, plane.shape[axis] - 2 * SUPER, SUPER)
        plane = plane.take(centres, axis)
    return plane


def displacement(before: Plane, after: Plane) -> Plane:
    """(x, y) from one frame to the other: least squares over shifts of a quintic spline.

    Both are blurred first, for the detail that is finer than pixels can show moves otherwise.
    """
    before, after = (ndimage.gaussian_filter(frame.mean(0), 1.5) for frame in (before, after))
    spectrum = np.fft.fft2(after) * np.fft.fft2(before).conj()
    peak = np.unravel_index(np.argmax(np.fft.ifft2(spectrum).real), before.shape)
    sides = np.array(before.shape)
    found = (np.array(peak) + sides // 2) % sides - sides // 2.0
    for _ in range(6):
        moved, down, right = (
            ndimage.shift(before, found + step, order=5, mode="mirror")[8:-8, 8:-8]
            for step in ((0, 0), (1e-4, 0), (0, 1e-4))
        )
        slopes = np.stack([(down - moved).ravel(), (right - moved).ravel()], 1) / 1e-4
        left = (after[8:-8, 8:-8] - moved).ravel()
        found = found + np.linalg.lstsq(slopes, left, rcond=None)[0]
    return np.asarray(found[::-1])


def as_numpy(frames: torch.Tensor) -> Plane:
    return np.asarray(frames[0].double().numpy())


def an_object(seed: int, height: int, width: int) -> torch.Tensor:
    """A disc or ellipse of noise with a hard edge, RGBA."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    disc = np.hypot((2 * y + 1) / height - 1, (2 * x + 1) / width - 1) < 1
    colours = ndimage.gaussian_filter(rng.random((3, height, width)), (0, 1, 1)) * 2 - 0.5
    return torch.from_numpy(np.concatenate([colours.clip(0, 1), disc[None]]).astype(np.float32))


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_backgrounds_are_exact(
    motion: tuple[float, float],
    factor: float,
    given: MakeSources,
    a_scene: Make,
    noise_picture: MakePicture,
) -> None:
    picture = noise_picture(SIDE)
    scene = a_scene(motion=motion, factor=factor)
    made = render([scene], CONFIG, given([picture]), quantise=False)
    texels = sharpened(picture.double().numpy() / 255)
    for frame, times in ((made.a, 0), (made.b, 1), (made.m, factor)):
        x0, y0 = (times * d - CONFIG.margin for d in motion)
        np.testing.assert_allclose(frame[0], sampled(texels, x0, y0), atol=1e-5)
    assert torch.equal(made.c, made.b)


def test_low_contrast_backgrounds_are_blurred(
    given: MakeSources, a_scene: Make, noise_picture: MakePicture
) -> None:
    picture = noise_picture(SIDE)
    scene = a_scene(kind="low-contrast", motion=(0.3, 0.0), factor=5.0)
    made = render([scene], CONFIG, given([picture]), quantise=False)
    blurred = ndimage.gaussian_filter(
        picture.double().numpy() / 255, (0, 4, 4), mode="nearest", truncate=3
    )
    exact = sampled(blurred, 1.5 - CONFIG.margin, -CONFIG.margin)
    np.testing.assert_allclose(made.m[0], exact, atol=1e-5)


PLACES = [(10.0, 12.0), (20.25, 7.5), (-6.3, 30.7), (40.9, -3.1), (-11.0, -11.0)]


@pytest.mark.parametrize("origin", PLACES)
@pytest.mark.parametrize("flip", [False, True])
def test_objects_are_exact_wherever_they_lie(
    origin: tuple[float, float],
    flip: bool,
    given: MakeSources,
    a_scene: Make,
    a_layer: MakeLayer,
) -> None:
    motion, factor = (0.313, -0.127), 20.0
    layer = a_layer(0, origin, motion, size=CONFIG.size, flip=flip)
    black = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    thing = an_object(0, 17, 12)
    made = render(
        [a_scene([layer], factor=factor)], CONFIG, given([black], [thing]), quantise=False
    )
    texels = thing.double().numpy()[:, :, ::-1] if flip else thing.double().numpy()
    premultiplied = np.pad(sharpened(texels[:3]) * texels[3:], ((0, 0), (4, 4), (4, 4)))
    for frame, times in ((made.a, 0), (made.b, 1), (made.m, factor)):
        x0, y0 = (o + times * d - 4 for o, d in zip(origin, motion, strict=True))
        np.testing.assert_allclose(frame[0], sampled(premultiplied, x0, y0), atol=1e-5)


def test_an_object_larger_than_the_frame_and_one_far_outside(
    given: MakeSources, a_scene: Make, a_layer: MakeLayer
) -> None:
    black = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    white = torch.ones(4, 90, 80)
    layers = [a_layer(0, (-20.5, -30.25), size=48), a_layer(0, (500.0, -700.0), size=48)]
    made = render([a_scene(layers)], CONFIG, given([black], [white]), quantise=False)
    torch.testing.assert_close(made.a, torch.ones(1, 3, 48, 48))


@pytest.mark.parametrize("motion", MOTIONS)
def test_layers_over_one_another_are_close_to_a_supersampled_picture(
    motion: tuple[float, float],
    given: MakeSources,
    a_scene: Make,
    a_layer: MakeLayer,
) -> None:
    picture = (an_object(0, SIDE, SIDE)[:3] * 255).byte()
    things = [an_object(1, 24, 18), an_object(2, 15, 31)]
    origins = [(8.2, 11.7), (17.6, 20.1)]
    ways = [(motion[1], motion[0]), (-motion[0], motion[1])]
    layers = [a_layer(k, origins[k], ways[k], size=CONFIG.size) for k in (0, 1)]
    made = render(
        [a_scene(layers, motion=motion)], CONFIG, given([picture], things), quantise=False
    )
    x0, y0 = (d - CONFIG.margin for d in motion)
    plane = in_the_plane(sharpened(picture.double().numpy() / 255), x0, y0)
    for thing, origin, way in zip(things, origins, ways, strict=True):
        texels = thing.double().numpy()
        texels[:3] = sharpened(texels[:3])
        rgba = in_the_plane(texels, origin[0] + way[0], origin[1] + way[1])
        plane = np.where(rgba[3:] > 0.5, rgba[:3], plane)
    error = np.abs(as_numpy(made.b) - through_optics(plane))
    # Smoothing each layer and its mask, and laying them over one another then, is not quite
    # laying over and smoothing then: they differ along edges alone.
    assert error.mean() < 0.004
    assert np.quantile(error, 0.8) < 0.005
    assert error.max() < 0.1


@pytest.mark.parametrize("motion", MOTIONS)
def test_backgrounds_move_as_asked(motion: tuple[float, float], procedural: Sources) -> None:
    config = replace(CONFIG, size=96, kinds=("background-motion",), colour=0.0)
    drawn = draw_scene(config, 12, 12, 0, 5)
    scene = replace(drawn, motion=motion, factor=2.0, background=3)
    made = render([scene], config, procedural, quantise=False)
    a, b, m = (as_numpy(frame) for frame in (made.a, made.b, made.m))
    np.testing.assert_allclose(displacement(a, b), motion, atol=0.002)
    np.testing.assert_allclose(displacement(a, m), 2 * np.array(motion), atol=0.002)


@pytest.mark.parametrize("motion", MOTIONS)
def test_objects_move_as_asked(
    motion: tuple[float, float], given: MakeSources, a_scene: Make, a_layer: MakeLayer
) -> None:
    config = replace(CONFIG, size=96)
    grey = torch.full((3, 200, 200), 128, dtype=torch.uint8)
    layer = a_layer(0, (30.4, 26.8), motion, size=config.size)
    scene = a_scene([layer], factor=2.0)
    made = render([scene], config, given([grey], [an_object(3, 40, 36)]), quantise=False)
    a, b, m = (as_numpy(frame) for frame in (made.a, made.b, made.m))
    np.testing.assert_allclose(displacement(a, b), motion, atol=0.002)
    np.testing.assert_allclose(displacement(a, m), 2 * np.array(motion), atol=0.002)


def test_colours_change_in_b_and_m_alone(
    given: MakeSources, a_scene: Make, noise_picture: MakePicture
) -> None:
    sources = given([noise_picture(SIDE)])
    gain, offset = (0.9, 1.0, 1.05), (0.04, -0.03, 0.0)
    plain = render([a_scene(motion=(0.5, 0.2))], CONFIG, sources, quantise=False)
    scene = a_scene(motion=(0.5, 0.2), gain=gain, offset=offset)
    made = render([scene], CONFIG, sources, quantise=False)
    shape = (1, 3, 1, 1)
    changed = plain.b * torch.tensor(gain).view(shape) + torch.tensor(offset).view(shape)
    torch.testing.assert_close(made.b, changed.clamp(0, 1))
    assert torch.equal(made.a, plain.a)
    assert torch.equal(made.c, plain.b)
    assert torch.equal(made.m, made.b)  # the factor is 1


def test_dither_is_unbiased_and_leaves_8_bit_levels(
    given: MakeSources, a_scene: Make, noise_picture: MakePicture
) -> None:
    count, config = 300, replace(CONFIG, size=24)
    sources = given([noise_picture(200)])
    scenes = [a_scene(motion=(0.4, 0.0), factor=3.0, noise_seed=n) for n in range(count)]
    made = render(scenes, config, sources)
    exact = render(scenes[:1], config, sources, quantise=False)
    for name in ("a", "b", "c", "m"):
        levels = (getattr(made, name).double() * 255).numpy()
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
        value = (getattr(exact, name)[0].double() * 255).numpy()
        assert np.abs(levels - value).max() < 1.001
        part = value - np.floor(value)
        spread = np.sqrt(np.maximum(part * (1 - part), 1e-3) / count)
        z = (levels.mean(0) - value) / spread
        assert abs(z.mean()) < 5 / np.sqrt(z.size)
        assert 0.9 < z.std() < 1.1
    # Each frame has a dither of its own: else noise would move with the picture.
    errors = [(getattr(made, n) - getattr(exact, n)).flatten() for n in ("b", "c")]
    assert abs(torch.corrcoef(torch.stack(errors))[0, 1]) < 0.02


def test_black_and_white_stay_what_they_are(given: MakeSources, a_scene: Make) -> None:
    picture = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    picture[:, :, SIDE // 2 :] = 255
    scenes = [a_scene(noise_seed=n) for n in (1, 2)]
    frames = render(scenes, CONFIG, given([picture])).a
    assert frames[..., :20].max() == 0
    assert frames[..., -20:].min() == 1


def test_the_truth_is_that_of_the_layer_on_top(
    given: MakeSources, a_scene: Make, a_layer: MakeLayer, noise_picture: MakePicture
) -> None:
    square = torch.ones(4, 20, 20)
    below, above, still = (0.5, 0.25), (-0.75, 0.1), (0.0, 0.0)
    layers = [
        a_layer(0, (5, 5), below, size=48),
        a_layer(0, (14, 5), above, size=48),
        a_layer(0, (5, 16), still, size=48),
    ]
    scene = a_scene(layers, factor=6.0)
    made = render([scene], CONFIG, given([noise_picture(SIDE)], [square]), quantise=False)
    motion, moving = made.motion[0], made.moving[0, 0]
    torch.testing.assert_close(motion[:, 10, 10], torch.tensor(below))
    torch.testing.assert_close(motion[:, 10, 18], torch.tensor(above))
    torch.testing.assert_close(motion[:, 20, 10], torch.tensor(still))
    assert motion[:, 42, 42].abs().max() == 0
    torch.testing.assert_close(moving[10, [10, 30]], torch.ones(2))
    assert moving[22, 10] == 0  # the still square covers what moves
    # In M `above` lies 4.5 px to the left and `below` 3 px to the right of where they were.
    assert moving[42, 42] == moving[10, 1] == moving[10, 38] == 0
    assert moving[8:14, 8:30].min() > 0.999


def test_a_moving_background_moves_everywhere(
    given: MakeSources, a_scene: Make, noise_picture: MakePicture
) -> None:
    made = render([a_scene(motion=(0.2, -0.1))], CONFIG, given([noise_picture(SIDE)]))
    assert made.moving.min() == 1
    torch.testing.assert_close(made.motion[0, :, 7, 9], torch.tensor([0.2, -0.1]))


def test_a_motion_beyond_the_margin_is_refused(
    given: MakeSources, a_scene: Make, noise_picture: MakePicture
) -> None:
    scene = a_scene(motion=(5.0, 0.0), factor=4.0)
    with pytest.raises(ValueError, match="beyond its margin"):
        render([scene], CONFIG, given([noise_picture(SIDE)]))


def test_a_picture_smaller_than_the_frame_is_enlarged(
    given: MakeSources, a_scene: Make, noise_picture: MakePicture
) -> None:
    made = render([a_scene()], CONFIG, given([noise_picture(64)]))
    assert made.a.shape == (1, 3, 48, 48)
    assert made.a.std() > 0.05
