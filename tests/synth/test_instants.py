"""Deformed, exposed and rolling scenes against float64 renderers that share no code with them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage

from magkit.synth.deformation import Deformation, Pair, Wave, bending, membrane
from magkit.synth.ground import ground_texels
from magkit.synth.instants import exposed, margin, render_instants
from magkit.synth.records import Flicker, Layer, Scene, SceneConfig
from magkit.synth.render import Sources, render, render_path

Plane = npt.NDArray[np.float64]
Make = Callable[..., Scene]
MakeLayer = Callable[..., Layer]
MakeSources = Callable[..., Sources]
MakePicture = Callable[..., torch.Tensor]

SIZE = 48
CONFIG = SceneConfig(size=SIZE, magnified=(0.5, 8.0))
FIELDS = {
    "rotation": Deformation(matrix=((0, -0.03), (0.03, 0))),
    "zoom": Deformation(matrix=((0.04, 0), (0, 0.04))),
    "shear": Deformation(matrix=((0, 0.05), (0, 0))),
    "membrane": Deformation(waves=membrane((0.8, -0.6), (0.08, 0.11), (0.3, 1.0))),
    "beam": Deformation(waves=(bending(0.9, 50.0, 0.7, 0.4),)),
    "mixed": Deformation(
        matrix=((0.01, -0.02), (0.03, 0.0)),
        waves=(
            Wave(amplitude=(0.5, 0.2), vector=(0.1, 0.05), phase=1.0),
            Wave(amplitude=(-0.2, 0.4), vector=(0.02, -0.12)),
        ),
    ),
}
NONE = Deformation()


def sharpened(image: Plane) -> Plane:
    for axis in (1, 2):
        image = ndimage.correlate1d(image, np.array([-1, 8, -1]) / 6, axis, mode="nearest")
    return np.clip(image, 0, 1)


def moved(field: Deformation, shift: Pair, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    (a, b), (c, d) = field.matrix
    dx, dy = shift[0] + a * x + b * y, shift[1] + c * x + d * y
    for w in field.waves:
        sine = np.sin(w.vector[0] * x + w.vector[1] * y + w.phase)
        dx, dy = dx + w.amplitude[0] * sine, dy + w.amplitude[1] * sine
    return dx, dy


def seen(
    texels: Plane, first: Pair, centre: Pair, field: Deformation, shift: Pair, times: Plane
) -> tuple[Plane, Plane]:
    """What the frame shows of a layer, and its motion from A to B if `times` are those of B.

    `first` is where texel (0, 0) lies in A; `times` are the rows' scales.
    """
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    px, py = x - centre[0], y - centre[1]
    for _ in range(100):
        dx, dy = moved(field, shift, px, py)
        px, py = x - centre[0] - times * dx, y - centre[1] - times * dy
    places = [py + centre[1] - first[1], px + centre[0] - first[0]]
    samples = [ndimage.map_coordinates(t, places, order=3, prefilter=False) for t in texels]
    dx, dy = moved(field, shift, px, py)
    return np.stack(samples), np.stack([times * dx, times * dy])


def rows(scale: float, shutter: float) -> Plane:
    return scale * (1 + shutter * (np.arange(SIZE)[:, None] / (SIZE - 1) - 0.5))


def an_object(height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    disc = np.hypot((2 * y + 1) / height - 1, (2 * x + 1) / width - 1) < 1
    colours = ndimage.gaussian_filter(rng.random((3, height, width)), (0, 1, 1))
    return torch.from_numpy(np.concatenate([colours, disc[None]]).astype(np.float32))


class Oracle:
    """A background and one object over it, as a float64 renderer sees them."""

    def __init__(self, scene: Scene, picture: torch.Tensor, thing: torch.Tensor | None) -> None:
        self.scene, self.thing = scene, thing
        self.room = margin(scene, SIZE)
        self.texels = sharpened(picture.double().numpy() / 255)

    def frame(self, scale: float) -> tuple[Plane, Plane]:
        scene, middle = self.scene, (SIZE - 1) / 2
        times, first = rows(scale, scene.shutter), (-self.room, -self.room)
        field = scene.deformation or NONE
        frame, motion = seen(self.texels, first, (middle, middle), field, scene.motion, times)
        if self.thing is not None:
            (layer,) = scene.layers
            texels = self.thing.double().numpy()
            height, width = texels.shape[1:]
            x, y = (SIZE * v for v in layer.origin)
            premultiplied = np.concatenate([sharpened(texels[:3]) * texels[3:], texels[3:]])
            rgba, own = seen(
                np.pad(premultiplied, ((0, 0), (4, 4), (4, 4))),
                (x - 4, y - 4),
                (x + (width - 1) / 2, y + (height - 1) / 2),
                layer.deformation or NONE,
                layer.motion,
                times,
            )
            frame = frame * (1 - rgba[3]) + rgba[:3]
            motion = motion * (1 - rgba[3]) + own * rgba[3]
        return frame, motion


@pytest.fixture
def staged(
    given: MakeSources, a_scene: Make, a_layer: MakeLayer, noise_picture: MakePicture
) -> Callable[..., tuple[Scene, Sources, Oracle]]:
    """A scene with its sources and its oracle."""

    def make(
        *, background: Deformation | None, layer: Deformation | None, **changed: Any
    ) -> tuple[Scene, Sources, Oracle]:
        thing = an_object(21, 16) if layer is not None else None
        layers = (
            [replace(a_layer(0, (14.3, 11.8), (0.4, -0.7), size=SIZE), deformation=layer)]
            if layer is not None
            else []
        )
        # An extent only bounds what objects are moved by.
        layers = [replace(part, extent=21) for part in layers]
        scene = a_scene(layers, motion=(0.5, -0.3), factor=3.0)
        scene = replace(scene, deformation=background, **changed)
        picture = noise_picture(SIZE + 2 * margin(scene, SIZE))
        sources = given([picture], [thing] if thing is not None else [torch.zeros(4, 4, 4)])
        return scene, sources, Oracle(scene, picture, thing)

    return make


@pytest.mark.parametrize("name", FIELDS)
def test_backgrounds_deform_exactly(
    name: str, staged: Callable[..., tuple[Scene, Sources, Oracle]]
) -> None:
    scene, sources, oracle = staged(background=FIELDS[name], layer=None)
    made = render([scene], CONFIG, sources, quantise=False)
    for frame, scale in ((made.a, 0.0), (made.b, 1.0), (made.m, 3.0)):
        np.testing.assert_allclose(frame[0], oracle.frame(scale)[0], atol=5e-5)
    np.testing.assert_allclose(made.motion[0], oracle.frame(1.0)[1], atol=5e-5)
    assert torch.equal(made.moving, torch.ones(1, 1, SIZE, SIZE))


@pytest.mark.parametrize("shutter", [0.0, 0.4])
@pytest.mark.parametrize("name", FIELDS)
def test_objects_deform_exactly(
    name: str, shutter: float, staged: Callable[..., tuple[Scene, Sources, Oracle]]
) -> None:
    scene, sources, oracle = staged(background=None, layer=FIELDS[name], shutter=shutter)
    made = render([scene], CONFIG, sources, quantise=False)
    for frame, scale in ((made.a, 0.0), (made.b, 1.0), (made.m, 3.0)):
        np.testing.assert_allclose(frame[0], oracle.frame(scale)[0], atol=5e-5)
    np.testing.assert_allclose(made.motion[0], oracle.frame(1.0)[1], atol=5e-5)


def test_far_motions_are_exact(staged: Callable[..., tuple[Scene, Sources, Oracle]]) -> None:
    scene, sources, oracle = staged(
        background=None, layer=None, motion=(-37.2, 41.6), factor=1.4, far=True
    )
    made = render([scene], CONFIG, sources, quantise=False)
    for frame, scale in ((made.a, 0.0), (made.b, 1.0), (made.m, 1.4)):
        np.testing.assert_allclose(frame[0], oracle.frame(scale)[0], atol=5e-5)
    torch.testing.assert_close(made.motion[0, :, 5, 5], torch.tensor([-37.2, 41.6]))


def test_a_shutter_that_rolls_scales_the_rows_motion(
    staged: Callable[..., tuple[Scene, Sources, Oracle]],
) -> None:
    scene, sources, _ = staged(background=None, layer=None, shutter=0.4, motion=(2.0, 0.0))
    motion = render([scene], CONFIG, sources, quantise=False).motion[0]
    np.testing.assert_allclose(motion[0, :, 7], 2 * np.linspace(0.8, 1.2, SIZE), atol=2e-5)
    np.testing.assert_allclose(motion[1], 0, atol=1e-6)


def test_exposed_frames_are_the_mean_of_instants(
    staged: Callable[..., tuple[Scene, Sources, Oracle]],
) -> None:
    scene, sources, oracle = staged(
        background=FIELDS["mixed"], layer=FIELDS["beam"], exposure=(0.0, 1.2)
    )
    made = render([scene], CONFIG, sources, quantise=False)
    scales = exposed(scene, SIZE, 1.0, 1.2)
    assert len(scales) % 2 == 1
    assert len(scales) > 1
    for frame, scale in ((made.b, 1.0), (made.m, 3.0)):
        steps = np.linspace(-1, 1, len(scales)) * (len(scales) - 1) / len(scales)
        exact = np.mean([oracle.frame(scale + 0.6 * step)[0] for step in steps], 0)
        np.testing.assert_allclose(frame[0], exact, atol=5e-5)
        # The mean of many more instants is hardly another one.
        many = np.mean([oracle.frame(scale + 1.2 * (k - 31.5) / 64)[0] for k in range(64)], 0)
        assert np.abs(frame[0].numpy() - many).mean() < 0.005
    np.testing.assert_allclose(made.a[0], oracle.frame(0.0)[0], atol=5e-5)
    np.testing.assert_allclose(made.motion[0], oracle.frame(1.0)[1], atol=5e-5)


def test_shifted_scenes_are_those_of_the_other_renderer(
    staged: Callable[..., tuple[Scene, Sources, Oracle]],
    given: MakeSources,
    noise_picture: MakePicture,
) -> None:
    scene, _, _ = staged(background=None, layer=NONE)
    scene = replace(scene, layers=(replace(scene.layers[0], deformation=None),))
    wide = replace(scene, far=True)
    config = replace(CONFIG, magnified=(0.5, margin(wide, SIZE) - 3.0))
    assert scene.is_shifted
    assert not wide.is_shifted
    sources = given([noise_picture(SIZE + 2 * config.margin)], [an_object(21, 16)])
    one, other = (render([s], config, sources) for s in (scene, wide))
    for name in ("a", "b", "c", "m", "motion", "moving"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), msg=name)
    # A deformation of nought takes the way of all others.
    bent = replace(wide, shutter=1e-9)
    torch.testing.assert_close(
        render([bent], config, sources, quantise=False).m,
        render([wide], config, sources, quantise=False).m,
        atol=5e-5,
        rtol=0,
    )


def test_scenes_of_all_kinds_share_a_batch(
    staged: Callable[..., tuple[Scene, Sources, Oracle]],
) -> None:
    deformed, sources, _ = staged(background=FIELDS["zoom"], layer=NONE)
    shifted = replace(deformed, deformation=None, layers=())
    whole = render([deformed, shifted, deformed], CONFIG, sources)
    for n, scene in enumerate((deformed, shifted, deformed)):
        alone = render([scene], CONFIG, sources)
        for name in ("a", "b", "c", "m", "motion", "moving", "factor"):
            assert torch.equal(getattr(whole, name)[n], getattr(alone, name)[0])


def test_a_lamp_flickers_in_b_and_m(staged: Callable[..., tuple[Scene, Sources, Oracle]]) -> None:
    scene, sources, _ = staged(background=FIELDS["shear"], layer=None)
    flicker = Flicker(depth=0.1, vector=(3.0, -2.0), phase=0.5)
    plain = render([scene], CONFIG, sources, quantise=False)
    made = render([replace(scene, flicker=flicker)], CONFIG, sources, quantise=False)
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE - 1) - 0.5
    gain = 1 + 0.1 * np.sin(3 * x - 2 * y + 0.5)
    for name in "bm":
        exact = np.clip(getattr(plain, name)[0].numpy() * gain, 0, 1)
        np.testing.assert_allclose(getattr(made, name)[0], exact, atol=1e-6)
    for name in "ac":
        assert torch.equal(getattr(made, name), getattr(plain, name))


def test_a_path_leads_from_a_to_b_in_motion_and_colour(
    staged: Callable[..., tuple[Scene, Sources, Oracle]],
) -> None:
    scene, sources, oracle = staged(
        background=FIELDS["beam"],
        layer=FIELDS["zoom"],
        gain=(0.9, 1.0, 1.1),
        offset=(0.02, 0.0, -0.03),
        flicker=Flicker(depth=0.1, vector=(2.0, 1.0), phase=0.0),
    )
    path = render_path(scene, SIZE, sources, [0.0, 0.5, 1.0, -1.5])
    made = render([scene], CONFIG, sources, quantise=False)
    torch.testing.assert_close(path[0], made.a[0].clamp(0, 1))
    torch.testing.assert_close(path[2], made.b[0])
    np.testing.assert_allclose(path[3], oracle.frame(-1.5)[0].clip(0, 1), atol=5e-5)
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE - 1) - 0.5
    gain = np.array(scene.gain)[:, None, None] * (1 + 0.1 * np.sin(2 * x + y))
    offset = np.array(scene.offset)[:, None, None]
    half = (oracle.frame(0.5)[0] * (1 + gain) / 2 + offset / 2).clip(0, 1)
    np.testing.assert_allclose(path[1], half, atol=5e-5)


@pytest.mark.parametrize("scale", [0.0, -1.5, 1.5, 3.0])
def test_no_instant_looks_beyond_the_margin(
    scale: float, staged: Callable[..., tuple[Scene, Sources, Oracle]], given: MakeSources
) -> None:
    scene, _, _ = staged(background=FIELDS["mixed"], layer=None, shutter=-0.4)
    side = SIZE + 2 * margin(scene, SIZE)
    ring = torch.full((3, side, side), 255, dtype=torch.uint8)
    ring[:, 1:-1, 1:-1] = 0
    canvas, _ = render_instants(scene, SIZE, [scale], given([ring]))
    assert canvas.max() == 0


def test_a_ground_is_plain_but_for_its_lines(
    staged: Callable[..., tuple[Scene, Sources, Oracle]],
) -> None:
    steps = []
    for number in range(20):
        ground = ground_texels(number, 120)
        assert ground.shape == (3, 120, 120)
        assert 0 <= ground.min() <= ground.max() <= 1
        assert torch.equal(ground, ground_texels(number, 120))
        gradient = np.hypot(*np.gradient(ground.mean(0).numpy()))
        steps.append((np.median(gradient), gradient.max()))
    plain, sharp = np.array(steps).T
    assert plain.max() < 0.01
    assert np.median(sharp) > 0.05
    scene, sources, _ = staged(background=None, layer=None, ground=4)
    room = margin(scene, SIZE)
    texels = ground_texels(4, SIZE + 2 * room).double().numpy()
    exact, _ = seen(texels, (-room, -room), (0, 0), NONE, scene.motion, rows(3.0, 0.0))
    made = render([scene], CONFIG, sources, quantise=False)
    np.testing.assert_allclose(made.m[0], exact, atol=5e-5)
