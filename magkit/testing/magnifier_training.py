"""What is asked of a magnifier that can be trained, and of its encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from magkit.magnify.encoder import grouped
from magkit.runtime.weights_file import misfit
from magkit.specs import EncoderSpec, MagnifierSpec
from magkit.testing.check import require
from magkit.testing.outcomes import finite_terms, listed
from magkit.testing.records import configured
from magkit.testing.scene import scenes
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState, train_step

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
    problem = misfit(part.state_dict(), whole)
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
