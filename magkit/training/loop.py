"""The optimisation loop: one step, the moving average of the weights, guards."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from magkit.errors import MagkitError
from magkit.runtime import distributed
from magkit.training.config import TrainConfig, learning_rate
from magkit.training.optimizers import make_optimizer

MAX_SKIPPED = 10  # steps in a row whose gradient is no number: then the training has failed

Losses = Callable[[], dict[str, torch.Tensor]]


@dataclass(slots=True)
class TrainState:
    """Everything that a training changes as it goes, and that a checkpoint must hold.

    Attributes:
        model: what is trained.
        average: the moving average of its weights; `model` itself where none is taken.
        optimizer: over what of `model` had a gradient at the start.
        step: how many steps were done.
        skipped: how many of the last ones had no finite gradient.
    """

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    skipped: int = 0

    @classmethod
    def start(
        cls,
        model: nn.Module,
        config: TrainConfig,
        groups: Sequence[dict[str, Any]] | None = None,
    ) -> TrainState:
        """Start a training of `model` from the weights that it has.

        Args:
            model: the network.
            config: rates and decays.
            groups: its parameters, those of each group under "params". Beside them there may be
                "factor", of the learning rate, and "frozen", a number of steps during which they
                stay as they are. None: all that have a gradient, alike.
        """
        average = copy.deepcopy(model).requires_grad_(False).eval() if config.ema else model
        return cls(model, average, make_optimizer(model, config, groups))


def train_step(state: TrainState, parts: Sequence[Losses], config: TrainConfig) -> dict[str, float]:
    """Do one step and return what it measured, means over the parts of all processes.

    A step whose gradient is not finite changes nothing but the count of skipped steps.

    Args:
        state: what is changed.
        parts: each gives the loss terms of an equal part of this process' batch.
        config: rate, clipping, average, precision.

    Raises:
        MagkitError: ten steps in a row had no finite gradient.
    """
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config, state.step) * group.get("factor", 1.0)
        if "frozen" in group:
            for parameter in group["params"]:
                parameter.requires_grad_(state.step >= group["frozen"])
    state.optimizer.zero_grad(set_to_none=True)
    buffers = [buffer.clone() for buffer in state.model.buffers()]
    measured = _mean([_backward(losses, len(parts)) for losses in parts])
    parameters = list(state.model.parameters())
    distributed.average_gradients(parameters)
    norm = nn.utils.clip_grad_norm_(parameters, config.clip)
    if torch.isfinite(norm):
        state.optimizer.step()
        state.skipped = 0
        _follow(state, config)
    else:
        _skip(state, buffers)
    state.step += 1
    return {"loss": sum(measured.values()), **measured, "gradient": norm.item()}


def _backward(losses: Losses, parts: int) -> dict[str, torch.Tensor]:
    """Add a part's gradients to those that are there, and return its terms."""
    terms = losses()
    total = torch.stack(list(terms.values())).sum() / parts
    torch.autograd.backward(total)
    return {name: term.detach() for name, term in terms.items()}


def _mean(parts: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, float]:
    terms = torch.stack([torch.stack(list(part.values())) for part in parts]).mean(0)
    values = (distributed.all_reduce(terms) / distributed.world_size()).tolist()
    return dict(zip(parts[0], values, strict=True))


def _follow(state: TrainState, config: TrainConfig) -> None:
    if state.average is state.model:
        return
    # Early on, a long average would mostly remember the random start.
    decay = min(config.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        pairs: Iterable[tuple[torch.Tensor, torch.Tensor]] = zip(
            state.average.state_dict().values(), state.model.state_dict().values(), strict=True
        )
        for old, new in pairs:
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


def _skip(state: TrainState, buffers: Iterable[torch.Tensor]) -> None:
    state.skipped += 1
    for buffer, before in zip(state.model.buffers(), buffers, strict=True):
        buffer.copy_(before)  # a running mean that took in a NaN would never lose it
    if state.skipped >= MAX_SKIPPED:
        raise MagkitError(
            f"The training diverged: {MAX_SKIPPED} steps in a row gave no finite gradient.",
            hint="Try a smaller --lr; the run folder holds the last checkpoint before that.",
        )
