"""The small networks between an encoder's features and a loss."""

from __future__ import annotations

from torch import nn


def mlp(inputs: int, hidden: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """Make two linear layers with a ReLU between them: (M, inputs) to (M, outputs).

    With `norm`, features are normalised over the batch before the ReLU, and neither layer has a
    bias: the first's would be taken off again, and the second has none in BYOL's own code either.
    """
    between = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=not norm),
        *between,
        nn.ReLU(inplace=True),
        nn.Linear(hidden, outputs, bias=not norm),
    )
