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
from magkit.testing.assertions import (
    Check,
    cloned_state,
    differing_tensors,
    finite_terms,
    listed,
    require,
    require_stride,
)
from magkit.testing.spec_checks import parse_config, spec_checks
from magkit.testing.toy_data import sinusoids, toy_triplets
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState, train_step
from magkit.video import Frame

Build = Callable[[], Magnifier]
SIDE = 64  # pixels at least
STEPS = 5
TRAIN = TrainConfig(steps=STEPS, lr=1e-3, ema=0.0)
TRUNK = "trunk"
ODD = (61, 45)  # height and width of frames that are no multiple of anything
FACTOR = 3.0
STEP = torch.tensor([[0.5, -0.25]])  # of the scene, pixels
STRIDE = torch.tensor([[1.5, -1.0]])  # far enough that to show it twice is seen
TOLERANCE = 0.015  # of brightness, the mean over a picture: four shades of 256
ROUNDING = 1e-4  # of the largest value: sums are added up in another order
FACTORS = (2.0, 0.5, 4.0)
LARGE = 20.0
RANGE = (-0.5, 1.5)  # of brightness: frames are not clipped, and may overshoot that far


def magnifier_checks(spec: MagnifierSpec[Any], *, options: Sequence[str] = ()) -> list[Check]:
    """Return the checks of a magnifier; those of its frames if it has weights or needs none.

    Args:
        spec: The magnifier.
        options: KEY=VALUE texts as after `--opt`. They go over what its weights were made with.
    """
    build = cache(partial(built, spec, options))
    checks = [
        *spec_checks(spec, options),
        Check("preset-is-known", partial(_preset, spec)),
        Check("builds", partial(_builds, build)),
        Check("keeps-size", partial(_sizes, build)),
        Check("filters-its-motion-over-time", partial(_filtered, build)),
        Check("says-the-same-each-time", partial(_is_deterministic, build)),
        Check("shows-a-scene-alone-as-among-others", partial(_is_independent_of_batch, build)),
    ]
    if spec.weights is not None or spec.losses is None:
        checks += [
            Check("keeps-range", partial(_keeps_range, build)),
            Check("factor-1-changes-nothing", partial(_identity_at_1, build)),
            Check("still-scenes-stay-still", partial(_still_stays_still, build)),
            Check("larger-factors-show-larger-motion", partial(_scales_motion, build)),
        ]
    if spec.losses is not None:
        checks.append(Check("trains", partial(trains, spec, options)))
    if spec.encoder is not None:
        checks.append(Check("encoder-is-part-of-it", partial(encoder_fits, spec, options)))
    return checks


def built(spec: MagnifierSpec[Any], options: Sequence[str]) -> Magnifier:
    """Build a magnifier with its own weights, or else random ones."""
    parse_config(spec, options)  # says what is wrong with the options
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


def trains(spec: MagnifierSpec[Any], options: Sequence[str]) -> None:
    """Require that training steps lower the loss, with a gradient of every parameter."""
    model, losses = _random(spec, options), spec.losses
    assert losses is not None
    size = -(-SIDE // model.stride) * model.stride
    batch = toy_triplets(size, torch.tensor([2.0, 4.0]), told=spec.needs_motion)
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
    """Require that the encoder's tensors are the magnifier's, its maps and groups as told."""
    model, encoder = _random(spec, options), spec.encoder
    assert encoder is not None
    part = encoder.build(parse_config(spec, options)).eval()
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
    """Return a frame side of whole cells of every branch."""
    size = max(encoder.strides.values())
    return size * -(-SIDE // size)


def _random(spec: MagnifierSpec[Any], options: Sequence[str]) -> Any:
    torch.manual_seed(0)
    model = spec.build(parse_config(spec, options))
    require(
        isinstance(model, nn.Module),
        f"build gives a {type(model).__name__}, which can't be trained: make it a torch.nn.Module,"
        " or leave losses and encoder out of the spec",
    )
    return model


def _preset(spec: MagnifierSpec[Any]) -> None:
    make_recipe(spec.preset)


def _builds(build: Build) -> None:
    require_stride(build())


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
    side = frame_side(magnifier)
    shown = magnified(magnifier, sinusoids(side, torch.zeros(1, 2)), sinusoids(side, STEP), FACTOR)
    require(
        shown.shape == (1, 3, side, side) and bool(shown.isfinite().all()),
        f"render gives {tuple(shown.shape)} for a frame of (1, 3, {side}, {side}), or what is no"
        " number: give finite frames of the same size",
    )


def _filtered(build: Build) -> None:
    """Require a floating-point motion map that a temporal filter can scale and add."""
    magnifier, frames = build(), clip(8)
    side = frame_side(magnifier)
    maps = magnifier.encode(sinusoids(side, torch.zeros(2, 2)))
    motion = magnifier.motion(maps, maps)
    require(
        motion.ndim == 4 and len(motion) == 2 and motion.is_floating_point(),
        f"motion gives {tuple(motion.shape)} of {motion.dtype} for two frames: give floats"
        " (N, K, h, w), which are filtered over time",
    )
    made = list(magnify(iter(frames), magnifier, FACTOR, band=Band(2.0, 5.0), rate=30.0))
    require(len(made) == len(frames), f"{len(frames)} frames become {len(made)}: give each")


def clip(count: int) -> list[Frame]:
    """Return frames (61, 45, 3) of a scene that oscillates by a pixel."""
    swing = torch.arange(count)[:, None].mul(2.0).sin() * torch.tensor([[1.0, 0.5]])
    return [to_frame(sinusoids(ODD[0], place[None]), ODD) for place in swing]


def frame_side(magnifier: Magnifier) -> int:
    """Return a frame side of at least `SIDE` pixels that its stride divides."""
    return -(-SIDE // magnifier.stride) * magnifier.stride


@torch.no_grad()
def magnified(magnifier: Magnifier, before: Tensor, after: Tensor, *factors: float) -> Tensor:
    """Return the frames `after` with their motion since `before` magnified by the factors."""
    reference, current = magnifier.encode(before), magnifier.encode(after)
    motion = magnifier.motion(reference, current)
    found: Tensor = magnifier.render(current, motion, torch.tensor(factors))
    return found


def _is_deterministic(build: Build) -> None:
    """Require equal frames in two runs, and an unchanged state dict."""
    magnifier = build()
    before, after = _pair(magnifier)
    module = magnifier if isinstance(magnifier, nn.Module) else nn.Module()
    state = cloned_state(module)
    first, second = (magnified(magnifier, before, after, 3.0) for _ in range(2))
    require(
        torch.equal(first, second),
        "the same frames are magnified otherwise the second time: draw nothing at random, and keep"
        " nothing of a clip",
    )
    changed = differing_tensors(state, module.state_dict())
    require(
        not changed,
        f"frames change {', '.join(changed[:3])} of the magnifier: keep nothing of a clip",
    )


def _is_independent_of_batch(build: Build) -> None:
    """Require that a frame doesn't depend on the batch, and has its own factor."""
    magnifier = build()
    size = frame_side(magnifier)
    before, after = (
        torch.cat([sinusoids(size, place, seed=n) for n in range(len(FACTORS))])
        for place in (0 * STEP, STEP)
    )
    together = magnified(magnifier, before, after, *FACTORS)
    for n, factor in enumerate(FACTORS):
        single = magnified(magnifier, before[n : n + 1], after[n : n + 1], factor)
        error = (together[n : n + 1] - single).abs().max()
        require(
            bool(error <= ROUNDING * (1 + single.abs().max())),
            f"a frame differs by {255 * error:.2f} of 256 shades from what it is alone, with the"
            " same factor: normalise nothing over the batch, and give each frame its own factor",
        )


def _identity_at_1(build: Build) -> None:
    """Require that a factor of 1 is the identity."""
    magnifier = build()
    size = frame_side(magnifier)
    before, after = sinusoids(size, 0 * STRIDE), sinusoids(size, STRIDE)
    error = _error(magnified(magnifier, before, after, 1.0), after)
    require(
        error <= TOLERANCE,
        f"a factor of 1 changes a frame by {255 * error:.1f} of 256 shades: it already shows its"
        " motion once, so add to it by factor - 1",
    )


def _keeps_range(build: Build) -> None:
    """Require that frames in [0, 1] stay near that range before they are clipped."""
    magnifier = build()
    before, after = _pair(magnifier)
    for factor in (1.0, 3.0):
        made = magnified(magnifier, before, after, factor)
        least, most = made.min().item(), made.max().item()
        require(
            RANGE[0] <= least and most <= RANGE[1],
            f"at a factor of {factor:g} frames in [0, 1] become values from {least:.2f} to"
            f" {most:.2f}: give brightness in [0, 1], which may overshoot by half at most",
        )


def _still_stays_still(build: Build) -> None:
    """Require that a still scene stays still at a large factor."""
    magnifier = build()
    _, frame = _pair(magnifier)
    error = _error(magnified(magnifier, frame, frame, LARGE), frame)
    require(
        error <= TOLERANCE,
        f"a scene that stands still changes by {255 * error:.1f} of 256 shades at a factor of"
        f" {LARGE:g}: the motion from a frame to itself must be nothing",
    )


def _scales_motion(build: Build) -> None:
    """Require that a factor of 3 magnifies a motion of half a pixel, and that 0 removes it."""
    magnifier = build()
    before, after = _pair(magnifier)
    for factor in (3.0, 0.0):
        truth = sinusoids(frame_side(magnifier), STEP * factor)
        made, unchanged = (
            _error(frame, truth) for frame in (magnified(magnifier, before, after, factor), after)
        )
        require(
            made < unchanged,
            f"at a factor of {factor:g} a frame is {255 * made:.1f} of 256 shades from the scene"
            f" displaced so far, and as it was {255 * unchanged:.1f}: show the motion from the"
            " reference to the frame that many times",
        )


def _pair(magnifier: Magnifier) -> tuple[Tensor, Tensor]:
    size = frame_side(magnifier)
    return sinusoids(size, 0 * STEP), sinusoids(size, STEP)


def _error(image: Tensor, other: Tensor) -> float:
    return (image - other).abs().mean().item()
