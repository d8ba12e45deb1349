"""Measure the writing speed of gen-data and the reading speed of a recipe.

    python benchmarks/gen_data.py --images coco/train2017 --objects instances_train2017.json

Writes `--count` scenes with `--processes` processes; measures wall time and processor time per
scene, which other load hardly changes. Then reads scenes of a recipe in random order, alternating
with rendering the same scenes without a recipe, with sources in memory. Exit code 1 below a bar: 6
triplets per second with two processes (by processor time: a third of a second each), and 0.9 of the
generator's speed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TRIPLETS, RATIO = 6.0, 0.9
ROUNDS = 5


def main() -> None:
    options = _options()
    import torch

    from magkit.data.plan import make_plan
    from magkit.synth.build import build_sources
    from magkit.synth.scene import SceneConfig

    torch.set_num_threads(1)
    sources = build_sources(options.images, options.objects, None, options.procedural)
    config = SceneConfig(size=options.size)
    plan = make_plan("triplets", options.format, options.count, 0, config, sources)
    result = {**_writing(plan, sources, options.processes), **_reading(plan, sources)}
    enough = options.processes / result["processor_seconds_a_triplet"] >= TRIPLETS
    print(json.dumps({"format": options.format, "scenes": options.count, **result}))
    raise SystemExit(not enough or result["recipe_over_rendering"] < RATIO)


def _writing(plan: Any, sources: Any, processes: int) -> dict[str, float]:
    from magkit.data.write import write_dataset

    before = os.times()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "set"
        write_dataset(place, plan, sources, processes=processes)
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    after = os.times()
    own, children = after.user + after.system, after.children_user + after.children_system
    spent = own + children - before.user - before.system - before.children_user
    spent -= before.children_system
    start = _start(processes)
    wall = after.elapsed - before.elapsed
    return {
        "triplets_a_second_by_the_clock": round(plan.count / wall, 2),
        "processor_seconds_a_triplet": round((spent - start) / plan.count, 4),
        "processor_seconds_to_start": round(start, 1),
        "bytes_a_triplet": size // plan.count,
    }


def _start(processes: int) -> float:
    """Measure the cost of starting idle processes, which is paid once, not per scene."""
    before = os.times()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_import, range(processes), chunksize=1)
        pool.close()
        pool.join()
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def _import(_: int) -> None:
    import magkit.data.write  # noqa: F401


def _reading(plan: Any, sources: Any) -> dict[str, float]:
    """Compare a recipe with the generator, alternating, under equal load."""
    from magkit.data.open import RenderedScenes
    from magkit.synth.render import render
    from magkit.synth.scene import draw_scene

    data, counts = RenderedScenes(plan, sources, "x"), (len(sources.pictures), len(sources.cutouts))
    indices = random.Random(0).sample(range(plan.count), min(plan.count, 24))
    groups = [indices[k : k + 4] for k in range(0, len(indices), 4)]
    for group in groups:  # reads and resizes what the scenes are made of
        data.triplets(group)
    ratios, rates = [], []
    for _ in range(ROUNDS):
        times = [0.0, 0.0]
        for group in groups:
            start = time.process_time()
            data.triplets(group)
            middle = time.process_time()
            scenes = [draw_scene(plan.config, *counts, plan.seed, index) for index in group]
            render(scenes, plan.config, sources)
            times[0] += middle - start
            times[1] += time.process_time() - middle
        ratios.append(times[1] / times[0])
        rates.append(len(indices) / times[0])
    return {
        "recipe_scenes_a_second_and_core": round(statistics.median(rates), 1),
        "recipe_over_rendering": round(statistics.median(ratios), 3),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", action="append", default=[])
    parser.add_argument("--objects")
    parser.add_argument("--procedural", type=int, default=0)
    parser.add_argument("--format", choices=("folder", "tar", "published"), default="folder")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.platform == "win32":
        sys.exit("the processor time of other processes is not known on Windows")
    main()
