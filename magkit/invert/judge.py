"""Scores of a job's images by networks and measures that were never optimised.

The target's own verdict proves little; the verifier's, which took no part, counts. Both judge
controls that need no inversion too: noise, a flat mask, the real object on a texture, the real
frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from magkit.invert import ANY, measures
from magkit.invert.frames_on_disk import OutputFolder, read_image
from magkit.invert.measures import best_agreement, flicker, histogram_distance, ssim
from magkit.invert.plan import ClassPicture, ClassPlan, ClipPlan, evenly_spaced
from magkit.invert.statistics import moments_distance, record_moments
from magkit.invert.targets.load import LoadedTarget
from magkit.protocols import Annotation

MAX_RECORDED = 1e12  # steps or seconds in a frame's record
CONTROLS = 8  # evenly spaced frames of a clip for which controls are made
CLASS_CONTROLS = 10  # noise images of a class, at most
BATCH = 32  # images of classes that a network judges at a time

Scores = dict[str, float]

Row = dict[str, Any]
"""An image of a class: its name and class, and by judge the predicted class and the score."""


@dataclass(frozen=True, slots=True)
class Judges:
    """The networks that judge images.

    Attributes:
        targets: the networks that were inverted.
        verifier: a network that took no part; None for images of classes without one.
        device: on which they are.
    """

    targets: Sequence[LoadedTarget]
    verifier: LoadedTarget | None
    device: torch.device

    def each(self) -> Iterator[tuple[str, LoadedTarget]]:
        """Yield the judges by role: target, or target1 and so on; verifier."""
        for number, target in enumerate(self.targets, 1):
            yield "target" if len(self.targets) == 1 else f"target{number}", target
        if self.verifier is not None:
            yield "verifier", self.verifier


def predicts_no_masks(loaded: LoadedTarget, size: tuple[int, int], device: torch.device) -> bool:
    """Return whether a network predicts classes without masks, by its output for a grey image."""
    # A classifier names a class even of grey; others find nothing, or masks.
    found = loaded.target.predict(torch.full((1, 3, *size), 0.5, device=device))[0]
    return bool(found) and all(each.mask_HW is None for each in found)


def knows_class(judge: LoadedTarget, label: str) -> bool:
    """Return whether a class is one of a network's: it isn't judged by others."""
    return label == ANY or label in judge.target.classes


def judge_clip(
    plan: ClipPlan,
    folder: OutputFolder,
    judges: Judges,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Return all scores of a clip's frames, as JSON types.

    "frames": scores of each; "mean": of all; "flicker": of the background, in the frames made and
    the real ones; "controls": mean scores of each control, on evenly spaced frames.

    Args:
        plan: the clip.
        folder: where its frames are.
        judges: the networks.
        progress: called with the number of frames that were judged.

    Raises:
        MagkitError: a frame can't be read.
    """
    rows = []
    for index, frame in enumerate(plan.frames):
        shown = read_image(folder.frame(frame.stem))
        scores = score_frame(plan, index, shown, judges)
        scores.update(_recorded(folder, frame.stem))
        rows.append({"frame": frame.stem, **scores})
        progress(len(rows))
    return {
        "frames": rows,
        "mean": mean_scores(rows),
        "flicker": {
            "made": _flicker(plan, lambda n: read_image(folder.frame(plan.frames[n].stem))),
            "real": _flicker(plan, lambda n: real_frame(plan, n)),
        },
        "controls": _controls(plan, judges),
    }


def score_frame(plan: ClipPlan, index: int, image_3HW: Tensor, judges: Judges) -> Scores:
    """Return the scores of an image (3, H, W) in [0, 1] in the place of a frame.

    Of each judge: J, F and confidence of its detections of the right class, means over the visible
    objects whose class it knows. "verifier_bn": the verifier's distance of BatchNorm statistics.
    "ssim", "colours": similarity to the real frame, and histogram distance within the masks.
    """
    scores: Scores = {}
    for part, judge in judges.each():
        found = [_on_cpu(a) for a in judge.target.predict(image_3HW[None].to(judges.device))[0]]
        agreements = [
            best_agreement(found, mask, None if label == ANY else label)
            for label, mask in zip(plan.classes, plan.masks(index), strict=True)
            if mask.any() and knows_class(judge, label)
        ]
        for name, measure in (("J", "region"), ("F", "boundary"), ("score", "score")):
            values = [float(getattr(a, measure)) for a in agreements]
            scores[f"{part}_{name}"] = fmean(values) if values else math.nan
    if judges.verifier is not None:
        scores["verifier_bn"] = bn_distance(judges.verifier, image_3HW.to(judges.device))
    true = real_frame(plan, index)
    if true is not None:
        scores["ssim"] = ssim(image_3HW, true)
        inside = plan.masks(index).any(0)
        scores["colours"] = histogram_distance(image_3HW, true, inside)
    return scores


def _on_cpu(found: Annotation) -> Annotation:
    mask = None if found.mask_HW is None else found.mask_HW.cpu()
    return Annotation(found.label, mask, found.score)


@torch.no_grad()
def bn_distance(judge: LoadedTarget, image_3HW: Tensor) -> float:
    """Return the scaled distance of an image from a network's statistics; NaN if it has none."""
    if not judge.statistics:
        return math.nan
    whole = [s for s in judge.statistics if s.group == "picture"]
    with record_moments(whole) as seen:
        judge.target.predict(image_3HW[None])
    return float(moments_distance(whole, seen.of))


def real_frame(plan: ClipPlan, index: int) -> Tensor | None:
    """Return the real frame (3, H, W) at the output size; None where there is none."""
    path = plan.frames[index].image
    if path is None:
        return None
    return F.interpolate(
        read_image(path)[None], plan.size, mode="bilinear", align_corners=False, antialias=True
    )[0].clamp(0, 1)


def mean_scores(rows: Sequence[Mapping[str, Any]]) -> Scores:
    """Return the means of all numeric values, NaN left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    means = {}
    for name in names:
        values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
        values = [value for value in values if not math.isnan(value)]
        if values:
            means[name] = fmean(values)
    return means


def _recorded(folder: OutputFolder, stem: str) -> Scores:
    record = folder.read_record(stem)
    found = ((name, record.get(name)) for name in ("steps", "seconds"))
    # The range excludes NaN, and integers too large for a float.
    return {k: float(v) for k, v in found if isinstance(v, int | float) and 0 <= v < MAX_RECORDED}


def _flicker(plan: ClipPlan, shown: Callable[[int], Tensor | None]) -> float:
    """Return the mean flicker of neighbouring pairs; two frames are in memory at a time."""
    values = []
    for index in range(1, len(plan.frames)):
        pair = shown(index - 1), shown(index)
        if pair[0] is None or pair[1] is None:
            return math.nan
        masks = torch.stack([plan.masks(n).any(0) for n in (index - 1, index)])
        values.append(flicker(torch.stack([pair[0], pair[1]]), masks))
    values = [value for value in values if not math.isnan(value)]
    return fmean(values) if values else math.nan


def _controls(plan: ClipPlan, judges: Judges) -> dict[str, Scores]:
    rows: dict[str, list[Scores]] = {}
    for index in evenly_spaced(len(plan.frames), CONTROLS):
        if not plan.masks(index).any():
            continue
        for name, shown in control_pictures(plan, index).items():
            rows.setdefault(name, []).append(score_frame(plan, index, shown, judges))
    return {name: mean_scores(found) for name, found in rows.items()}


def control_pictures(plan: ClipPlan, index: int) -> dict[str, Tensor]:
    """Return images that need no inversion: noise, a flat mask, and two of the real frame."""
    found, true = mask_pictures(plan, index), real_frame(plan, index)
    if true is not None:
        seed, number = plan.settings.seed, plan.frames[index].number
        mask = plan.masks(index).any(0)
        found["cut-out"] = measures.textured_cutout(true, mask, seed, number)
        found["real frame"] = true
    return found


def mask_pictures(plan: ClipPlan, index: int) -> dict[str, Tensor]:
    """Return images that need no real frame: noise, and a flat mask."""
    seed, number = plan.settings.seed, plan.frames[index].number
    return {
        "noise": measures.noise_image(plan.size, seed, number),
        "flat mask": measures.flat_mask(plan.masks(index).any(0)),
    }


def judge_classes(
    plan: ClassPlan,
    folder: OutputFolder,
    judges: Judges,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Return all scores of images of classes, as JSON types.

    "pictures": a row for each; "mean": each judge's accuracy; "classes": its accuracy by class;
    "noise": the same of noise images. A judge is left out of classes that it doesn't know.

    Args:
        plan: the images.
        folder: where they are.
        judges: the networks.
        progress: called with the number of images that were judged, noise included.

    Raises:
        MagkitError: an image can't be read.
    """
    pictures = plan.pictures()
    controls = [each for each in pictures if each.number < CLASS_CONTROLS]
    rows = _rows(pictures, lambda e: read_image(folder.frame(e.stem)), judges, progress)
    seed, labels = plan.settings.seed, plan.labels
    noise = _rows(
        controls,
        lambda e: measures.noise_image(plan.size, seed, labels.index(e.label), e.number),
        judges,
        lambda done: progress(len(pictures) + done),
    )
    return {
        "mean": accuracy(rows, judges),
        "noise": accuracy(noise, judges),
        "classes": {
            label: {
                **accuracy([row for row in rows if row["class"] == label], judges),
                "noise": accuracy([row for row in noise if row["class"] == label], judges),
            }
            for label in plan.labels
        },
        "pictures": rows,
    }


def accuracy(rows: Sequence[Row], judges: Judges) -> dict[str, float]:
    """Return each judge's accuracy in [0, 1]: the fraction of images predicted as their class."""
    found = {}
    for part, _ in judges.each():
        right = [row[part] == row["class"] for row in rows if part in row]
        if right:
            found[part] = fmean(right)
    return found


def judged_images(plan: ClipPlan | ClassPlan) -> int:
    """Return how many images of a plan are judged: frames, or images of classes and noise."""
    if isinstance(plan, ClipPlan):
        return len(plan.frames)
    return len(plan.labels) * (plan.per_class + min(plan.per_class, CLASS_CONTROLS))


def _rows(
    pictures: Sequence[ClassPicture],
    read: Callable[[ClassPicture], Tensor],
    judges: Judges,
    progress: Callable[[int], None],
) -> list[Row]:
    rows: list[Row] = []
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        images = torch.stack([read(each) for each in batch]).to(judges.device)
        found: list[Row] = [{"picture": each.stem, "class": each.label} for each in batch]
        for part, judge in judges.each():
            for row, predicted in zip(found, judge.target.predict(images), strict=True):
                if knows_class(judge, row["class"]):
                    scores = [each.score for each in predicted if each.label == row["class"]]
                    row[part] = predicted[0].label if predicted else ""
                    row[f"{part}_score"] = max(scores, default=0.0)
        rows += found
        progress(len(rows))
    return rows
