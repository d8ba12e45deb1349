"""The quality of the frames of a job, by networks and measures that were never optimised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from magkit.invert import measures
from magkit.invert.classes import ANY
from magkit.invert.frame_optimizer import LoadedTarget
from magkit.invert.frames_on_disk import Folder, picture
from magkit.invert.measures import best_agreement, flicker, histogram_distance, ssim
from magkit.invert.plan import ClipPlan
from magkit.invert.statistics import distance, record_moments
from magkit.protocols import Annotation

MOST = 1e12  # steps or seconds that a record of a frame may tell
CONTROLS = 8  # frames of a clip, evenly spread, that controls are made for

Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class Judges:
    """Who looks at the pictures.

    Attributes:
        targets: what was inverted.
        verifier: what took no part.
        device: where they are.
    """

    targets: Sequence[LoadedTarget]
    verifier: LoadedTarget
    device: torch.device

    def each(self) -> Iterable[tuple[str, LoadedTarget]]:
        """Yield the judges by the part that they play."""
        for number, target in enumerate(self.targets, 1):
            yield "target" if len(self.targets) == 1 else f"target{number}", target
        yield "verifier", self.verifier


def judge_clip(
    plan: ClipPlan, folder: Folder, judges: Judges, progress: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Return all that is measured of a clip's frames, of JSON's types.

    "frames": scores of each; "mean": of all; "flicker": of the background, of what was made and of
    the real frames; "controls": mean scores of each control, on evenly spread frames.
    """
    rows = []
    for place, frame in enumerate(plan.frames):
        shown = picture(folder.frame(frame.stem))
        scores = judge_picture(plan, place, shown, judges)
        scores.update(_record(folder, frame.stem))
        rows.append({"frame": frame.stem, **scores})
        progress()
    return {
        "frames": rows,
        "mean": mean_scores(rows),
        "flicker": {
            "made": _flicker(plan, lambda n: picture(folder.frame(plan.frames[n].stem))),
            "real": _flicker(plan, lambda n: real(plan, n)),
        },
        "controls": _controls(plan, judges),
    }


def judge_picture(plan: ClipPlan, place: int, shown_3HW: Tensor, judges: Judges) -> Scores:
    """Return the scores of one picture for the frame at a place.

    For each judge J and F of what it finds of the right class, and how sure it is, means over the
    objects that are seen and whose class the judge knows; the verifier's distance of statistics;
    likeness to the real frame.
    """
    scores: Scores = {}
    for part, judge in judges.each():
        found = [_on_cpu(a) for a in judge.target.predict(shown_3HW[None].to(judges.device))[0]]
        agreements = [
            best_agreement(found, mask, None if label == ANY else label)
            for label, mask in zip(plan.classes, plan.masks(place), strict=True)
            if mask.any() and knows(judge, label)
        ]
        for name, measure in (("J", "region"), ("F", "boundary"), ("score", "score")):
            values = [float(getattr(a, measure)) for a in agreements]
            scores[f"{part}_{name}"] = fmean(values) if values else math.nan
    scores["verifier_bn"] = statistics_distance(judges.verifier, shown_3HW.to(judges.device))
    true = real(plan, place)
    if true is not None:
        scores["ssim"] = ssim(shown_3HW, true)
        inside = plan.masks(place).any(0)
        scores["colours"] = histogram_distance(shown_3HW, true, inside)
    return scores


def knows(judge: LoadedTarget, label: str) -> bool:
    """Return whether a class is one of a judge's: of others it can say nothing."""
    return label == ANY or label in judge.target.classes


def _on_cpu(found: Annotation) -> Annotation:
    mask = None if found.mask_HW is None else found.mask_HW.cpu()
    return Annotation(found.label, mask, found.score)


@torch.no_grad()
def statistics_distance(judge: LoadedTarget, shown_3HW: Tensor) -> float:
    """Return the scaled distance of a picture from what a network remembers; NaN if nothing."""
    if not judge.statistics:
        return math.nan
    whole = [s for s in judge.statistics if s.group == "picture"]
    with record_moments(whole) as seen:
        judge.target.predict(shown_3HW[None])
    return float(distance(whole, seen.of))


def real(plan: ClipPlan, place: int) -> Tensor | None:
    """Return the real frame (3, H, W) at the size that is made; None where there is none."""
    path = plan.frames[place].image
    if path is None:
        return None
    return F.interpolate(
        picture(path)[None], plan.size, mode="bilinear", align_corners=False, antialias=True
    )[0].clamp(0, 1)


def mean_scores(rows: Sequence[Mapping[str, Any]]) -> Scores:
    """Return the means of all numbers, without those that are none."""
    names = dict.fromkeys(name for row in rows for name in row)
    means = {}
    for name in names:
        values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
        values = [value for value in values if not math.isnan(value)]
        if values:
            means[name] = fmean(values)
    return means


def _record(folder: Folder, stem: str) -> Scores:
    told = ((name, folder.told(stem).get(name)) for name in ("steps", "seconds"))
    # Which leaves out NaN, and whole numbers that are too large for a float.
    return {k: float(v) for k, v in told if isinstance(v, int | float) and 0 <= v < MOST}


def _flicker(plan: ClipPlan, shown: Callable[[int], Tensor | None]) -> float:
    """Return the mean flicker of neighbouring pairs, few of which are in memory at a time."""
    values = []
    for place in range(1, len(plan.frames)):
        pair = shown(place - 1), shown(place)
        if pair[0] is None or pair[1] is None:
            return math.nan
        masks = torch.stack([plan.masks(n).any(0) for n in (place - 1, place)])
        values.append(flicker(torch.stack([pair[0], pair[1]]), masks))
    values = [value for value in values if not math.isnan(value)]
    return fmean(values) if values else math.nan


def _controls(plan: ClipPlan, judges: Judges) -> dict[str, Scores]:
    rows: dict[str, list[Scores]] = {}
    for place in plan.spread(CONTROLS):
        if not plan.masks(place).any():
            continue
        for name, shown in control_pictures(plan, place).items():
            rows.setdefault(name, []).append(judge_picture(plan, place, shown, judges))
    return {name: mean_scores(found) for name, found in rows.items()}


def control_pictures(plan: ClipPlan, place: int) -> dict[str, Tensor]:
    """Return pictures that need no inversion: noise, flat masks, and of the real frame."""
    seed, number = plan.settings.seed, plan.frames[place].number
    mask = plan.masks(place).any(0)
    found = {
        "noise": measures.noise(plan.size, seed, number),
        "flat mask": measures.flat_mask(mask),
    }
    true = real(plan, place)
    if true is not None:
        found["cut-out"] = measures.textured_cutout(true, mask, seed, number)
        found["real frame"] = true
    return found


GREY = 0.5  # a classifier names a class even of grey; others find nothing there, or masks


def shows_no_masks(each: LoadedTarget, size: tuple[int, int], device: torch.device) -> bool:
    """Return whether a network names classes alone, by what it says of an even grey of a size."""
    grey = torch.full((1, 3, *size), GREY, device=device)
    found = each.target.predict(grey)[0]
    return bool(found) and all(seen.mask_HW is None for seen in found)
