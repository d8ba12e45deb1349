"""Checks of a magnifier: `magkit.protocols.Magnifier`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from magkit.errors import MagkitError
from magkit.finetune.recipe import make_recipe
from magkit.magnify.band import Band, Mode
from magkit.magnify.encoder import grouped
from magkit.magnify.load import build_magnifier, find_weights
from magkit.magnify.pipeline import magnify, to_frame
from magkit.protocols import Magnifier
from magkit.runtime.weights import mismatch
from magkit.specs import EncoderSpec, MagnifierSpec
from magkit.testing import magnifier_frames as drawn
from magkit.testing.assertions import Check, finite_terms, listed, require
from magkit.testing.spec_checks import configured, record_checks
from magkit.testing.toy_data import scenes, waves
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState, train_step
from magkit.video import Frame


def built(spec: MagnifierSpec[Any], options: Sequence[str]) -> Magnifier:
    """Build a magnifier, ready to be used; without weights of its own it has random ones."""
    configured(spec, options)  # says what is wrong with the options
    torch.manual_seed(0)
    if spec.weights is None:
        return build_magnifier(spec, None, options)
    try:
        return build_magnifier(spec, find_weights(spec, None), options)
    except MagkitError as error:
        raise AssertionError(
            f"{error.message}; package {spec.weights} with the weights of the torch.nn.Module that"
            f" build gives, and '{spec.name}' as the magnifier in its metadata"
        ) from error


SIDE = 64  # pixels at least
STEPS = 5
TRAIN = TrainConfig(steps=STEPS, lr=1e-3, ema=0.0)
TRUNK = "trunk"


def trains(spec: MagnifierSpec[Any], options: Sequence[str]) -> None:
    """Ask that magkit's own steps lower the losses, by gradients that reach every parameter."""
    model, losses = _random(spec, options), spec.losses
    assert losses is not None
    size = -(-SIDE // model.stride) * model.stride
    batch = scenes(size, torch.tensor([2.0, 4.0]), told=spec.needs_motion)
    how = "" if spec.needs_motion else ", on data that say nothing of motion: ask for needs_motion"
    finite_terms(losses(model, batch), how)
    state = TrainState.start(model, TRAIN)
    measured = [train_step(state, [partial(losses, model, batch)], TRAIN) for _ in range(STEPS)]
    left = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    require(
        not left,
        f"no gradient of the losses reaches {listed(left)}: let them depend on it, or switch its"
        " gradient off by requires_grad_(False)",
    )
    first, last = measured[0]["loss"], measured[-1]["loss"]
    require(
        state.skipped == 0 and last < first,
        f"{STEPS} steps on two scenes take the loss from {first:.4f} to {last:.4f}, of which"
        f" {state.skipped} had no finite gradient: let losses be what the network can lower",
    )


def encoder_fits(spec: MagnifierSpec[Any], options: Sequence[str]) -> None:
    """Ask that the encoder's tensors are the magnifier's, in groups, and its maps as it says."""
    model, encoder = _random(spec, options), spec.encoder
    assert encoder is not None
    part = encoder.build(configured(spec, options)).eval()
    names = list(part.state_dict())
    whole = {name: value for name, value in model.state_dict().items() if name in names}
    problem = mismatch(part.state_dict(), whole)
    require(
        not problem,
        f"the encoder's tensors are not the magnifier's: {problem}; name its layers as they are"
        " named there",
    )
    empty = [group for group, members in grouped(encoder, names).items() if not members]
    require(not empty, f"no tensor belongs to the group {listed(empty)}: mend its patterns")
    _branches(encoder)
    size = _common(encoder)
    with torch.no_grad():
        _maps(encoder, part(torch.rand(2, 3, size, size)), size)


def _branches(encoder: EncoderSpec[Any]) -> None:
    known = {*encoder.strides, TRUNK}
    named = {branch for group in encoder.groups for branch in group.split("+")}
    for strange in (named - known, set(encoder.centres) - set(encoder.strides)):
        require(
            not strange,
            f"{listed(sorted(strange))} is no branch: those of strides are"
            f" {listed(sorted(encoder.strides))}",
        )


def _maps(encoder: EncoderSpec[Any], maps: Mapping[str, Tensor], size: int) -> None:
    require(
        set(maps) == set(encoder.strides),
        f"the encoder gives maps of {listed(sorted(maps))}, and strides tells of"
        f" {listed(sorted(encoder.strides))}: name the same branches",
    )
    for branch, stride in encoder.strides.items():
        shape, cells = tuple(maps[branch].shape), size // stride
        require(
            len(shape) == 4 and shape[0] == 2 and shape[2:] == (cells, cells),
            f"the branch '{branch}' gives {shape} for two frames of {size} x {size} pixels, not"
            f" (2, C, {cells}, {cells}): say its stride",
        )


def _common(encoder: EncoderSpec[Any]) -> int:
    """Return a side that is whole cells of every branch."""
    size = max(encoder.strides.values())
    return size * -(-SIDE // size)


def _random(spec: MagnifierSpec[Any], options: Sequence[str]) -> Any:
    torch.manual_seed(0)
    model = spec.build(configured(spec, options))
    require(
        isinstance(model, nn.Module),
        f"build gives a {type(model).__name__}, which can't be trained: make it a torch.nn.Module,"
        " or leave losses and encoder out of the spec",
    )
    return model


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
        checks.append(Check("trains", partial(trains, spec, options)))
    if spec.encoder is not None:
        checks.append(Check("encoder-is-part-of-it", partial(encoder_fits, spec, options)))
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
