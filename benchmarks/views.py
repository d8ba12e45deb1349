"""Compare views per second of magkit's batched augmentations and of lightly's.

    python benchmarks/views.py
    python benchmarks/views.py --rounds 9

Views of 96 px are made from the same frames of 192 and 384 px, batch 64. Each side has two threads:
two workers of a `DataLoader` with one thread each, as lightly is used. Lightly's transforms run on
PIL pictures and, where possible, on tensors: the faster one counts. The two sides alternate; a
further column times magkit in this one process with two threads of torch. Exit code 1 below the
bar. Needs lightly.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from magkit.selfsup.recipe import ViewConfig
from magkit.selfsup.views import draw_params, make_views

BAR = 1.5
SIZE, BATCH, WORKERS = 96, 64, 2
FRAMES = (192, 384)
BATCHES = 8  # a round
# What lightly's transforms of these names do.
KINDS = {
    "moco": ViewConfig(size=SIZE),
    "byol": ViewConfig(
        size=SIZE,
        scale=(0.08, 1.0),
        saturation=0.2,
        blur=(1.0, 0.1),
        solarize=(0.0, 0.2),
    ),
}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if find_spec("lightly") is None:
        raise SystemExit("this needs lightly: pip install 'magkit[reference]'")
    torch.set_num_threads(WORKERS)
    rows = [compared(kind, side, options.rounds) for kind in KINDS for side in FRAMES]
    print(json.dumps({"batch": BATCH, "size": SIZE, "workers": WORKERS, "bar": BAR, "rows": rows}))
    raise SystemExit(any(row["ratio_of_medians"] < BAR for row in rows))


def compared(kind: str, side: int, rounds: int) -> dict[str, Any]:
    """Time all ways of making views of frames of one size, alternating."""
    frames = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8)
    ways: dict[str, Iterable[Any]] = {
        "magkit": served(Ours(frames, kind)),
        "lightly_pil": served(Theirs(frames, kind, tensors=False)),
        "magkit_in_one_process": DataLoader(Ours(frames, kind), batch_size=None),
    }
    if kind == "moco":  # what solarizes takes no tensors
        ways["lightly_tensor"] = served(Theirs(frames, kind, tensors=True))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, batches in ways.items():
            start = time.perf_counter()
            made = sum(len(views) for pair in batches for views in pair)
            if turn:  # the first starts the workers
                seconds[name].append((time.perf_counter() - start) / made)
    rates = {name: 1 / statistics.median(values) for name, values in seconds.items()}
    best = max(rate for name, rate in rates.items() if name.startswith("lightly"))
    return {
        "kind": kind,
        "frames": side,
        "views_per_second": {name: round(rate) for name, rate in rates.items()},
        "ratio_of_medians": round(rates["magkit"] / best, 2),
    }


class Ours(Dataset[Any]):
    """Pairs of views of all frames at once."""

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        return (self[step] for step in range(len(self)))

    def __init__(self, frames: np.ndarray[Any, Any], kind: str) -> None:
        self.frames = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
        self.config = KINDS[kind]

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, step: int) -> list[torch.Tensor]:
        epochs, indices = torch.full((BATCH,), step), torch.arange(BATCH)
        draws = [draw_params(0, epochs, indices, which) for which in (0, 1)]
        return [
            make_views(self.frames, draws[which], self.config, which).images_NCHW
            for which in (0, 1)
        ]


class Theirs(Dataset[Any]):
    """Pairs of views of one frame after the other, without the final scaling of channels."""

    def __init__(self, frames: np.ndarray[Any, Any], kind: str, *, tensors: bool) -> None:
        self.frames: list[Any] = [Image.fromarray(frame) for frame in frames]
        if tensors:
            self.frames = list(torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous())
        self.change = transform(kind)

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, step: int) -> list[torch.Tensor]:
        pairs = [self.change(frame) for frame in self.frames]
        return [torch.stack(views) for views in zip(*pairs, strict=True)]


def transform(kind: str) -> Callable[[Any], Any]:
    """Return lightly's transform of a kind."""
    warnings.filterwarnings("ignore")
    from lightly.transforms.byol_transform import (
        BYOLTransform,
        BYOLView1Transform,
        BYOLView2Transform,
    )
    from lightly.transforms.moco_transform import MoCoV2Transform

    if kind == "moco":
        return MoCoV2Transform(input_size=SIZE, normalize=None)
    first = BYOLView1Transform(input_size=SIZE, normalize=None)
    return BYOLTransform(first, BYOLView2Transform(input_size=SIZE, normalize=None))


def served(batches: Dataset[Any]) -> Iterable[Any]:
    """Return a function that makes batches in workers, which idle between measurements."""
    return DataLoader(
        batches,
        batch_size=None,
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )


if __name__ == "__main__":
    main()
