"""What is asked of a magnifier: `magkit.protocols.Magnifier`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch

from magkit.finetune.recipe import make_recipe
from magkit.magnify.band import Band, Mode
from magkit.magnify.pipeline import magnify, to_frame
from magkit.protocols import Magnifier
from magkit.specs import MagnifierSpec
from magkit.testing import magnifier_pictures as drawn
from magkit.testing import magnifier_training as training
from magkit.testing.built import built
from magkit.testing.check import Check, require
from magkit.testing.records import record_checks
from magkit.testing.scene import waves
from magkit.video import Frame

ODD = (61, 45)  # height and width of frames that are no multiple of anything
FACTOR = 3.0
Build = Callable[[], Magnifier]


def magnifier_checks(spec: MagnifierSpec[Any], *, options: Sequence[str] = ()) -> list[Check]:
    """Return what is asked of a magnifier.

    What its pictures look like is asked of one that has its weights, or needs none.

    Args:
        spec: What it is.
        options: KEY=VALUE texts as after `--opt`. They go over what its weights were made with.
    """
    build = cache(partial(built, spec, options))
    checks = [
        *record_checks(spec, options),
        Check("preset-is-known", partial(_preset, spec)),
        Check("builds", partial(_builds, build)),
        Check("keeps-size", partial(_sizes, build)),
        Check("filters-its-motion-over-time", partial(_filtered, build)),
        Check("says-the-same-each-time", partial(drawn.repeats, build)),
        Check("shows-a-scene-alone-as-among-others", partial(drawn.alone, build)),
    ]
    if spec.weights is not None or spec.losses is None:
        checks += [
            Check("keeps-range", partial(drawn.bounded, build)),
            Check("factor-1-changes-nothing", partial(drawn.passes, build)),
            Check("still-scenes-stay-still", partial(drawn.still, build)),
            Check("larger-factors-show-larger-motion", partial(drawn.magnifies, build)),
        ]
    if spec.losses is not None:
        checks.append(Check("trains", partial(training.trains, spec, options)))
    if spec.encoder is not None:
        checks.append(Check("encoder-is-part-of-it", partial(training.encoder_fits, spec, options)))
    return checks


def _preset(spec: MagnifierSpec[Any]) -> None:
    make_recipe(spec.preset)


def _builds(build: Build) -> None:
    stride: object = getattr(build(), "stride", None)
    require(
        isinstance(stride, int) and stride > 0,
        f"stride is {stride!r}: say of how many pixels heights and widths must be multiples, 1 if"
        " of any",
    )


def _sizes(build: Build) -> None:
    magnifier, frames = build(), clip(5)
    ways: list[tuple[float, Mode]] = [(0.0, "static"), (1.0, "static"), (FACTOR, "dynamic")]
    for factor, mode in ways:
        made = list(magnify(iter(frames), magnifier, factor, mode=mode))
        require(
            [frame.shape for frame in made] == [frame.shape for frame in frames],
            f"{len(frames)} frames of {ODD[0]} x {ODD[1]} pixels become"
            f" {[frame.shape[:2] for frame in made]}: give frames of the size of those encoded",
        )
    side = drawn.side(magnifier)
    shown = drawn.shown(magnifier, waves(side, torch.zeros(1, 2)), waves(side, drawn.STEP), FACTOR)
    require(
        shown.shape == (1, 3, side, side) and bool(shown.isfinite().all()),
        f"render gives {tuple(shown.shape)} for a frame of (1, 3, {side}, {side}), or what is no"
        " number: give finite frames of the same size",
    )


def _filtered(build: Build) -> None:
    """A band is cut out of the motion: it must be a float map, and may be scaled and added."""
    magnifier, frames = build(), clip(8)
    side = drawn.side(magnifier)
    maps = magnifier.encode(waves(side, torch.zeros(2, 2)))
    motion = magnifier.motion(maps, maps)
    require(
        motion.ndim == 4 and len(motion) == 2 and motion.is_floating_point(),
        f"motion gives {tuple(motion.shape)} of {motion.dtype} for two frames: give floats"
        " (N, K, h, w), which are filtered over time",
    )
    made = list(magnify(iter(frames), magnifier, FACTOR, band=Band(2.0, 5.0), rate=30.0))
    require(len(made) == len(frames), f"{len(frames)} frames become {len(made)}: give each")


def clip(count: int) -> list[Frame]:
    """Return frames (61, 45, 3) of a scene that swings by a pixel."""
    swing = torch.arange(count)[:, None].mul(2.0).sin() * torch.tensor([[1.0, 0.5]])
    return [to_frame(waves(ODD[0], place[None]), ODD) for place in swing]
