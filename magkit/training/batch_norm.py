"""Batch normalisation over the batches of all processes, also on the CPU, unlike SyncBatchNorm."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magkit.runtime import distributed

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Sum(torch.autograd.Function):
    """All-reduce by sum, of values and of gradients."""

    @staticmethod
    def forward(ctx: Any, part: torch.Tensor) -> torch.Tensor:
        del ctx
        return distributed.all_reduce(part)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        del ctx
        return distributed.all_reduce(gradients[0])


def _summed(part: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _Sum.apply(part)
    return total


class GlobalBatchNorm(nn.BatchNorm2d):
    """BatchNorm of (N, C, ...) with the statistics of all processes while training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        if not self.training or distributed.world_size() == 1:
            return super().forward(x)
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = distributed.all_reduce(x.new_tensor(x.numel() / x.shape[1]))
        mean = _summed(x.sum(dims)) / count
        centred = x - mean.view(shape)
        variance = _summed(centred.square().sum(dims)) / count
        self._update_running(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is None:
            return normalised
        return normalised * self.weight.view(shape) + self.bias.view(shape)

    def _check_input_dim(self, input: torch.Tensor) -> None:  # noqa: A002 - torch's name
        if input.ndim < 2:
            raise ValueError(f"expected (N, C, ...), not {tuple(input.shape)}")

    @torch.no_grad()
    def _update_running(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        rate = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        self.running_var.lerp_(variance.to(self.running_var.dtype), rate)


def convert_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm in `module` by a `GlobalBatchNorm` of the same state."""
    if isinstance(module, BATCH_NORMS):
        affine, tracked = module.affine, module.track_running_stats
        converted = GlobalBatchNorm(
            module.num_features, module.eps, module.momentum, affine, tracked
        )
        converted = converted.to(next(iter(module.state_dict().values()), torch.empty(0)))
        converted.load_state_dict(module.state_dict())
        if affine:  # those of a momentum encoder are not trained
            converted.weight.requires_grad_(module.weight.requires_grad)
            converted.bias.requires_grad_(module.bias.requires_grad)
        return converted.train(module.training)
    for name, child in module.named_children():
        module.add_module(name, convert_batch_norm(child))
    return module
