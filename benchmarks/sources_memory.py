"""Measure the peak memory of sampling objects from a COCO file of the size of `train2017`.

    python benchmarks/sources_memory.py

Writes an instances file of 800,000 objects in 118,000 pictures (links to a few real files) to a
temporary folder, indexes it, and renders scenes from it in two spawned processes until their caches
of pictures and objects are full. Prints seconds and the largest resident set of each process; exit
code 1 if one is above 1.5 GB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

BAR = 1.5e9  # bytes
WIDTH, HEIGHT = 640, 480
PROCESSES = 2


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MAGKIT_CACHE"] = str(folder / "cache")
        instances = _make(folder, options.objects, options.pictures)
        figures = {"objects": options.objects, "pictures": options.pictures}
        figures["instances_bytes"] = instances.stat().st_size
        context = multiprocessing.get_context("spawn")
        # The file was made in this process: what is measured has one of its own.
        with ProcessPoolExecutor(1, context) as pool:
            figures |= pool.submit(_measure, str(instances), options.scenes).result()
    peaks = [figures["main_bytes"], *figures["worker_bytes"]]
    json.dump({**figures, "bar": BAR}, sys.stdout, indent=2)
    print()
    sys.exit(max(peaks) > BAR)


def _measure(instances: str, scenes: int) -> dict[str, object]:
    """Sample objects with two workers as a command does; returns seconds and peaks in bytes."""
    from magkit.synth.build import build_sources

    begun = time.perf_counter()
    sources = build_sources([], instances, None, 0)
    indexed = time.perf_counter()
    sources = build_sources([], instances, None, 0)
    opened = time.perf_counter()
    found = {"usable_objects": len(sources.cutouts), "usable_pictures": len(sources.pictures)}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, _start, (sources,)) as pool:
        jobs = [pool.submit(_draw, worker, scenes) for worker in range(PROCESSES)]
        drawn = [job.result() for job in jobs]
    return {
        **found,
        "first_seconds": round(indexed - begun, 1),
        "later_seconds": round(opened - indexed, 1),
        "draw_seconds": round(time.perf_counter() - opened, 1),
        "index_bytes": sum(p.stat().st_size for p in _indices()),
        "main_bytes": _peak(),
        "worker_bytes": [peak for peak, _ in drawn],
        "kept_bytes": [kept for _, kept in drawn],
    }


def _indices() -> list[Path]:
    return list(Path(os.environ["MAGKIT_CACHE"]).rglob("*.sqlite"))


def _start(sources: object) -> None:
    import torch

    globals()["_sources"] = sources
    torch.set_num_threads(1)


def _draw(worker: int, scenes: int) -> tuple[int, int]:
    """Render scenes; returns the peak and the size of the caches, in bytes."""
    import gc

    from magkit.synth.render import render
    from magkit.synth.scene import SceneConfig, draw_scene
    from magkit.synth.sources import TensorCache

    config, sources = SceneConfig(), globals()["_sources"]
    counts = len(sources.pictures), len(sources.cutouts)
    for index in range(scenes):
        render([draw_scene(config, *counts, worker, index)], config, sources)
    kept = sum(found.size for found in gc.get_objects() if type(found) is TensorCache)
    return _peak(), kept


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _make(folder: Path, objects: int, pictures: int) -> Path:
    """Write pictures and an instances file with polygons of 20 to 40 corners, as COCO's have."""
    rng = np.random.default_rng(0)
    images = folder / "train2017"
    images.mkdir()
    for number in range(20):
        grain = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(grain).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.jpg", quality=85)
    for number in range(pictures):
        (images / f"{number:012}.jpg").hardlink_to(folder / f"{number % 20}.jpg")
    path = folder / "annotations" / "instances_train2017.json"
    path.parent.mkdir()
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "images": [')
        for number in range(pictures):
            file.write(("," if number else "") + json.dumps(_image(number)))
        file.write('], "annotations": [')
        for number in range(objects):
            file.write(("," if number else "") + json.dumps(_object(number, pictures, rng)))
        file.write('], "categories": [{"id": 1, "name": "thing"}]}')
    return path


def _image(number: int) -> dict[str, object]:
    name = f"{number:012}.jpg"
    url = f"http://images.example.org/train2017/{name}"
    about = {"license": 1, "date_captured": "2013-11-14 11:18:45", "coco_url": url}
    return {**about, "file_name": name, "height": HEIGHT, "width": WIDTH, "id": number}


def _object(number: int, pictures: int, rng: np.random.Generator) -> dict[str, object]:
    corners = int(rng.integers(20, 41))
    width, height = np.exp(rng.uniform(np.log(24), np.log(300), 2))
    x, y = rng.uniform(0, WIDTH - width), rng.uniform(0, HEIGHT - height)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = rng.uniform(0.7, 1, corners) / 2
    xs = (x + width * (0.5 + radius * np.cos(angles))).round(2)
    ys = (y + height * (0.5 + radius * np.sin(angles))).round(2)
    left, top = float(xs.min()), float(ys.min())
    return {
        "segmentation": [np.stack([xs, ys], 1).ravel().tolist()],
        "area": float(width * height / 2),
        "iscrowd": int(rng.random() < 0.01),
        "image_id": int(rng.integers(pictures)),
        "bbox": [left, top, round(float(xs.max()) - left, 2), round(float(ys.max()) - top, 2)],
        "category_id": 1,
        "id": number + 1000,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=800_000)
    parser.add_argument("--pictures", type=int, default=118_000)
    parser.add_argument("--scenes", type=int, default=550, help="that each process renders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
