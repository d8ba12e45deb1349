"""The report of a job: report.json, the contact sheet, and the panels beside a clip's frames."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from magkit.errors import MagkitError
from magkit.invert import ANY
from magkit.invert.frames_on_disk import (
    OutputFolder,
    concat_padded,
    read_image,
    save_image,
)
from magkit.invert.job import RESULT
from magkit.invert.judge import (
    Judges,
    Row,
    judge_classes,
    judge_clip,
    judged_images,
    mean_scores,
    real_frame,
)
from magkit.invert.plan import ClassPlan, ClipPlan, evenly_spaced
from magkit.progress import Progress, silent
from magkit.runtime.files import atomic_path, file_lock
from magkit.training.run import Run
from magkit.video.tiles import image_grid

LOCK = ".report"
TINT = (1.0, 0.2, 0.2)  # of the verifier's detections
# The contact sheet of clips.
SHEET_FRAMES = 8  # of a clip
CELL = 224  # pixels: width of a frame
GAP = 4  # pixels
# The contact sheet of classes.
SHEET_IMAGES = 10  # of a class
SHEET_CLASSES = 100
MIN_TILE, MAX_TILE = 64, 128  # pixels: longer side of an image
BORDER = 2  # pixels, red where the prediction is wrong
LABEL_WIDTH = 120  # pixels
RED = (0.85, 0.1, 0.1)


class JudgingError(MagkitError):
    """Another process is judging the same job: it writes the report."""


def write_report(
    run: Run,
    plans: Sequence[ClipPlan] | Sequence[ClassPlan],
    judges: Judges,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge all images of a job, and write report.json and contact.png.

    Beside a clip's frames three panels are written: masks/, seen/ (the frame and the verifier's
    detections) and real/.

    Raises:
        JudgingError: another process is judging.
        MagkitError: an image can't be read.
    """
    total, before = sum(judged_images(plan) for plan in plans), 0
    results: dict[str, dict[str, Any]] = {}

    def advance(done: int) -> None:
        progress(before + done, total)

    with judging_lock(run.folder):
        for plan in plans:
            folder = plan.folder(run.folder)
            if isinstance(plan, ClassPlan):
                results[plan.name] = judge_classes(plan, folder, judges, advance)
            else:
                write_panels(plan, folder, judges)
                results[plan.name] = judge_clip(plan, folder, judges, advance)
            before += judged_images(plan)
        report: dict[str, Any] = {"verifier": judges.verifier and judges.verifier.name}
        clips = [(each, each.folder(run.folder)) for each in plans if isinstance(each, ClipPlan)]
        if clips:
            report |= {"clips": results, "mean": mean_of_clips(results)}
            sheet = clip_sheet(clips)
        else:
            (classes,) = (each for each in plans if isinstance(each, ClassPlan))
            report |= results[classes.name]
            sheet = class_sheet(classes, classes.folder(run.folder), report["pictures"])
        save_image(run.folder / "contact.png", sheet)
        with atomic_path(run.folder / RESULT, overwrite=True) as path:
            path.write_text(json.dumps(_finite(report), indent=1) + "\n", encoding="utf-8")
    return report


@contextmanager
def judging_lock(folder: Path) -> Iterator[None]:
    """Lock a run against other processes that judge it.

    Raises:
        JudgingError: there is one.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(folder, LOCK, "judging", "wait for it"))
        except MagkitError as error:
            raise JudgingError(error.message, error.hint) from error
        yield


def mean_of_clips(clips: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the means over clips of their mean scores."""
    return mean_scores([clip["mean"] for clip in clips.values()])


def _finite(value: Any) -> Any:
    """Return a value with None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_panels(plan: ClipPlan, folder: OutputFolder, judges: Judges) -> None:
    """Write the images that are shown beside the frames in a stitched video."""
    for index, frame in enumerate(plan.frames):
        name, mask = f"{frame.stem}.png", plan.masks(index).any(0)
        save_image(folder.path / "masks" / name, mask.float().expand(3, -1, -1))
        seen = tint_detections(judges, plan, read_image(folder.frame(frame.stem)))
        save_image(folder.path / "seen" / name, seen)
        real = real_frame(plan, index)
        if real is not None:
            save_image(folder.path / "real" / name, real)


def tint_detections(judges: Judges, plan: ClipPlan, image_3HW: Tensor) -> Tensor:
    """Return an image at half brightness, the verifier's detections of asked classes tinted."""
    result = image_3HW * 0.5
    if judges.verifier is None:
        return result
    for each in judges.verifier.target.predict(image_3HW[None].to(judges.device))[0]:
        if each.mask_HW is not None and (each.label in plan.classes or ANY in plan.classes):
            inside = (each.mask_HW.cpu() >= 0.5).float()
            tint = torch.tensor(TINT)[:, None, None]
            result = torch.lerp(result, 0.5 * image_3HW + 0.5 * tint, inside * each.score)
    return result


def clip_sheet(clips: Sequence[tuple[ClipPlan, OutputFolder]]) -> Tensor:
    """Return a contact sheet: for each clip rows of real frames, masks, frames and detections.

    Short clips are placed side by side.
    """
    lines: list[list[Tensor]] = []
    for plan, folder in clips:
        block, limit = _clip_block(plan, folder), SHEET_FRAMES * (CELL + GAP)
        if not lines or sum(each.shape[2] for each in (*lines[-1], block)) > limit:
            lines.append([])
        lines[-1].append(block)
    return concat_padded([concat_padded(line, 2) for line in lines], 1)


def _clip_block(plan: ClipPlan, folder: OutputFolder) -> Tensor:
    rows = []
    stems = [plan.frames[n].stem for n in evenly_spaced(len(plan.frames), SHEET_FRAMES)]
    for panel in ("real", "masks", "frames", "seen"):
        files = [folder.path / panel / f"{stem}.png" for stem in stems]
        if all(file.is_file() for file in files):
            cells = [F.pad(_cell(read_image(file)), (0, GAP), value=1.0) for file in files]
            rows.append(F.pad(torch.cat(cells, 2), (0, 0, 0, GAP), value=1.0))
    return concat_padded(rows, 1)


def _cell(image_3HW: Tensor) -> Tensor:
    size = round(image_3HW.shape[1] * CELL / image_3HW.shape[2]), CELL
    return F.interpolate(
        image_3HW[None], size, mode="bilinear", align_corners=False, antialias=True
    )[0]


def class_sheet(plan: ClassPlan, folder: OutputFolder, rows: Sequence[Row]) -> Tensor:
    """Return a contact sheet with a row for each class, of its first images.

    Images that the verifier, or without one the target, predicts as another class have a red
    border.
    """
    by_name = {row["picture"]: row for row in rows}
    labels = [plan.labels[n] for n in evenly_spaced(len(plan.labels), SHEET_CLASSES)]
    first = [each for each in plan.pictures() if each.number < SHEET_IMAGES]
    tiles = [
        class_tile(read_image(folder.frame(each.stem)), right=_is_right(by_name[each.stem]))
        for label in labels
        for each in first
        if each.label == label
    ]
    grid = image_grid(tiles, min(SHEET_IMAGES, plan.per_class))
    return torch.cat([_label_column(labels, grid.shape[1]), grid], 2)


def _is_right(row: Mapping[str, Any]) -> bool:
    parts = [part for part in row if f"{part}_score" in row]
    return not parts or row[parts[-1]] == row["class"]


def class_tile(image_3HW: Tensor, *, right: bool) -> Tensor:
    """Return an image at a size for the sheet, with a white border, or a red one if not `right`."""
    height, width = image_3HW.shape[1:]
    times = -(-MIN_TILE // max(height, width))
    if times > 1:  # repeat pixels, as interpolation would blur them
        large = image_3HW.repeat_interleave(times, 1).repeat_interleave(times, 2)
    else:
        part = min(1.0, MAX_TILE / max(height, width))
        size = max(1, round(height * part)), max(1, round(width * part))
        large = F.interpolate(
            image_3HW[None], size, mode="bilinear", align_corners=False, antialias=True
        )[0].clamp(0, 1)
    border = (1.0, 1.0, 1.0) if right else RED
    channels = zip(large, border, strict=True)
    return torch.stack([F.pad(channel, (BORDER,) * 4, value=v) for channel, v in channels])


def _label_column(labels: Sequence[str], height: int) -> Tensor:
    """Return the labels of rows of equal height, (3, height, LABEL_WIDTH)."""
    image = Image.new("L", (LABEL_WIDTH, height), 255)
    draw = ImageDraw.Draw(image)
    for number, label in enumerate(labels):
        middle = (2 * number + 1) * height / len(labels) / 2
        text = label.encode("ascii", "replace").decode()[: LABEL_WIDTH // 7]
        draw.text((4, middle - 6), text, fill=0)
    return torch.from_numpy(np.array(image)).float().expand(3, -1, -1) / 255
