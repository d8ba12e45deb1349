"""The state of a training, and one step: gradients, clipping, weight average, divergence."""

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

MAX_SKIPPED = 10  # steps in a row without a finite gradient: then the training has diverged

LossFunction = Callable[[], dict[str, torch.Tensor]]


@dataclass(slots=True)
class TrainState:
    """Everything that a training changes, and that a checkpoint must hold.

    Attributes:
        model: the network in training.
        average: the moving average of its weights; `model` itself without one.
        optimizer: of the parameters of `model` that required gradients at the start.
        step: number of steps done.
        skipped: number of the latest steps in a row without a finite gradient.
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
        """Start a training of `model` from its current weights.

        Args:
            model: the network.
            config: optimiser and average.
            groups: parameter groups, with "params" and optionally "factor", of the learning rate,
                and "frozen", the number of first steps without updates. None: one group of all
                that require gradients.
        """
        average = copy.deepcopy(model).requires_grad_(False).eval() if config.ema else model
        return cls(model, average, make_optimizer(model, config, groups))


def train_step(
    state: TrainState, micro_batches: Sequence[LossFunction], config: TrainConfig
) -> dict[str, float]:
    """Do one step and return its metrics, means over the micro-batches of all processes.

    A step whose gradient is not finite changes nothing but the count of skipped steps.

    Args:
        state: is updated.
        micro_batches: each returns the loss terms of an equal part of this process' batch.
        config: learning rate, clipping, average.

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
    metrics = _mean([_backward(losses, len(micro_batches)) for losses in micro_batches])
    parameters = list(state.model.parameters())
    distributed.average_gradients(parameters)
    norm = nn.utils.clip_grad_norm_(parameters, config.clip)
    if torch.isfinite(norm):
        state.optimizer.step()
        state.skipped = 0
        _update_average(state, config)
    else:
        _skip(state, buffers)
    state.step += 1
    return {"loss": sum(metrics.values()), **metrics, "gradient": norm.item()}


def _backward(losses: LossFunction, count: int) -> dict[str, torch.Tensor]:
    """Accumulate the gradients of a micro-batch's mean loss, and return its terms."""
    terms = losses()
    total = torch.stack(list(terms.values())).sum() / count
    torch.autograd.backward(total)
    return {name: term.detach() for name, term in terms.items()}


def _mean(terms: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, float]:
    means = torch.stack([torch.stack(list(each.values())) for each in terms]).mean(0)
    values = (distributed.all_reduce(means) / distributed.world_size()).tolist()
    return dict(zip(terms[0], values, strict=True))


def _update_average(state: TrainState, config: TrainConfig) -> None:
    if state.average is state.model:
        return
    # At first, a long average would mostly consist of the random start.
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
        buffer.copy_(before)  # a running mean would never lose a NaN
    if state.skipped >= MAX_SKIPPED:
        raise MagkitError(
            f"the training diverged: {MAX_SKIPPED} steps in a row gave no finite gradient",
            "try a smaller --lr; the run folder holds the last checkpoint before that",
        )
