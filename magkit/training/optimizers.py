"""Optimisers by name, for parameters by what they are."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from magkit.training.config import TrainConfig
from magkit.training.lars import LARS

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
    """Return an optimiser over groups of parameters; without groups, over what has a gradient.

    Decay, and LARS's adaptation, apply to weights alone: not to biases, nor to what layers that
    normalise scale and shift by. Which is which is told by the layers' types and the parameters'
    shapes, never by names.
    """
    plain = {id(p) for module in model.modules() for p in _plain(module)}
    alike = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    parts = [part for group in groups or alike for part in _split(group, plain, config)]
    return _made([part for part in parts if part["params"]], config)


def _plain(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters of this very layer that are not weights."""
    for parameter in module.parameters(recurse=False):
        if parameter.ndim < 2 or isinstance(module, NORMS):
            yield parameter


def _split(
    group: Mapping[str, Any], plain: Container[int], config: TrainConfig
) -> list[dict[str, Any]]:
    weights = [p for p in group["params"] if id(p) not in plain]
    others = [p for p in group["params"] if id(p) in plain]
    decay = config.weight_decay
    return [
        {**group, "params": weights, "weight_decay": decay, "adapt": True},
        {**group, "params": others, "weight_decay": 0.0, "adapt": False},
    ]


def _made(groups: list[dict[str, Any]], config: TrainConfig) -> Optimizer:
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
