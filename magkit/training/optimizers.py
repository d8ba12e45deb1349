"""Optimisers by name, for parameters by what they are."""

from __future__ import annotations

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


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Return an optimiser over what of `model` has a gradient.

    Decay, and LARS's adaptation, apply to weights alone: not to biases, nor to what layers that
    normalise scale and shift by. Which is which is told by the layers' types and the parameters'
    shapes, never by names.
    """
    weights: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                plain = parameter.ndim < 2 or isinstance(module, NORMS)
                (others if plain else weights).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": config.weight_decay, "adapt": True},
        {"params": others, "weight_decay": 0.0, "adapt": False},
    ]
    return _made([group for group in groups if group["params"]], config)


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
