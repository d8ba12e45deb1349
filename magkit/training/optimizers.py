"""Optimisers by name, LARS among them, and parameter groups."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from magkit.training.config import TrainConfig


class LARS(Optimizer):
    """SGD with momentum whose learning rate in each tensor is proportional to |w| / |gradient|.

        local = trust |w| / (|g| + decay |w|)
        v <- momentum v + lr local (g + decay w)
        w <- w - v

    `local` is 1 in a group with `adapt` False, and where the tensor or its gradient is zero. The
    rate is inside the sum, as published: torch's SGD has it outside, which differs where the rate
    changes. Source: You et al., arXiv 1708.03888.

    Args:
        params: as torch's optimisers take them.
        lr: the global learning rate.
        momentum: decay of the velocity.
        weight_decay: L2 penalty.
        trust: the trust coefficient, eta in the paper.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        options = {"momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(params, {"lr": lr, "adapt": True, **options})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Do one step; a closure computes the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: torch.Tensor, grad: torch.Tensor, group: dict[str, Any]) -> None:
        decay = group["weight_decay"]
        change = grad + decay * parameter
        if group["adapt"]:
            weight, gradient = parameter.norm(), grad.norm()
            local = group["trust"] * weight / (gradient + decay * weight)
            change = change * torch.where((weight > 0) & (gradient > 0), local, 1.0)
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        state["velocity"].mul_(group["momentum"]).add_(change, alpha=group["lr"])
        parameter.sub_(state["velocity"])


NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
)


def make_optimizer(
    model: nn.Module, config: TrainConfig, groups: Sequence[Mapping[str, Any]] | None = None
) -> Optimizer:
    """Return an optimiser of parameter groups; without groups, of all that require gradients.

    Weight decay and LARS's adaptation apply to weights alone: not to biases, nor to parameters of
    normalisation layers, told by the layers' types and the parameters' shapes, never by names.
    """
    undecayed = {id(p) for module in model.modules() for p in _undecayed(module)}
    default = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    parts = [part for group in groups or default for part in _split(group, undecayed, config)]
    return _build([part for part in parts if part["params"]], config)


def _undecayed(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters of this layer itself that are not weights."""
    for parameter in module.parameters(recurse=False):
        if parameter.ndim < 2 or isinstance(module, NORMS):
            yield parameter


def _split(
    group: Mapping[str, Any], undecayed: Container[int], config: TrainConfig
) -> list[dict[str, Any]]:
    weights = [p for p in group["params"] if id(p) not in undecayed]
    others = [p for p in group["params"] if id(p) in undecayed]
    decay = config.weight_decay
    return [
        {**group, "params": weights, "weight_decay": decay, "adapt": True},
        {**group, "params": others, "weight_decay": 0.0, "adapt": False},
    ]


def _build(groups: list[dict[str, Any]], config: TrainConfig) -> Optimizer:
    betas = (config.beta1, config.beta2)
    match config.optimizer:
        case "adam":
            return Adam(groups, config.lr, betas)
        case "adamw":
            return AdamW(groups, config.lr, betas)
        case "sgd":
            return SGD(groups, config.lr, config.momentum)
        case "lars":
            return LARS(groups, config.lr, config.momentum)
