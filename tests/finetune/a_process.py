"""One of the processes of a training in double precision; run by `test_processes.py`.

python a_process.py FOLDER RANK WORLD RUN...
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from magkit.finetune.initialization import Initialization
from magkit.finetune.recipe import make_recipe
from magkit.finetune.task import SceneTask, SyntheticData
from magkit.plugins import registry
from magkit.synth.build import build_sources
from magkit.synth.triplets import Triplets
from magkit.training.loop import TrainState
from magkit.training.run import Run
from magkit.training.train import run_training

OPTIONS = {"magnet-fast": ("stem=8", "width=8", "guide=8", "hidden=8"), "magnet": ()}
OPTIMIZER = {"steps": 3, "save_every": 1, "warmup": 1, "optimizer": "sgd", "lr": 0.02, "ema": 0.5}
SCENES = {"batch": 6, "size": 32, "objects": "1,2"}
DEGRADATION = {"noise": 0.5, "read_noise": 0.02, "coded": 0.5, "x264": 0.7}


class DoubleTask(SceneTask):
    """Batches as doubles, and no pictures."""

    def batches(self, start: int) -> Iterator[Sequence[Triplets]]:
        for parts in super().batches(start):
            yield [
                Triplets(**{f.name: getattr(part, f.name).double() for f in fields(part)})
                for part in parts
            ]

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        return {}


def train(folder: Path) -> None:
    """Train in FOLDER/MAGNIFIER-..., in micro-batches if its name ends with "parts"."""
    name, _, way = folder.name.partition("_")
    spec: Any = registry().magnifier(name)
    parts = {"accumulate": 3 if way == "parts" else 1}
    recipe = make_recipe(spec.preset, OPTIMIZER, SCENES, DEGRADATION, parts)
    initial = Initialization(spec, OPTIONS[name], None, None)
    model = initial.network(initial.config(), recipe)[0].double()
    data = SyntheticData(build_sources([], None, None, 3))
    state = TrainState.start(model, recipe.train)
    task = DoubleTask(spec, recipe, data, torch.device("cpu"), 0)
    run_training(Run(folder, {}), state, recipe.train, task, lambda _: None, title="")


def main() -> None:
    folder, number, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if count > 1:
        meeting = (folder / "meeting").as_uri()
        distributed.init_process_group("gloo", meeting, rank=number, world_size=count)
    for name in sys.argv[4:]:
        (folder / name).mkdir(exist_ok=True)
        train(folder / name)
    if count > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
