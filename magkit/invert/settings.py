"""The settings of an inversion: terms, steps, initial noise; sweeps. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from magkit.errors import UsageError, did_you_mean
from magkit.options import from_mapping, key_values, option_key
from magkit.runtime.text import read_toml

OWNER = "the inversion"


def _of(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertSettings:
    """Pictures are optimised in units of a photograph's spread (ImageNet's mean 0, deviation 1)."""

    iterations: int = _of(300, "steps of a picture that starts from noise, all sizes together")
    key: int = _of(20, "most steps at each of two sizes of a further keyframe")
    warm: int = _of(20, "most steps at each of two sizes of a frame from the one before")
    lr: float = _of(0.1, "Adam's learning rate")
    beta1: float = _of(0.9, "Adam's decay of the gradient's mean")
    beta2: float = _of(0.999, "Adam's decay of its square's mean")
    final: float = _of(0.1, "rate at the end of a size over --lr; falls along a cosine")
    mask: float = _of(2.0, "weight of the mask loss")
    label: float = _of(0.5, "weight of the class loss")
    bn: float = _of(1.0, "weight of the distance from the layers' statistics")
    var_l1: float = _of(0.2, "weight of the total variation by absolute values")
    var_l2: float = _of(0.0, "weight of the total variation by Euclidean norms")
    l2_norm: float = _of(0.0, "weight of the picture's Euclidean norm")
    beyond: float = _of(0.0, "weight of what lies outside of the range of pictures")
    colour: float = _of(0.0, "weight of channels' means and spreads unlike photographs'")
    temporal: float = _of(1.0, "weight of the difference from the frame before, warped")
    other: float = _of(1.0, "weight of further terms that a target adds")
    bn_form: Literal["scaled", "plain"] = _of("scaled", "by each layer's spread, or as published")
    bn_first: float = _of(1.0, "multiplies the first layer's part")
    bn_region: float = _of(0.1, "multiplies the part of layers that see regions, not pictures")
    size: int = _of(256, "height of the result in pixels; 0: the masks' own")
    sizes: tuple[float, ...] = _of((0.25, 0.5, 1.0), "of the stages, as parts of the result's")
    shares: tuple[float, ...] = _of((0.5, 0.3, 0.2), "of the steps that each stage has")
    jitter: int = _of(8, "pixels by which a picture is shifted at most in a step")
    flip: float = _of(0.5, "chance of mirroring it")
    noise: float = _of(0.15, "standard deviation of noise that is laid over it in a step")
    clip: bool = _of(True, "keep pictures within their range")
    plateau: float = _of(0.01, "stop when a window of steps lowers the loss by less than this part")
    window: int = _of(10, "steps of a window")
    start: Literal["before", "noise"] = _of("before", "what frames after the first start from")
    keyframe: int = _of(12, "frames from one keyframe to the next")
    recalled: int = _of(0, "frames before it whose statistics count beside a frame's own")
    batch: int = _of(1, "frames that are optimised at a time, where each starts from noise")
    background: bool = _of(False, "ask for the background as an object too")
    axes: Literal["photographs", "plain"] = _of(
        "photographs", "steps along the axes of photographs' colours, or of the channels"
    )
    spectrum: Literal["white", "pink"] = _of(
        "white", "of the noise at the start: even, or falling as that of photographs"
    )
    precision: Literal["auto", "full", "bf16"] = _of("auto", "bf16 where the device is faster so")
    seed: int = _of(0, "of noise, shifts and mirroring")

    def __post_init__(self) -> None:
        if min(self.iterations, self.key, self.warm, self.window, self.keyframe, self.batch) < 1:
            raise ValueError("iterations, key, warm, window, keyframe and batch must be at least 1")
        if not 0 < self.lr < math.inf:
            raise ValueError("lr must be above 0")
        if not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1:
            raise ValueError("beta1 and beta2 must be in [0, 1)")
        if len(self.sizes) != len(self.shares) or not self.sizes:
            raise ValueError("sizes and shares must be as many, and at least one")
        if not all(0 < part <= 1 for part in self.sizes) or self.sizes[-1] != 1:
            raise ValueError("sizes must be above 0, at most 1, and end with 1")
        if not all(0 < share < math.inf for share in self.shares):
            raise ValueError("shares must be above 0")
        if self.size < 0 or 0 < self.size < 32:
            raise ValueError("size must be at least 32, or 0")
        if not 0 <= self.flip <= 1 or not 0 <= self.plateau < 1 or not 0 <= self.final <= 1:
            raise ValueError("flip and final must be in [0, 1], plateau in [0, 1)")
        weights = [getattr(self, name) for name in (*WEIGHTS, "noise", "bn_first", "bn_region")]
        whole = (self.jitter, self.recalled, self.seed)
        if any(not 0 <= weight < math.inf for weight in weights) or min(whole) < 0:
            raise ValueError("weights, noise, jitter, recalled and seed must not be negative")

    def steps(self) -> list[int]:
        """Return how many steps each stage of a picture from noise has, at least one."""
        whole = sum(self.shares)
        return [max(1, round(self.iterations * share / whole)) for share in self.shares]


WEIGHTS = (
    "mask",
    "label",
    "bn",
    "var_l1",
    "var_l2",
    "l2_norm",
    "beyond",
    "colour",
    "temporal",
    "other",
)
"""The settings that are weights of terms."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fast": {},
    # Of pictures of classes: a class is reached in a few steps, so that the statistics, of a batch,
    # have to weigh enough to make pictures out of noise. Measured: docs/inversion.md.
    "classes": {
        "iterations": 200,
        "label": 1.0,
        "bn": 100.0,
        "var_l1": 0.3,
        "size": 0,
        "sizes": (1.0,),
        "shares": (1.0,),
        "jitter": 2,
        "noise": 0.0,
        "plateau": 0.0,
        "start": "noise",
        "spectrum": "pink",
        "batch": 50,
    },
    # Adam at 0.1 for 2,000 steps, full size, from noise: as the thesis says. Its weights stand
    # nowhere: those of the total variation, the norm and the statistics are DeepInversion's.
    "thesis": {
        "iterations": 2000,
        "lr": 0.1,
        "beta1": 0.9,
        "beta2": 0.999,
        "final": 1.0,
        "mask": 1.0,
        "label": 0.0,
        "bn": 0.01,
        "var_l1": 0.0,
        "var_l2": 1e-4,
        "l2_norm": 1e-5,
        "beyond": 0.0,
        "colour": 0.0,
        "temporal": 0.0,
        "bn_form": "plain",
        "bn_first": 1.0,
        "bn_region": 1.0,
        "size": 0,
        "sizes": (1.0,),
        "shares": (1.0,),
        "jitter": 0,
        "flip": 0.0,
        "noise": 0.0,
        "axes": "plain",
        "clip": False,
        "plateau": 0.0,
        "start": "noise",
        "precision": "full",
    },
}


def make_settings(preset: str, *layers: Mapping[str, Any]) -> InvertSettings:
    """Return the settings of a preset, and of tables by name, of which later ones outdo earlier.

    Raises:
        UsageError: an unknown preset or setting, or a value that is refused.
    """
    if preset not in PRESETS:
        raise UsageError(f"no preset is named '{preset}'", did_you_mean(preset, PRESETS))
    table = dict(PRESETS[preset])
    for layer in layers:
        table.update({option_key(key): value for key, value in layer.items()})
    return from_mapping(InvertSettings, table, OWNER)


def setting_names() -> list[str]:
    """Return the names of all settings."""
    return [each.name for each in fields(InvertSettings)]


MOST_VALUES = 100


def swept(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read KEY=A,B,... texts.

    Raises:
        UsageError: a text is something else, or a value is given twice.
    """
    found: dict[str, list[str]] = {}
    for key, values in key_values(texts, setting_names()).items():
        if key not in setting_names():
            raise UsageError(f"there is no setting '{key}'", did_you_mean(key, setting_names()))
        listed = [value.strip() for value in values.split(",")]
        if "" in listed or len(set(listed)) < len(listed):
            raise UsageError(
                f"'{key}={values}' is not of the form KEY=A,B,...", "such as bn=0.1,1,10"
            )
        if len(listed) > MOST_VALUES:
            raise UsageError(
                f"'{key}' is swept over {len(listed)} values, of at most {MOST_VALUES}"
            )
        found[key] = listed
    return found


def read_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    """Read a TOML file of settings by video, and of frames under "frames".

        [bear]
        bn = 0.5
        [bear.frames."10-19"]
        var_l1 = 0.1

    Raises:
        UsageError: it can't be read, is no TOML, or has another shape.
    """
    tables = read_toml(path)
    for video, table in tables.items():
        frames = table.get("frames", {}) if isinstance(table, dict) else None
        if not isinstance(frames, dict) or not all(isinstance(t, dict) for t in frames.values()):
            raise UsageError(
                f"{path}: '{video}' is no table of settings",
                'the form is [bear] bn = 0.5, and [bear.frames."10-19"] for single frames',
            )
    return tables
