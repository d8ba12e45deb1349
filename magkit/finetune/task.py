"""Supervised training on scenes, as `training.train` asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from magkit.errors import UsageError
from magkit.finetune.material import Material
from magkit.finetune.recipe import Recipe
from magkit.specs import MagnifierSpec
from magkit.synth.stream import loader
from magkit.synth.triplets import Triplets
from magkit.training.run import Run
from magkit.training.train import write_picture

SHOWN = 4  # scenes in a sample picture
GAP = 2  # pixels between the parts of a sample picture
ERROR_GAIN = 4.0  # errors are shown so many times as large


class SceneTask:
    """Batches of scenes for a magnifier, its losses, and what it makes of four fixed scenes."""

    def __init__(
        self,
        spec: MagnifierSpec[Any],
        recipe: Recipe,
        material: Material,
        device: torch.device,
        workers: int,
    ) -> None:
        self._spec, self._recipe, self._material = spec, recipe, material
        self._device, self._workers = device, workers

    def batches(self, start: int) -> Iterator[Sequence[Triplets]]:
        """Yield the batches of steps `start` and on, degraded, on the device, in equal parts."""
        for batch in loader(self._material.batches(self._recipe), start, self._workers):
            yield batch.to(self._device).split(self._recipe.train.accumulate)

    def before_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def losses(self, model: nn.Module, batch: Triplets) -> dict[str, torch.Tensor]:
        """Return the magnifier's own loss terms."""
        if self._spec.losses is None:
            raise UsageError(f"the magnifier '{self._spec.name}' has no losses to be trained with")
        return self._spec.losses(model, batch)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def observe(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Draw what the model makes of four fixed scenes."""
        write_picture(run.samples / f"step-{step:06d}.png", self.picture(model))
        return {}

    def picture(self, model: Any) -> torch.Tensor:
        """Draw a row for each of four scenes: A, B, the output, the truth, four times the error."""
        rows, examples = [], self._material.examples(self._recipe, SHOWN)
        for index in range(SHOWN):
            shown = examples[index].to(self._device)
            before, after = model.encode(shown.a), model.encode(shown.b)
            made = model.render(after, model.motion(before, after), shown.factor).clamp(0, 1)
            error = ((made - shown.m).abs() * ERROR_GAIN).clamp(0, 1)
            rows.append(_joined([shown.a, shown.b, made, shown.m, error], 3)[0])
        return _joined(rows, 1)


def _joined(parts: list[torch.Tensor], axis: int) -> torch.Tensor:
    """Join pictures along an axis, white between them."""
    gap = parts[0].new_ones(*(GAP if n == axis else s for n, s in enumerate(parts[0].shape)))
    spaced = [piece for part in parts for piece in (gap, part)][1:]
    return torch.cat(spaced, axis)
