"""BatchNorm statistics of networks, and the distance of images' features from them.

Two forms of the distance of the means m and variances v of a layer's inputs, over images and
pixels, from its running ones mu and s2:

- plain (DeepInversion: Yin et al., CVPR 2020, equation 4): |m - mu| + |v - s2|, Euclidean norms
  over channels. Layers with many or large channels dominate.
- scaled: mean over channels of (m - mu)^2 / s2 + (sqrt(v / s2) - 1)^2: every layer in units of its
  own deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from magkit.protocols import Statistic

Form = Literal["plain", "scaled"]
EPS = 1e-5  # of the variance of a channel that hardly varies


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and biased variance (C,) of a layer's inputs."""

    mean_C: Tensor
    variance_C: Tensor


def bn_statistics(model: nn.Module, regions: Sequence[str] = ()) -> list[Statistic]:
    """Return the statistics of every layer that has `running_mean` and `running_var`.

    Frozen ones are such layers too, whatever their class.

    Args:
        model: in the order of whose modules they are listed.
        regions: what the names of layers begin with that see parts of pictures, not pictures.
    """
    found = []
    for name, module in model.named_modules():
        mean, variance = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        if isinstance(mean, Tensor) and isinstance(variance, Tensor):
            part = name.startswith(tuple(regions))
            group: Literal["picture", "region"] = "region" if part else "picture"
            found.append(Statistic(name, module, mean, variance, group))
    return found


class _VarianceMean(torch.autograd.Function):
    """Biased variance and mean over all but the second dimension, with a backward of one pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        dims = [d for d in range(x.dim()) if d != 1]
        variance, mean = torch.var_mean(x, dims, correction=0)
        ctx.save_for_backward(x, mean)
        return variance, mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors
        by_variance, by_mean = grads
        count, shape = x.numel() // x.shape[1], [1, -1] + [1] * (x.dim() - 2)
        slope = by_variance * (2 / count)
        level = by_mean / count - slope * mean
        return torch.addcmul(level.view(shape), x, slope.view(shape))


def moments(inputs_NC: Tensor) -> Moments:
    """Return the moments of inputs (N, C, ...), differentiable, in single precision or double."""
    x = inputs_NC if inputs_NC.dtype == torch.float64 else inputs_NC.float()
    variance, mean = _VarianceMean.apply(x)
    return Moments(mean, variance)


@dataclass(slots=True)
class RecordedMoments:
    """The moments of the layers' inputs in the last forward pass, by the layers' names."""

    of: dict[str, Moments] = field(default_factory=dict)


@contextmanager
def record_moments(statistics: Sequence[Statistic]) -> Iterator[RecordedMoments]:
    """Note the moments of the layers' inputs in every forward pass until the block ends."""
    seen = RecordedMoments()

    def note(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].numel():  # a head may be shown no region at all
                seen.of[name] = moments(inputs[0])

        return hook

    handles = [s.module.register_forward_pre_hook(note(s.name)) for s in statistics]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def pool_moments(seen: Moments, before: Moments, share: float) -> Moments:
    """Return the moments of `share` parts of what is seen and the rest of what was before."""
    mean = share * seen.mean_C + (1 - share) * before.mean_C
    between = share * (1 - share) * (seen.mean_C - before.mean_C).square()
    variance = share * seen.variance_C + (1 - share) * before.variance_C + between
    return Moments(mean, variance)


@torch.no_grad()
def moments_over_images(
    show: Callable[[Tensor], object], statistics: Sequence[Statistic], pictures: Iterable[Tensor]
) -> dict[str, Moments]:
    """Return the moments over several pictures, of the layers that see whole pictures.

    Args:
        show: has the network look at pictures (1, 3, H, W).
        statistics: the layers.
        pictures: (3, H, W) each.
    """
    whole = [s for s in statistics if s.group == "picture"]
    found: dict[str, Moments] = {}
    for count, picture in enumerate(pictures, 1):
        with record_moments(whole) as seen:
            show(picture[None])
        found = {
            name: pool_moments(now, found[name], 1 / count) if name in found else now
            for name, now in seen.of.items()
        }
    return found


def moments_distance(
    statistics: Sequence[Statistic],
    seen: Mapping[str, Moments],
    *,
    form: Form = "scaled",
    first: float = 1.0,
    region: float = 1.0,
) -> Tensor:
    """Return how far what was seen is from what is remembered, a scalar.

    Args:
        statistics: what is remembered.
        seen: by the layers' names.
        form: plain: the sum over layers; scaled: their mean; see above.
        first: multiplies the first layer's part.
        region: multiplies the part of layers that see parts of pictures.
    """
    total, weight = torch.zeros(()), 0.0
    for number, statistic in enumerate(statistics):
        if statistic.name not in seen:
            continue
        factor = (first if number == 0 else 1.0) * (region if statistic.group == "region" else 1.0)
        part = (_plain if form == "plain" else _scaled)(seen[statistic.name], statistic)
        total, weight = total.to(part) + factor * part, weight + factor
    return total / weight if form == "scaled" and weight else total


def _plain(seen: Moments, known: Statistic) -> Tensor:
    means: Tensor = torch.linalg.vector_norm(seen.mean_C - known.mean_C)
    variances: Tensor = torch.linalg.vector_norm(seen.variance_C - known.variance_C)
    return means + variances


def _scaled(seen: Moments, known: Statistic) -> Tensor:
    variance = known.variance_C + EPS
    means = (seen.mean_C - known.mean_C).square() / variance
    # Of the spread rather than of the variance, which a few bright places would rule.
    spreads = ((seen.variance_C + EPS).sqrt() / variance.sqrt() - 1).square()
    return (means + spreads).mean()
