"""Train the shipped weights on in several ways, and measure them on clips that none saw.

    python benchmarks/adaptation.py -o DIR --data DATA [--arms warp,control] [--seeds 5]
    python benchmarks/adaptation.py -o DIR --report

DATA holds `video_train`, `davis`, `coco`, `bsds500` and `clips`. Arms, all of equal steps, batch,
size and learning rate from the shipped weights:

    shipped       no further step
    control       supervised, on rendered scenes coded by x264: recipes/magnet-fast-clips.toml
    warp          magkit pretrain --method warp, on real video without labels
    photometric   magkit pretrain --method photometric, on the same video

Trembling, in grey levels, is what magnification by 20 changes in still clips made of frames of
DATA/clips, with noise and coded; gain is of displacements put into these frames, not coded; both by
`magkit.evaluate.real_frames`. The old judge are scenes of COCO val2017. A cell is a file,
DIR/ARM-SEED.json; the same command does those that are missing. Intervals are of a bootstrap over
clips and seeds.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from magkit.errors import MagkitError
from magkit.evaluate.bootstrap import difference_of_means, ratio_of_means
from magkit.evaluate.cases import cases
from magkit.evaluate.magnifier import evaluate, predictor
from magkit.evaluate.protocols import summarize
from magkit.evaluate.real_frames import AMPLITUDES, Coding, displacement_gain, trembling
from magkit.finetune.finetune import FinetuneJob, finetune
from magkit.magnify.load import find_weights, load_magnifier
from magkit.plugins import registry
from magkit.runtime.files import atomic_path
from magkit.runtime.text import read_toml
from magkit.selfsup.job import PretrainJob
from magkit.selfsup.pretrain import pretrain
from magkit.selfsup.windows import ClipWindows, find_clips
from magkit.synth.build import build_sources

ARMS = ("shipped", "control", "warp", "photometric")
CODINGS = (
    *(Coding("h264", crf) for crf in (23, 28, 35)),
    Coding("hevc", 28),
    Coding("mpeg4", 5),
)
SIDE = 192  # pixels of a picture
PER_CLIP = 2  # pictures
FROZEN = "encoder.*,renderer.*"  # what unlabelled arms leave as it is
SCENES = 2  # times 17, of the old judge
"""Settings that all arms share."""
SHARED: Mapping[str, Any] = {
    "batch": 8,
    "size": 128,
    "lr": 4e-4,
    "warmup": 30,
    "final_lr_ratio": 0.02,
    "ema": 0.995,
    "clip": 1.0,
}


def held_out(data: Path) -> list[Tensor]:
    """Return pictures (3, SIDE, SIDE) of every clip that judges."""
    found = []
    for clip in find_clips(data / "clips"):
        source = ClipWindows([clip], SIDE, clip.name)
        for n in range(PER_CLIP):
            window = source.windows([(2 * n + 1) * len(source) // (2 * PER_CLIP)])[0]
            top, left = ((side - SIDE) // 2 for side in window.shape[-2:])
            part = window[len(window) // 2][:, top : top + SIDE, left : left + SIDE]
            if min(part.shape[1:]) == SIDE:
                found.append(part.float() / 255)
    return found


def train(arm: str, seed: int, given: argparse.Namespace) -> Path:
    """Return the weights of a cell; train them unless they are there."""
    spec = registry().magnifier("magnet-fast")
    shipped = find_weights(spec, None)
    assert shipped is not None
    run: Path = given.output / f"{arm}-{seed}"
    if arm == "shipped":
        return shipped
    if (run / "model.safetensors").is_file():
        return run / "model.safetensors"
    settings = {**SHARED, "steps": given.steps, "seed": seed}
    if arm == "control":
        recipe = read_toml(Path(__file__).parents[1] / "recipes" / "magnet-fast-clips.toml")
        job = FinetuneJob(
            magnifier="magnet-fast",
            settings={**recipe["train"], **settings, "x264": 0.7, "coded": 0.0},
            images=[str(given.data / "coco/train2017"), str(given.data / "bsds500/train")],
            objects=[str(given.data / "coco/annotations/instances_train2017.json")],
            procedural=300,
            weights=shipped,
        )
        return finetune(job, output=run, workers=given.workers).run.model
    unlabelled = PretrainJob(
        method=arm,
        options=[f"frozen={FROZEN}", *(["image=0"] if arm == "warp" else [])],
        data=[str(given.data / "video_train"), str(given.data / "davis/JPEGImages/480p")],
        weights=shipped,
        settings=settings,
    )
    return pretrain(unlabelled, output=run, workers=given.workers).run.model


def measure(weights: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return the measurements of weights."""
    model, pictures = load_magnifier("magnet-fast", weights), held_out(given.data)
    tables = {
        str(coding): [trembling(model, p, coding, n) for n, p in enumerate(pictures)]
        for coding in CODINGS
    }
    gains = {
        f"{amplitude} px": [
            displacement_gain(model, p, amplitude, math.tau * 0.38 * n)
            for n, p in enumerate(pictures)
        ]
        for amplitude in AMPLITUDES
    }
    objects = given.data / "coco/annotations/instances_val2017_dev.json"
    sources = build_sources([str(given.data / "coco/val2017")], [str(objects)], None, 0)
    scores = evaluate(predictor(model), cases(sources, SCENES), sources, "cpu")
    return {
        "trembling": tables,
        "gain": gains,
        "scenes": summarize([score.as_dict() for score in scores]),
    }


def run_cells(given: argparse.Namespace) -> None:
    """Train and measure the cells that are missing."""
    for seed in range(given.seeds):
        for arm in given.arms.split(","):
            file = given.output / f"{arm}-{seed}.json"
            if file.is_file() or (arm == "shipped" and seed):
                continue
            record = {"arm": arm, "seed": seed, "steps": given.steps}
            record.update(measure(train(arm, seed, given), given))
            with atomic_path(file) as path:
                path.write_text(json.dumps(record) + "\n", encoding="utf-8")
            print(f"{arm}-{seed}: {summary(record)}", file=sys.stderr, flush=True)


def summary(record: Mapping[str, Any]) -> str:
    """Return a cell's means in a line."""
    trembles = (f"{name} {fmean(values):.2f}" for name, values in record["trembling"].items())
    gains = (f"{name} {fmean(values):.3f}" for name, values in record["gain"].items())
    old = ", ".join(f"{name} {record['scenes'][name]:.3f}" for name in ("gain", "ssim"))
    return f"trembling {', '.join(trembles)}; gain {', '.join(gains)}; scenes {old}"


def report(folder: Path) -> str:
    """Return tables of all finished cells in Markdown."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(folder.glob("*-*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        found.setdefault(record["arm"], []).append(record)
    lines = ["| | arm | seeds | mean | over shipped | over control |", "|---|---|---|---|---|---|"]
    rows = [("trembling", str(coding)) for coding in CODINGS]
    rows += [("gain", f"{amplitude} px") for amplitude in AMPLITUDES]
    for kind, name in rows:
        for arm in (arm for arm in ARMS if arm in found):
            values = _table(found[arm], kind, name)
            mean = fmean(fmean(row) for row in values)
            over = [
                str(_compared(kind, values, _table(found[other], kind, name)))
                if other in found and other != arm
                else ""
                for other in ("shipped", "control")
            ]
            cells = (f"{kind}, {name}", arm, str(len(values)), f"{mean:.3f}", *over)
            lines.append(f"| {' | '.join(cells)} |")
    for name in ("gain", "ssim", "region_ssim"):
        for arm in (arm for arm in ARMS if arm in found):
            value = fmean(record["scenes"][name] for record in found[arm])
            lines.append(f"| scenes, {name} | {arm} | {len(found[arm])} | {value:.3f} | | |")
    return "\n".join(lines)


def _table(records: Sequence[Mapping[str, Any]], kind: str, name: str) -> list[list[float]]:
    return [record[kind][name] for record in records]


def _compared(kind: str, ours: list[list[float]], theirs: list[list[float]]) -> object:
    clips = [number // PER_CLIP for number in range(len(ours[0]))]
    if kind == "trembling":
        return ratio_of_means(ours, theirs, clips)
    return difference_of_means(ours, theirs, clips)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the missing cells, then print the tables."""
    parser = argparse.ArgumentParser(description="What further training is worth on real clips.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the cells")
    parser.add_argument("--data", type=Path, help="folder of the data")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--report", action="store_true", help="print what is finished")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        if not given.report:
            if given.data is None:
                parser.error("--data is missing")
            run_cells(given)
        print(report(given.output))
    except MagkitError as error:
        sys.exit(f"{error.message}\n{error.hint}" if error.hint else error.message)


if __name__ == "__main__":
    main()
