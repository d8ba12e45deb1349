"""A scene as it is stored: PNG files by name, and one JSON object that says the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from magkit.data.pixels import decode_frame, decode_motion, encode_frame, encode_motion
from magkit.data.plan import Kind, Plan
from magkit.errors import MagkitError
from magkit.runtime.json_object import json_object
from magkit.synth.render import Sources, render
from magkit.synth.scene import Scene, draw_scene
from magkit.synth.triplets import Triplets

FRAMES = ("a", "b", "c", "m")
MOST_JSON = 1 << 20  # bytes of what is said about a scene


@dataclass(frozen=True, slots=True)
class Stored:
    """A scene: its files by their names, and what is said about it."""

    files: Mapping[str, bytes]
    line: Mapping[str, Any]


def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of a scene's pictures."""
    return ("a.png",) if kind == "frames" else (*(f"{n}.png" for n in FRAMES), "motion.png")


def encode(plan: Plan, sources: Sources, index: int) -> Stored:
    """Render scene `index` of a plan."""
    counts = len(sources.pictures), len(sources.cutouts)
    scene = draw_scene(plan.config, *counts, plan.seed, index)
    made = render([scene], plan.config, sources)
    line = scene_line(scene, plan, sources)
    if plan.kind == "frames":
        return Stored({"a.png": encode_frame(made.a[0])}, line)
    files = {f"{name}.png": encode_frame(getattr(made, name)[0]) for name in FRAMES}
    if plan.format == "published":
        return Stored(files, line)
    files["motion.png"], unit = encode_motion(made.motion[0], made.moving[0])
    return Stored(files, {**line, "motion_unit": unit})


def scene_line(scene: Scene, plan: Plan, sources: Sources) -> dict[str, Any]:
    """Return what is said about a scene; lengths are in pixels."""
    objects = [
        {
            "source": sources.cutouts.name(layer.number),
            "origin": [plan.config.size * v for v in layer.origin],
            "motion": layer.motion,
        }
        for layer in scene.layers
    ]
    background = {"source": sources.pictures.name(scene.background), "motion": scene.motion}
    return {
        "index": scene.index,
        "seed": plan.seed,
        "kind": scene.kind,
        "factor": scene.factor,
        "background": background,
        "objects": objects,
        "colour": {"gain": scene.gain, "offset": scene.offset},
    }


def decode(files: Mapping[str, bytes], line: bytes, shape: tuple[int, int]) -> Triplets:
    """Return a stored scene as it was rendered; motion to 1/32767 of its largest.

    Raises:
        MagkitError: a file is damaged, or the line makes no sense.
    """
    said = read_line(line)
    factor, unit = number(said, "factor", 1000), number(said, "motion_unit", 1)
    motion, moving = decode_motion(files["motion.png"], unit, shape)
    return Triplets(
        **{name: decode_frame(files[f"{name}.png"], shape)[None] for name in FRAMES},
        factor=torch.tensor([factor]),
        motion=motion[None],
        moving=moving[None],
    )


def read_line(line: bytes) -> dict[str, Any]:
    """Read what is said about a scene.

    Raises:
        MagkitError: it is no JSON object.
    """
    return json_object(line, "what is said about it")


def number(said: Mapping[str, Any], key: str, largest: float) -> float:
    """Return a number of a scene's line, in [0, `largest`].

    Raises:
        MagkitError: it isn't there, or no such number.
    """
    value = said.get(key)
    if isinstance(value, int | float) and 0 <= value <= largest:  # which NaN is not
        return float(value)
    raise MagkitError(f"its '{key}' is {value!s:.80}")
