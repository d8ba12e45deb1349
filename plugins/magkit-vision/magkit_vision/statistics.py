"""The layers of a network that remember what their inputs were like."""

from __future__ import annotations

from torch import Tensor, nn

from magkit import Statistic

# DeepLab's branch of the mean over the picture: it sees one value, which has no spread.
WITHOUT_SPREAD = ("classifier.0.convs.4.",)


def remembered(model: nn.Module) -> list[Statistic]:
    """Return the statistics of every layer that has running ones, frozen or not.

    All see whole pictures: these networks have no heads that look at regions.
    """
    found = []
    for name, module in model.named_modules():
        mean, variance = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        seen = not name.startswith(WITHOUT_SPREAD)
        if seen and isinstance(mean, Tensor) and isinstance(variance, Tensor):
            found.append(Statistic(name, module, mean, variance))
    return found
