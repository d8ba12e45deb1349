"""The achieved gain: by how much a magnifier magnified, over how much it was asked to.

The magnified frame of a scene is known exactly for every factor. The achieved factor is the one
whose exact frame is nearest to the output, in the mean of squares, inside the moving region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from magkit.synth.render import Sources, render
from magkit.synth.scene import Scene, SceneConfig

COARSE = np.linspace(-0.2, 2.0, 45)  # achieved over asked
FINE = np.linspace(-0.04, 0.04, 9)
BATCH = 15


def achieved_gain(
    output: torch.Tensor,
    moving: torch.Tensor,
    scene: Scene,
    config: SceneConfig,
    sources: Sources,
) -> float:
    """Return the achieved factor over `scene.factor`.

    Args:
        output: what the magnifier made of the scene, (3, H, W).
        moving: the moving region (1, H, W), weights in [0, 1].
        scene: the scene, with the factor that was asked for.
        config: what the scene was drawn with.
        sources: what it is made of.

    Returns:
        The nearest of factors from -0.2 to 2 times the one asked for: over a grid of 0.05, then
        one of 0.01, then the minimum of a parabola through the best three.
    """

    def errors(ratios: Sequence[float]) -> list[float]:
        found = []
        for start in range(0, len(ratios), BATCH):
            scenes = [
                replace(scene, factor=scene.factor * r) for r in ratios[start : start + BATCH]
            ]
            exact = render(scenes, config, sources, output.device, quantise=False).m
            found += ((exact - output) ** 2 * moving).sum((1, 2, 3)).tolist()
        return found

    best = float(COARSE[int(np.argmin(errors(COARSE.tolist())))])
    ratios = best + FINE
    return _minimum(ratios, np.array(errors(ratios.tolist())))


def _minimum(ratios: np.ndarray, errors: np.ndarray) -> float:
    """Return where the parabola through the least error and its neighbours is least."""
    k = int(np.clip(np.argmin(errors), 1, len(errors) - 2))
    before, at, after = errors[k - 1 : k + 2]
    bend = before - 2 * at + after
    step = ratios[k + 1] - ratios[k]
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(ratios[k] + np.clip(shift, -1, 1) * step)
