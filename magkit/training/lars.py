"""Layer-wise adaptive rate scaling: You, Gitman, Ginsburg, arXiv 1708.03888, algorithm 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer


class LARS(Optimizer):
    """SGD with momentum whose rate is, in each tensor, proportional to |w| / |gradient|.

        local = trust |w| / (|g| + decay |w|)
        v <- momentum v + lr local (g + decay w)
        w <- w - v

    A group with `adapt` False takes `local` as 1, as does a tensor that is zero, or whose gradient
    is. The rate is inside the sum, as published: torch's SGD has it outside, which differs where
    the rate changes.

    Args:
        params: as torch's optimisers take them.
        lr: the rate, before it is adapted.
        momentum: share of the last step that is kept.
        weight_decay: share of the weights that is added to their gradients.
        trust: eta in the paper.
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
        """Do one step; the closure, if any, computes the gradients and returns the loss."""
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
