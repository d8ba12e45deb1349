"""Measure triplets per second and core of the scene generator, with sources in memory.

    python benchmarks/generator.py
    python benchmarks/generator.py --images coco/train2017 --objects instances_train2017.json
    python benchmarks/generator.py --training magnet-fast --procedural 60

With `--training`, measures the batches that this magnifier's preset trains on instead, noise and
coding included. Uses one thread and measures processor time, ffmpeg's too, so other load hardly
matters. Exit code 1 below the bar.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magkit.synth.render import Sources

BAR = 10.0
BATCH_BAR = 250.0  # ms


def main() -> None:
    options = _options()
    import torch

    from magkit.synth.build import build_sources
    from magkit.synth.render import render
    from magkit.synth.scene import SceneConfig, draw_scene

    torch.set_num_threads(1)
    sources = build_sources(options.images, options.objects, None, options.procedural)
    if options.training:
        raise SystemExit(_measure_batches(options.training, sources, options.count))
    config = SceneConfig(size=options.size)
    counts = len(sources.pictures), len(sources.cutouts)
    scenes = [draw_scene(config, *counts, 0, index) for index in range(options.count)]
    groups = [scenes[k : k + options.batch] for k in range(0, len(scenes), options.batch)]
    for group in groups:  # reads, draws and resizes what the scenes are made of
        render(group, config, sources)
    wall, cpu = time.perf_counter(), time.process_time()
    for group in groups:
        render(group, config, sources)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rate = len(scenes) / cpu
    result = {
        "triplets_a_second_and_core": round(rate, 2),
        "by_the_clock": round(len(scenes) / wall, 2),
        "bar": BAR,
        "size": options.size,
        "batch": options.batch,
        "triplets": len(scenes),
    }
    print(json.dumps(result))
    raise SystemExit(rate < BAR)


def _measure_batches(magnifier: str, sources: Sources, count: int) -> bool:
    """Print the milliseconds of a batch; whether they miss the bar."""
    from magkit.finetune.recipe import make_recipe
    from magkit.plugins import registry
    from magkit.synth.stream import SceneBatches

    recipe = make_recipe(registry().magnifier(magnifier).preset)
    size = recipe.batches.batch
    batches = SceneBatches(recipe.scenes, sources, 0, size, count, recipe.degradation)
    for step in range(count):  # draws what the scenes are made of
        batches[step]
    before, start = os.times(), time.perf_counter()
    for step in range(count):
        batches[step]
    after, wall = os.times(), time.perf_counter() - start
    own, coding = (
        sum(after[k] - before[k] for k in parts) * 1000 / count for parts in ((0, 1), (2, 3))
    )
    result = {
        "ms_a_batch": round(own + coding, 1),
        "ms_of_coding": round(coding, 1),
        "by_the_clock": round(wall * 1000 / count, 1),
        "bar": BATCH_BAR,
        "batch": size,
    }
    print(json.dumps(result))
    return own + coding > BATCH_BAR


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", action="append", default=[])
    parser.add_argument("--objects")
    parser.add_argument("--training", metavar="MAGNIFIER")
    parser.add_argument("--procedural", type=int, default=0)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--count", type=int, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    main()
