"""Settings of an inversion, their presets, sweeps and tables by clip. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from magkit.errors import UsageError, did_you_mean
from magkit.options import from_mapping, key_values, option_key
from magkit.runtime.text import read_toml

OWNER = "the inversion"
RENAMED = {
    "beyond": "range_penalty",
    "recalled": "bn_history",
    "warm": "warm_steps",
    "key": "keyframe_steps",
    "final": "final_lr_ratio",
}
"""Settings of magkit 0.1 that have another name now; the old ones are still read."""


def _of(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertSettings:
    """Images are optimised in normalised space: ImageNet's mean is 0, its standard deviation 1."""

    iterations: int = _of(300, "steps of an image that starts from noise, over all stages")
    keyframe_steps: int = _of(
        20, "maximum steps, in each of two stages, of a keyframe after the first"
    )
    warm_steps: int = _of(
        20, "maximum steps, in each of two stages, of a frame that starts from the previous one"
    )
    lr: float = _of(0.1, "Adam's learning rate")
    beta1: float = _of(0.9, "Adam's decay rate of the gradient's first moment")
    beta2: float = _of(0.999, "Adam's decay rate of its second moment")
    final_lr_ratio: float = _of(
        0.1, "final learning rate of a stage as a fraction of lr; cosine decay"
    )
    mask: float = _of(2.0, "weight of the mask loss")
    label: float = _of(0.5, "weight of the class loss")
    bn: float = _of(1.0, "weight of the distance from the BatchNorm statistics")
    var_l1: float = _of(0.2, "weight of the total variation with the L1 norm")
    var_l2: float = _of(0.0, "weight of the total variation with the L2 norm")
    l2_norm: float = _of(0.0, "weight of the image's Euclidean norm")
    range_penalty: float = _of(0.0, "weight of the squared excess outside [0, 1]")
    colour: float = _of(
        0.0,
        "weight of the distance of channel means and standard deviations from those of photographs",
    )
    temporal: float = _of(1.0, "weight of the difference from the warped previous frame")
    other: float = _of(1.0, "weight of additional losses of a target")
    bn_form: Literal["scaled", "plain"] = _of(
        "scaled", "scaled by each layer's standard deviation, or plain as published"
    )
    bn_first: float = _of(1.0, "factor of the first layer in bn")
    bn_region: float = _of(0.1, "factor of layers that see regions, not images, in bn")
    size: int = _of(256, "height of the result in pixels; 0: the masks' own")
    sizes: tuple[float, ...] = _of(
        (0.25, 0.5, 1.0), "sizes of the stages as fractions of the final size"
    )
    shares: tuple[float, ...] = _of((0.5, 0.3, 0.2), "share of the steps of each stage")
    jitter: int = _of(8, "largest random shift in a step, in pixels")
    flip: float = _of(0.5, "probability of a horizontal flip in a step")
    noise: float = _of(0.15, "standard deviation of the noise added in a step")
    clip: bool = _of(True, "clip images to [0, 1] after each step")
    plateau: float = _of(
        0.01, "end a stage when a window of steps lowers the loss by less than this fraction"
    )
    window: int = _of(10, "steps of that window")
    start: Literal["before", "noise"] = _of(
        "before", "start of frames after the first: before (the previous frame) or noise"
    )
    keyframe: int = _of(12, "frames between keyframes")
    bn_history: int = _of(
        0, "number of earlier frames whose BatchNorm statistics are pooled with a frame's own"
    )
    batch: int = _of(1, "images per batch, if each starts from noise")
    background: bool = _of(False, "also optimise the background, as an object of any class")
    axes: Literal["photographs", "plain"] = _of(
        "photographs", "take steps along the colour axes of photographs, or along the channels"
    )
    spectrum: Literal["white", "pink"] = _of(
        "white", "spectrum of the initial noise: white, or 1/f as in photographs"
    )
    precision: Literal["auto", "full", "bf16"] = _of(
        "auto", "autocast dtype; auto: bf16 where the device supports it well"
    )
    seed: int = _of(0, "seed of every random draw")

    def __post_init__(self) -> None:
        if (
            min(
                self.iterations,
                self.keyframe_steps,
                self.warm_steps,
                self.window,
                self.keyframe,
                self.batch,
            )
            < 1
        ):
            raise ValueError(
                "iterations, keyframe_steps, warm_steps, window, keyframe, batch: at least 1"
            )
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
        if (
            not 0 <= self.flip <= 1
            or not 0 <= self.plateau < 1
            or not 0 <= self.final_lr_ratio <= 1
        ):
            raise ValueError("flip and final_lr_ratio must be in [0, 1], plateau in [0, 1)")
        weights = [getattr(self, name) for name in (*WEIGHTS, "noise", "bn_first", "bn_region")]
        whole = (self.jitter, self.bn_history, self.seed)
        if any(not 0 <= weight < math.inf for weight in weights) or min(whole) < 0:
            raise ValueError("weights, noise, jitter, bn_history and seed must not be negative")

    def steps(self) -> list[int]:
        """Return the steps of each stage of an image from noise, at least one."""
        whole = sum(self.shares)
        return [max(1, round(self.iterations * share / whole)) for share in self.shares]


WEIGHTS = (
    "mask",
    "label",
    "bn",
    "var_l1",
    "var_l2",
    "l2_norm",
    "range_penalty",
    "colour",
    "temporal",
    "other",
)
"""The settings that are weights of terms."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fast": {},
    # For images of classes: a class is reached in a few steps; the batch statistics must weigh
    # enough to turn noise into images. Measured: docs/inversion.md.
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
    # Adam at 0.1 for 2,000 steps at full size from noise, as in the thesis. Its weights were not
    # published: those of total variation, norm and statistics are DeepInversion's.
    "thesis": {
        "iterations": 2000,
        "lr": 0.1,
        "beta1": 0.9,
        "beta2": 0.999,
        "final_lr_ratio": 1.0,
        "mask": 1.0,
        "label": 0.0,
        "bn": 0.01,
        "var_l1": 0.0,
        "var_l2": 1e-4,
        "l2_norm": 1e-5,
        "range_penalty": 0.0,
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


def current_names(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under today's names; keys may be spelt with hyphens.

    Raises:
        UsageError: a setting is given under its old and its new name.
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = RENAMED.get(option_key(key), option_key(key))
        if name in found:
            raise UsageError(f"'{name}' is given twice, as '{key}' too", "give it once")
        found[name] = value
    return found


def old_names(tables: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the old names of settings that tables use, sorted."""
    return sorted({option_key(key) for table in tables for key in table} & RENAMED.keys())


def make_settings(preset: str, *layers: Mapping[str, Any]) -> InvertSettings:
    """Return the settings of a preset, overridden by tables by name, of which later ones win.

    Raises:
        UsageError: an unknown preset or setting, or an invalid value.
    """
    if preset not in PRESETS:
        raise UsageError(f"no preset is named '{preset}'", did_you_mean(preset, PRESETS))
    table = dict(PRESETS[preset])
    for layer in layers:
        table.update(current_names(layer))
    return from_mapping(InvertSettings, table, OWNER)


def settings_from(table: Mapping[str, Any], base: InvertSettings | None = None) -> InvertSettings:
    """Return settings of a table, such as of a run's record, over those of `base`.

    Raises:
        UsageError: as `make_settings`.
    """
    start = asdict(base) if base is not None else {}
    return from_mapping(InvertSettings, {**start, **current_names(table)}, OWNER)


def setting_names() -> list[str]:
    """Return the names of all settings."""
    return [each.name for each in fields(InvertSettings)]


MAX_VALUES = 100


def parse_sweep(texts: Sequence[str]) -> dict[str, list[str]]:
    """Parse KEY=A,B,... texts; an old name of a setting is kept, as folders are named by it.

    Raises:
        UsageError: a text has another form, an unknown key, or a value twice.
    """
    found: dict[str, list[str]] = {}
    for key, values in key_values(texts, setting_names()).items():
        if key not in (*setting_names(), *RENAMED):
            raise UsageError(f"there is no setting '{key}'", did_you_mean(key, setting_names()))
        listed = [value.strip() for value in values.split(",")]
        if "" in listed or len(set(listed)) < len(listed):
            raise UsageError(
                f"'{key}={values}' is not of the form KEY=A,B,...", "such as bn=0.1,1,10"
            )
        if len(listed) > MAX_VALUES:
            raise UsageError(
                f"'{key}' is swept over {len(listed)} values; the limit is {MAX_VALUES}"
            )
        found[key] = listed
    return found


def read_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    """Read a TOML file of settings by clip, and by frames under "frames".

        [bear]
        bn = 0.5
        [bear.frames."10-19"]
        var_l1 = 0.1

    Raises:
        UsageError: the file can't be read, is not TOML, or has another structure.
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
