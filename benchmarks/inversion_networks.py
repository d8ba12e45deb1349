"""Measure J by video of the networks for inversion on real frames.

    MAGKIT_DAVIS=DAVIS python benchmarks/inversion_networks.py

`maskrcnn-small` and `resnet-segmenter` were trained on the even frames, the verifiers on odd ones:
each is tested on the others, their neighbours, at 256 rows, by full detection. Prints one JSON
object; exit code 1 if a verifier's mean over videos is below the bar.

--coco COCO adds J of all objects of a class together in the pictures of COCO's val2017, which none
was trained on, by the share of the picture that they cover.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools.coco import COCO
from torch import Tensor

from magkit.errors import MagkitError
from magkit.invert import CLASSES
from magkit.invert.davis import find_davis, list_videos, open_video_masks
from magkit.invert.frames_on_disk import read_image
from magkit.invert.judge import real_frame
from magkit.invert.measures import best_agreement
from magkit.invert.optimize import resize
from magkit.invert.plan import plan_clip
from magkit.invert.settings import make_settings
from magkit.invert.targets.load import TargetChoice, build_target
from magkit.student.pictures import class_similarity

VERIFIERS = ("segmenter", "convnext-segmenter", "shuffle-segmenter")
UNSEEN = {  # the first frame that it was not trained on
    "maskrcnn-small": 1,
    "resnet-segmenter": 1,
    **dict.fromkeys(VERIFIERS, 0),
}
BAR = 0.7  # of the verifiers' means
ANNOTATIONS = "annotations/instances_val2017_dev.json"
ROWS, MULTIPLE = 256, 32  # of a picture of COCO, pixels
SHARES = {"below 1 %": 0.01, "1 to 10 %": 0.1, "above 10 %": 1.0}  # of a picture, at most


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coco", type=Path, help="a folder with val2017 and annotations")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    try:
        root = find_davis(None)
        result = {name: by_video(name, root, first) for name, first in UNSEEN.items()}
    except MagkitError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    means = {name: fmean(found.values()) for name, found in result.items()}
    report: dict[str, Any] = {"J": result, "mean": means, "bar": BAR}
    if given.coco is not None:
        objects = list(coco_objects(given.coco))
        report["COCO"] = {name: by_share(name, objects) for name in UNSEEN}
    print(json.dumps(report, indent=1))
    raise SystemExit(min(means[name] for name in VERIFIERS) < BAR)


def by_video(name: str, root: Path, first: int) -> dict[str, float]:
    """Return a network's mean J of every second frame of each video of a class that it knows."""
    target, found = build_target(TargetChoice(name), torch.device("cpu")), {}
    for video in list_videos(root):
        plan = plan_clip(open_video_masks(root, video), "all", (), make_settings("fast"), {})
        if plan.classes[0] not in target.classes:
            continue
        scores = []
        for place in range(first, len(plan.frames), 2):
            shown, mask = real_frame(plan, place), plan.masks(place)[0]
            if shown is not None and mask.any():
                seen = target.predict(shown[None])[0]
                scores.append(float(best_agreement(seen, mask, plan.classes[0]).region))
        found[video] = fmean(scores)
    return found


def coco_objects(root: Path) -> Iterator[tuple[Tensor, str, Tensor]]:
    """Yield pictures (3, H, W) of val2017, a class in each, and the mask (H, W) of its objects."""
    with contextlib.redirect_stdout(sys.stderr):  # it reports its progress
        coco = COCO(str(root / ANNOTATIONS))
    for number, known in coco.imgs.items():
        path = root / "val2017" / known["file_name"]
        if not path.is_file():
            continue
        image = read_image(path)
        width = max(1, round(image.shape[2] * ROWS / image.shape[1] / MULTIPLE)) * MULTIPLE
        shown = resize(image[None], (ROWS, width))[0].clamp(0, 1)
        for label in CLASSES:
            chosen = coco.getAnnIds(number, coco.getCatIds(catNms=[label]), iscrowd=False)
            if chosen:
                mask = np.any([coco.annToMask(each) for each in coco.loadAnns(chosen)], 0)
                smaller = Image.fromarray(mask).resize((width, ROWS), Image.Resampling.NEAREST)
                yield shown, label, torch.from_numpy(np.array(smaller))


def by_share(name: str, objects: list[tuple[Tensor, str, Tensor]]) -> dict[str, Any]:
    """Return a network's mean J, and the number of masks, by the share of the picture."""
    target = build_target(TargetChoice(name), torch.device("cpu"))
    found: dict[str, list[float]] = {key: [] for key in SHARES}
    for image, label, mask in objects:
        key = next(key for key, most in SHARES.items() if mask.float().mean() <= most)
        found[key].append(class_similarity(target.predict(image[None])[0], label, mask))
    return {
        key: {"J": fmean(values), "masks": len(values)} for key, values in found.items() if values
    }


if __name__ == "__main__":
    main()
