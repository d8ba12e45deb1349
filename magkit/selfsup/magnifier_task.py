"""The task of pretraining a whole magnifier: windows of clips, the method's losses, a teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import Dataset

from magkit.protocols import MagnifierMethod
from magkit.runtime import distributed
from magkit.runtime.loader import load_batches
from magkit.runtime.seeds import epoch_order
from magkit.selfsup.modules import momentum_copy
from magkit.selfsup.windows import WindowSource
from magkit.training.config import TrainConfig
from magkit.training.run import Run

ORDER = 12  # first part of the key of an epoch's order
EXAMPLES = 1 << 40  # number of the first window of a batch that no training sees


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """Windows of a step, and the frames that are made of them."""

    batch: int = field(default=8, metadata={"help": "windows a step"})
    size: int = field(default=128, metadata={"help": "side of the square frames, pixels"})

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("batch must be at least 1")
        if not 32 <= self.size <= 1024:
            raise ValueError("size must be in [32, 1024]")


class MagnifierModel(nn.Module):
    """A magnifier, its teacher, and what the method trains beside it."""

    def __init__(self, magnifier: nn.Module, method: MagnifierMethod[Any]) -> None:
        super().__init__()
        self.magnifier = magnifier
        self.teacher = momentum_copy(magnifier) if method.keyed else None
        self.method: Any = method  # registered if it is a module


class WindowBatches(Dataset[list[Any]]):
    """The batches of this process, in equal micro-batches: for worker processes."""

    def __init__(
        self,
        source: WindowSource,
        method: MagnifierMethod[Any],
        config: WindowConfig,
        train: TrainConfig,
    ) -> None:
        self._source, self._method, self._config, self._train = source, method, config, train
        self._rank, self._world = distributed.rank(), distributed.world_size()

    def __len__(self) -> int:
        return self._train.steps

    def __getitem__(self, step: int) -> list[Any]:
        batch, parts = self._config.batch, self._train.accumulate
        count = batch // (self._world * parts)
        first = step * batch + self._rank * count * parts
        return [self.make(first + part * count, count) for part in range(parts)]

    def make(self, first: int, count: int) -> Any:
        """Return windows `first` to `first + count` of the endless sequence as a batch."""
        seed, places = self._train.seed, range(first, first + count)
        numbers = [n for _, n in epoch_order(places, len(self._source), seed, ORDER)]
        windows = self._source.windows(numbers)
        return self._method.batch(windows, first, self._config.size, seed)


class MagnifierTask:
    """The `training.train.Task` of pretraining a magnifier."""

    def __init__(
        self, batches: WindowBatches, train: TrainConfig, device: torch.device, workers: int
    ) -> None:
        self._batches, self._train = batches, train
        self._device, self._workers = device, workers

    def batches(self, start: int) -> Iterator[Sequence[Any]]:
        """Yield micro-batches on the device, from step `start`."""
        for parts in load_batches(self._batches, start, self._workers):
            yield [part.to(self._device) for part in parts]

    def before_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def losses(self, model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        """Return the method's loss terms."""
        whole = cast("MagnifierModel", model)
        found: dict[str, torch.Tensor] = whole.method.losses(whole.magnifier, whole.teacher, batch)
        return found

    def after_step(self, model: nn.Module, step: int) -> None:
        """Let the method move the teacher."""
        whole = cast("MagnifierModel", model)
        whole.method.after_step(whole.magnifier, whole.teacher, step / self._train.steps)

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Return the loss terms of windows that no training sees in this form."""
        del run, step
        whole = cast("MagnifierModel", model)
        batch = self._batches.make(EXAMPLES, 2 * whole.method.group).to(self._device)
        terms = self.losses(whole, batch)
        return {f"example_{name}": float(term) for name, term in terms.items()}
