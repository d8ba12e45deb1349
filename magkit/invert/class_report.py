"""The report of a job of classes: figures, and a contact sheet with a row for each class."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from magkit.invert.class_job import folder_of_classes
from magkit.invert.class_judge import Judges, Row, judge_classes, pictures_to_judge
from magkit.invert.class_plan import ClassPlan
from magkit.invert.frames_on_disk import Folder, picture, save_picture
from magkit.invert.job import RESULT
from magkit.invert.report import alone, image_grid
from magkit.progress import Progress, silent
from magkit.runtime.files import atomic_path
from magkit.training.run import Run

SHOWN = 10  # pictures of a class on the contact sheet
MOST_ROWS = 100  # classes there
CELL = 64  # pixels: what smaller pictures are enlarged to, at least
LARGEST = 128  # pixels: what larger pictures are made smaller to
EDGE = 2  # pixels: of the frame of a picture that is taken for something else
NAMES = 120  # pixels: width of the classes' names
RED = (0.85, 0.1, 0.1)


def write_class_report(
    run: Run,
    plan: ClassPlan,
    judges: Judges,
    device: torch.device,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge all pictures of a job, and write report.json and contact.png.

    Raises:
        JudgingError: another process is at it.
        MagkitError: a picture can't be read.
    """
    folder, total = folder_of_classes(run), pictures_to_judge(plan)
    with alone(run.folder):
        found = judge_classes(plan, folder, judges, device, lambda done: progress(done, total))
        verifier = judges["verifier"].name if "verifier" in judges else None
        report = {"verifier": verifier, **found}
        write_class_sheet(run.folder / "contact.png", plan, folder, found["pictures"])
        with atomic_path(run.folder / RESULT, overwrite=True) as path:
            path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def write_class_sheet(path: Path, plan: ClassPlan, folder: Folder, rows: Sequence[Row]) -> None:
    """Write the contact sheet: a row for each class, of the first pictures of it.

    What the verifier, or where there is none the target, takes for something else has a red frame.
    """
    told = {row["picture"]: row for row in rows}
    labels = [plan.labels[n] for n in _spread(len(plan.labels), MOST_ROWS)]
    first = [each for each in plan.pictures() if each.number < SHOWN]
    shown = [[each for each in first if each.label == label] for label in labels]
    tiles = [
        _tile(picture(folder.frame(each.stem)), right=_right(told[each.stem]))
        for row in shown
        for each in row
    ]
    sheet = image_grid(tiles, min(SHOWN, plan.per_class))
    save_picture(path, torch.cat([_names(labels, sheet.shape[1]), sheet], 2))


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(n * (count - 1) / max(1, most - 1)) for n in range(most)})


def _right(row: Mapping[str, Any]) -> bool:
    parts = [part for part in row if f"{part}_score" in row]
    return not parts or row[parts[-1]] == row["class"]


def _tile(shown_3HW: Tensor, *, right: bool) -> Tensor:
    height, width = shown_3HW.shape[1:]
    times = -(-CELL // max(height, width))
    if times > 1:  # every pixel as a square, as it is
        large = shown_3HW.repeat_interleave(times, 1).repeat_interleave(times, 2)
    else:
        part = min(1.0, LARGEST / max(height, width))
        size = max(1, round(height * part)), max(1, round(width * part))
        large = F.interpolate(
            shown_3HW[None], size, mode="bilinear", align_corners=False, antialias=True
        )[0].clamp(0, 1)
    colour = (1.0, 1.0, 1.0) if right else RED
    return torch.stack([F.pad(c, (EDGE,) * 4, value=v) for c, v in zip(large, colour, strict=True)])


def _names(labels: Sequence[str], height: int) -> Tensor:
    """Return the names beside rows of equal height, (3, height, NAMES)."""
    image = Image.new("L", (NAMES, height), 255)
    draw = ImageDraw.Draw(image)
    for number, label in enumerate(labels):
        middle = (2 * number + 1) * height / len(labels) / 2
        text = label.encode("ascii", "replace").decode()[: NAMES // 7]
        draw.text((4, middle - 6), text, fill=0)
    return torch.from_numpy(np.array(image)).float().expand(3, -1, -1) / 255
