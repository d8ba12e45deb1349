"""Measure J by video of the networks for inversion on real frames.

    MAGKIT_DAVIS=DAVIS python benchmarks/inversion_networks.py

`maskrcnn-small` was trained on the even frames and `segmenter` on the odd ones: each is tested on
the others, their neighbours, at 256 rows, by full detection. Prints one JSON object; exit code 1 if
the verifier's mean over videos is below its bar.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean

import torch

from magkit.errors import MagkitError
from magkit.invert.davis import find_davis, list_videos, open_video_masks
from magkit.invert.judge import real_frame
from magkit.invert.measures import best_agreement
from magkit.invert.plan import plan_clip
from magkit.invert.settings import make_settings
from magkit.invert.targets.load import TargetChoice, build_target

UNSEEN = {"maskrcnn-small": 1, "segmenter": 0}  # the first frame that it was not trained on
BAR = 0.7  # of the segmenter's mean


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    try:
        root = find_davis(None)
        result = {name: by_video(name, root, first) for name, first in UNSEEN.items()}
    except MagkitError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    means = {name: fmean(found.values()) for name, found in result.items()}
    print(json.dumps({"J": result, "mean": means, "bar": BAR}, indent=1))
    raise SystemExit(means["segmenter"] < BAR)


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


if __name__ == "__main__":
    main()
