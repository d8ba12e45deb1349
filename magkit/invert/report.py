"""The report of a job: figures, the pictures that stand beside the frames, a contact sheet."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from magkit.errors import MagkitError
from magkit.invert.frames_on_disk import Folder, picture, save_picture
from magkit.invert.job import RESULT, folder_of, load_target
from magkit.invert.judge import Judges, judge_clip, mean_scores, real
from magkit.invert.plan import ClipPlan
from magkit.invert.targets.load import TargetChoice
from magkit.progress import Progress, silent
from magkit.runtime.files import atomic_path, file_lock
from magkit.training.run import Run

GRID_GAP = 2  # white pixels around each


def image_grid(pictures: Sequence[Tensor], columns: int = 0) -> Tensor:
    """Return pictures (3, H, W) of one size in rows, (3, H', W').

    Args:
        pictures: row by row.
        columns: pictures in a row; 0: about as many as there are rows.
    """
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    tiles = [F.pad(each, (GRID_GAP,) * 4, value=1.0) for each in pictures]
    tiles += [torch.ones_like(tiles[0])] * (-len(tiles) % columns)
    rows = [torch.cat(tiles[n : n + columns], 2) for n in range(0, len(tiles), columns)]
    return torch.cat(rows, 1)


def joined(pictures: Sequence[Tensor], dim: int) -> Tensor:
    """Return pictures (3, H, W) of any sizes below each other (dim 1) or side by side (dim 2)."""
    high, wide = (max(each.shape[d] for each in pictures) for d in (1, 2))
    padded = []
    for each in pictures:
        right = wide - each.shape[2] if dim == 1 else 0
        below = high - each.shape[1] if dim == 2 else 0
        padded.append(F.pad(each, (0, right, 0, below), value=1.0))
    return torch.cat(padded, dim)


SHOWN = 8  # frames of a clip on the contact sheet
CELL = 224  # pixels: width of a picture there
GAP = 4
TINT = (1.0, 0.2, 0.2)  # of what the verifier sees
LOCK = ".report"


class JudgingError(MagkitError):
    """Another process is judging the same job: it writes the report."""


def judges_of(
    targets: Sequence[TargetChoice], verifier: TargetChoice, device: torch.device
) -> Judges:
    """Build those that look at the pictures."""
    *judged, last = (load_target(choice, device) for choice in (*targets, verifier))
    return Judges(judged, last, device)


def write_report(
    run: Run, plans: Sequence[ClipPlan], judges: Judges, progress: Progress = silent
) -> dict[str, Any]:
    """Judge all frames of a job, and write report.json, contact.png and the panels beside frames.

    Panels: masks/, seen/ (the frame, with what the verifier sees in it) and real/ in each clip's
    folder.

    Raises:
        JudgingError: another process is at it.
        MagkitError: a frame can't be read.
    """
    total, done = sum(len(plan.frames) for plan in plans), 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    with alone(run.folder):
        clips = {}
        for plan in plans:
            folder = folder_of(run, plan)
            write_panels(plan, folder, judges)
            clips[plan.name] = judge_clip(plan, folder, judges, count)
        report = {"verifier": judges.verifier.name, "clips": clips, "mean": mean_of_clips(clips)}
        write_sheet(run.folder / "contact.png", [(plan, folder_of(run, plan)) for plan in plans])
        with atomic_path(run.folder / RESULT, overwrite=True) as path:
            path.write_text(json.dumps(_finite(report), indent=1) + "\n", encoding="utf-8")
    return report


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a job's folder against other processes that judge it.

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
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_panels(plan: ClipPlan, folder: Folder, judges: Judges) -> None:
    """Write the pictures that stand beside the frames in a video."""
    for place, frame in enumerate(plan.frames):
        name, mask = f"{frame.stem}.png", plan.masks(place).any(0)
        save_picture(folder.path / "masks" / name, mask.float().expand(3, -1, -1))
        shown = picture(folder.frame(frame.stem))
        save_picture(folder.path / "seen" / name, seen_by(judges, plan, shown))
        true = real(plan, place)
        if true is not None:
            save_picture(folder.path / "real" / name, true)


def seen_by(judges: Judges, plan: ClipPlan, shown_3HW: Tensor) -> Tensor:
    """Return a picture in which what the verifier finds of the right classes is tinted."""
    found = judges.verifier.target.predict(shown_3HW[None].to(judges.device))[0]
    result = shown_3HW * 0.5
    for each in found:
        if each.mask_HW is not None and (each.label in plan.classes or "any" in plan.classes):
            inside = (each.mask_HW.cpu() >= 0.5).float()
            tint = torch.tensor(TINT)[:, None, None]
            result = torch.lerp(result, 0.5 * shown_3HW + 0.5 * tint, inside * each.score)
    return result


def write_sheet(path: Path, clips: Sequence[tuple[ClipPlan, Folder]]) -> None:
    """Write the contact sheet: for each clip rows of real frames, masks, frames, what is seen.

    Short clips stand side by side, as the first frames of many do.
    """
    lines: list[list[Tensor]] = []
    for plan, folder in clips:
        block = _block(plan, folder)
        if not lines or sum(each.shape[2] for each in (*lines[-1], block)) > SHOWN * (CELL + GAP):
            lines.append([])
        lines[-1].append(block)
    save_picture(path, joined([joined(line, 2) for line in lines], 1))


def _block(plan: ClipPlan, folder: Folder) -> Tensor:
    rows = []
    stems = [plan.frames[place].stem for place in plan.spread(SHOWN)]
    for panel in ("real", "masks", "frames", "seen"):
        files = [folder.path / panel / f"{stem}.png" for stem in stems]
        if all(file.is_file() for file in files):
            rows.append(F.pad(_row([picture(file) for file in files]), (0, 0, 0, GAP), value=1.0))
    return joined(rows, 1)


def _row(pictures: Sequence[Tensor]) -> Tensor:
    cells = []
    for each in pictures:
        size = round(each.shape[1] * CELL / each.shape[2]), CELL
        small = F.interpolate(
            each[None], size, mode="bilinear", align_corners=False, antialias=True
        )[0]
        cells.append(F.pad(small, (0, GAP), value=1.0))
    return torch.cat(cells, 2)
