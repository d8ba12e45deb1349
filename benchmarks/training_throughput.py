"""Compare training steps per second with scenes rendered on the fly and with one fixed batch.

    python benchmarks/training_throughput.py --threads 2 --workers 1

Both are measured alternately in rounds within one process, so that other load affects both. Batches
that were prefetched during the other half are consumed before the clock starts. Exit code 1 below
the bar.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magkit.synth.render import Sources
    from magkit.synth.triplets import Triplets

BAR = 0.9
AHEAD = 6  # batches per worker that may have been rendered ahead, and then some


def main() -> None:
    options = _options()
    if options.wait_policy:
        os.environ["OMP_WAIT_POLICY"] = options.wait_policy  # read when torch is imported
    import torch

    from magkit.synth.build import build_sources

    torch.set_num_threads(options.threads)
    sources = build_sources(options.images, options.objects, None, options.procedural)
    step, batches = _training(options.magnifier, sources, options.workers)
    for _ in range(options.fill):
        next(batches)
    fixed = next(batches)
    ratios, rates = [], []
    for number in range(options.rounds + 1):
        for _ in range(AHEAD * max(options.workers, 1)):
            step(next(batches))
        fresh = _rate(lambda: step(next(batches)), options.steps)
        once = _rate(lambda: step(fixed), options.steps)
        if number:  # the first round warms up
            ratios.append(fresh / once)
            rates.append((fresh, once))
    ratio = statistics.median(ratios)
    print(
        json.dumps(
            {
                "ratio": round(ratio, 3),
                "bar": BAR,
                "rounds": [round(r, 3) for r in ratios],
                "steps_a_second": [[round(a, 2), round(b, 2)] for a, b in rates],
                "threads": options.threads,
                "workers": options.workers,
                "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
            }
        )
    )
    raise SystemExit(ratio < BAR)


def _training(
    magnifier: str, sources: Sources, workers: int
) -> tuple[Callable[[Triplets], None], Iterator[Triplets]]:
    import torch

    from magkit.finetune.recipe import make_recipe
    from magkit.finetune.task import SceneTask, SyntheticData
    from magkit.plugins import registry
    from magkit.training.loop import TrainState, train_step

    spec = registry().magnifier(magnifier)
    recipe = make_recipe(spec.preset, {"steps": 1_000_000})
    task = SceneTask(spec, recipe, SyntheticData(sources), torch.device("cpu"), workers)
    network = spec.build(spec.config())
    assert isinstance(network, torch.nn.Module)
    state = TrainState.start(network, recipe.train)

    def step(batch: Triplets) -> None:
        train_step(state, [lambda: task.losses(state.model, batch)], recipe.train)

    return step, (parts[0] for parts in task.batches(0))


def _rate(step: Callable[[], None], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return count / (time.perf_counter() - start)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--magnifier", default="magnet-fast")
    parser.add_argument("--images", action="append", default=[])
    parser.add_argument("--objects")
    parser.add_argument("--procedural", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40, help="a half round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--fill", type=int, default=150, help="batches before: pictures in memory, as in a long run"
    )
    parser.add_argument("--wait-policy", choices=("passive", "active", ""), default="passive")
    return parser.parse_args()


if __name__ == "__main__":
    main()
