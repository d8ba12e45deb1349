"""Properties of real clips for scenes, drawn after them from a stream of its own.

Every share of `SceneConfig` is decided by a draw of its own, so that turning one on or off leaves
the others' scenes as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from magkit.synth.deformation import Deformation, Pair, Wave, bending, membrane
from magkit.synth.instants import longest
from magkit.synth.records import VARIETY, Flicker, Layer, Scene, SceneConfig

STREAM = 0xA11  # key of the random draws
STRAIN = 0.45  # greatest strain of a magnified deformation: a layer never folds over itself
EXPOSED = 5.0  # pixels: the longest motion while a frame is exposed
SHUTTER = 0.4  # greatest difference of a motion between the first and the last row
DRIFT = 0.25  # greatest change of exposure in B and M
DEPTH = 0.15  # greatest depth of a lamp's flicker
DEFORMED = 0.8  # share of a deforming scene's moving layers that do

Rng = np.random.Generator


def vary(scene: Scene, config: SceneConfig, seed: int) -> Scene:
    """Return the scene with what its shares ask for: a pure function of its arguments."""
    shares = {name: getattr(config, name) for name in VARIETY}
    if not any(shares.values()):
        return scene
    rng = np.random.default_rng([seed, scene.index, STREAM])
    chosen = {name for name, share in shares.items() if rng.random() < share}
    steps = (
        ("far", lambda s, r: _move_far(s, config, r)),
        ("parallax", _move_camera),
        ("lines", _lay_ground),
        ("deform", lambda s, r: _deform(s, config.size, r)),
        ("shutter", _roll_shutter),
        ("blur", lambda s, r: _expose(s, config.size, r)),
        ("light", _light),
    )
    for name, step in steps:
        draws = np.random.default_rng(rng.integers(2**63))
        if name in chosen:
            scene = step(scene, draws)
    return scene


def _length(motion: Pair) -> float:
    return math.hypot(*motion)


def _reach(scene: Scene) -> float:
    return max(_length(part.motion) for part in scene.parts)


def _scaled(motion: Pair, scale: float) -> Pair:
    return scale * motion[0], scale * motion[1]


def _move_far(scene: Scene, config: SceneConfig, rng: Rng) -> Scene:
    """Scale all motions until the largest is a far one, and lower the factor to what is shown."""
    reach = _log_uniform(rng, *config.far_motion)
    most = max(config.far_magnified / reach, 1.0)
    factor = _log_uniform(rng, min(1.2, most), most)
    before = _reach(scene)
    if before == 0:
        return scene
    scale = reach / before

    def moved(layer: Layer) -> Layer:
        x, y = _scaled(layer.motion, scale)
        left, top = layer.origin
        # Half of the way lies before A, so that an object is seen both in A and in B.
        origin = (left - x / config.size / 2, top - y / config.size / 2)
        return replace(layer, motion=(x, y), origin=origin)

    layers = tuple(moved(layer) for layer in scene.layers)
    motion = _scaled(scene.motion, scale)
    return replace(scene, factor=factor, motion=motion, layers=layers, far=True)


def _move_camera(scene: Scene, rng: Rng) -> Scene:
    """Move everything along with the background, the further the nearer it is; if it moves."""
    if not any(scene.motion) or not any(any(layer.motion) for layer in scene.layers):
        return scene
    reach, length = _reach(scene), _length(scene.motion)
    way = _scaled(scene.motion, reach / length)
    depths = np.sort(rng.uniform(rng.uniform(0.05, 0.6), 1, len(scene.layers) + 1))
    layers = tuple(
        replace(layer, motion=_scaled(way, float(depth)))
        for layer, depth in zip(scene.layers, depths[1:], strict=True)
    )
    return replace(scene, motion=_scaled(way, float(depths[0])), layers=layers)


def _lay_ground(scene: Scene, rng: Rng) -> Scene:
    """Put a plain ground behind at most two of the objects."""
    count = int(rng.integers(0, 3))
    return replace(scene, ground=int(rng.integers(2**31)), layers=scene.layers[:count])


def _deform(scene: Scene, size: int, rng: Rng) -> Scene:
    """Deform what moves; its rigid motion becomes a part of what it was."""
    reach = _reach(scene)
    if reach == 0:
        return scene

    def deformed(part: Motion, radius: float) -> Motion:
        field = draw_deformation(rng, radius, reach * _log_uniform(rng, 0.1, 1), scene.factor)
        share = float(rng.choice([0.0, rng.random()]))
        if not any(part.motion) or rng.random() > DEFORMED:
            return part
        return Motion(_scaled(part.motion, share), field)

    layers = tuple(
        _with(layer, deformed(Motion(layer.motion), layer.extent / 2)) for layer in scene.layers
    )
    background = deformed(Motion(scene.motion), size / 2)
    return replace(
        scene, motion=background.motion, deformation=background.deformation, layers=layers
    )


@dataclass(frozen=True, slots=True)
class Motion:
    """The rigid motion of a layer, and its deformation."""

    motion: Pair
    deformation: Deformation | None = None


def _with(layer: Layer, moved: Motion) -> Layer:
    return replace(layer, motion=moved.motion, deformation=moved.deformation)


def draw_deformation(rng: Rng, radius: float, amplitude: float, factor: float) -> Deformation:
    """Draw an affine field, a membrane, a bending beam, free waves, or a mixture.

    Args:
        rng: random draws.
        radius: of the layer, pixels.
        amplitude: the largest displacement in B where the strain allows it, pixels.
        factor: magnified by it, the strain is at most `STRAIN`.
    """
    kind = int(rng.integers(5))
    parts = [
        _affine(rng, radius, amplitude),
        Deformation(waves=_membrane(rng, radius, amplitude)),
        Deformation(waves=(_beam(rng, radius, amplitude),)),
        Deformation(waves=(_wave(rng, radius, amplitude / 2), _wave(rng, radius, amplitude / 2))),
    ]
    affine, waves = parts[0], parts[int(rng.integers(1, 4))]
    mixed = Deformation(matrix=affine.matrix, waves=waves.waves)
    field = mixed if kind == 4 else parts[kind]
    return _shrunk(field, min(1.0, STRAIN / max(factor, 1.5) / max(field.strain, 1e-12)))


def _affine(rng: Rng, radius: float, amplitude: float) -> Deformation:
    """Draw a rotation, a zoom, a shear or any mixture of them."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    choices = [turn, np.eye(2), np.outer(along, turn @ along), rng.normal(0, 1, (2, 2))]
    matrix = choices[int(rng.integers(4))] * rng.choice([-1, 1])
    matrix = matrix * (amplitude / radius / np.linalg.norm(matrix, 2))
    (a, b), (c, d) = matrix.tolist()
    return Deformation(matrix=((a, b), (c, d)))


def _membrane(rng: Rng, radius: float, amplitude: float) -> tuple[Wave, ...]:
    x, y = (np.pi / _wavelength(rng, radius) * 2 for _ in range(2))
    phases = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi))
    return membrane(_direction(rng, amplitude), (float(x), float(y)), phases)


def _beam(rng: Rng, radius: float, amplitude: float) -> Wave:
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    return bending(amplitude, _wavelength(rng, radius), float(angle), float(phase))


def _wave(rng: Rng, radius: float, amplitude: float) -> Wave:
    vector = _direction(rng, 2 * np.pi / _wavelength(rng, radius))
    phase = float(rng.uniform(0, 2 * np.pi))
    return Wave(amplitude=_direction(rng, amplitude), vector=vector, phase=phase)


def _wavelength(rng: Rng, radius: float) -> float:
    """Draw a wavelength, from two thirds of a layer to three layers."""
    return radius * _log_uniform(rng, 4 / 3, 6)


def _direction(rng: Rng, length: float) -> Pair:
    angle = rng.uniform(0, 2 * np.pi)
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def _shrunk(field: Deformation, scale: float) -> Deformation:
    (a, b), (c, d) = field.matrix
    waves = tuple(replace(w, amplitude=_scaled(w.amplitude, scale)) for w in field.waves)
    return Deformation(matrix=(_scaled((a, b), scale), _scaled((c, d), scale)), waves=waves)


def _roll_shutter(scene: Scene, rng: Rng) -> Scene:
    """Expose rows one after the other, while the motion grows or shrinks."""
    if not any(part.moves for part in scene.parts):
        return scene
    return replace(scene, shutter=float(rng.uniform(-SHUTTER, SHUTTER)))


def _expose(scene: Scene, size: int, rng: Rng) -> Scene:
    """Let things move while B is exposed, and while A is or not; M is exposed as B is."""
    length = longest(scene, size)
    if length == 0:
        return scene
    limit = min(scene.factor / 2, EXPOSED / length)
    second = float(rng.uniform(0.2, 1)) * limit
    return replace(scene, exposure=(second * float(rng.integers(2)), second))


def _light(scene: Scene, rng: Rng) -> Scene:
    """Change the exposure of B and M, or let a lamp flicker, or both."""
    gain = float(np.exp(rng.uniform(-DRIFT, DRIFT)))
    vector = _direction(rng, float(rng.uniform(0.5, 2 * np.pi)))
    flicker = Flicker(
        depth=float(rng.uniform(0, DEPTH)), vector=vector, phase=float(rng.uniform(0, 2 * np.pi))
    )
    which = int(rng.integers(3))
    if which != 0:
        scene = replace(scene, flicker=flicker)
    if which != 1:
        r, g, b = scene.gain
        scene = replace(scene, gain=(gain * r, gain * g, gain * b))
    return scene


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
