"""Scenes as a folder: pictures, an index that says every factor and displacement, a contact sheet.

    triplets/
      config.json           what was asked for
      index.jsonl           a line a scene
      contact.png           the first scenes at a glance
      scenes/000000/a.png   and b, c, m; or, of frames alone, frames/000000.png

All of it is a function of the plan and the sources, whatever number of processes wrote it and
however often they were stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.progress import Progress, silent
from magkit.runtime.atomic import atomic_path
from magkit.synth.render import Sources, render
from magkit.synth.scene import Scene, SceneConfig, draw_scene

Kind = Literal["triplets", "frames"]
FORMAT = 1
SHOWN = 8  # scenes on the contact sheet
THUMBNAIL = 160  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is written: `count` scenes, as triplets or as single frames (A of each scene).

    Attributes:
        sources: what the sources are made from, a JSON object, for the record and to tell whether
            an unfinished folder is of the same plan.
    """

    kind: Kind = "triplets"
    count: int
    seed: int = 0
    config: SceneConfig
    sources: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of it: scenes found done, and files that were broken and replaced by others."""

    resumed: int
    unreadable: tuple[str, ...]


def export(
    folder: Path,
    plan: Plan,
    sources: Sources,
    *,
    processes: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Write scenes to a folder, which appears when it is whole.

    Until then the work stands beside it, in `.NAME.unfinished`: called again with the same plan,
    it is taken up there.

    Args:
        folder: where the scenes go.
        plan: what is written.
        sources: what the scenes are made of.
        processes: how many processes render.
        overwrite: whether an existing folder is replaced, and unfinished work of another plan
            thrown away.
        progress: called with the number of scenes done.

    Raises:
        MagkitError: the folder exists, unfinished work of another plan is in the way, or a source
            can't be read at all.
    """
    _check_place(folder, overwrite)
    work = folder.with_name(f".{folder.name}.unfinished")
    described = _described(plan, sources)
    _prepare(work, described, overwrite)
    left = [index for index in range(plan.count) if not _record_path(work, index).is_file()]
    done = resumed = plan.count - len(left)
    progress(done, plan.count)
    for _ in _written(work, plan, sources, left, processes):
        done += 1
        progress(done, plan.count)
    unreadable = _finish(work, plan)
    with atomic_path(folder, kind="folder", overwrite=overwrite) as temporary:
        temporary.rmdir()
        work.rename(temporary)
    return Exported(resumed, unreadable)


def _check_place(folder: Path, overwrite: bool) -> None:
    if not folder.exists() and folder.name not in ("", ".."):
        return
    if not overwrite:
        raise MagkitError(f"{folder} exists", hint="--overwrite replaces it")
    # A slip of the pen must not cost a folder of something else.
    if not (folder / "index.jsonl").is_file():
        raise MagkitError(f"{folder} is no folder of scenes, and is not replaced")


def _described(plan: Plan, sources: Sources) -> dict[str, Any]:
    counts = {"pictures": len(sources.pictures), "cutouts": len(sources.cutouts)}
    return {
        "format": FORMAT,
        "kind": plan.kind,
        "count": plan.count,
        "seed": plan.seed,
        "scene": asdict(plan.config),
        "sources": {**plan.sources, **counts},
    }


def _prepare(work: Path, described: Mapping[str, Any], overwrite: bool) -> None:
    text = json.dumps(described, indent=2) + "\n"
    path = work / "config.json"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    if work.exists():
        if not overwrite:
            raise MagkitError(
                f"{work} holds unfinished work with other settings",
                hint="the same settings finish it, --overwrite throws it away",
            )
        shutil.rmtree(work)
    (work / "records").mkdir(parents=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _record_path(work: Path, index: int) -> Path:
    return work / "records" / f"{index:06}.json"


def _written(
    work: Path, plan: Plan, sources: Sources, left: list[int], processes: int
) -> Iterator[None]:
    """Write the scenes that are left, yielding after each."""
    processes = min(processes, len(left))
    if processes <= 1:
        for index in left:
            _write(work, plan, sources, index)
            yield
        return
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        _start_worker,
        (work, plan, sources),
    )
    try:
        for future in as_completed([pool.submit(_work, index) for index in left]):
            future.result()
            yield
    except BrokenProcessPool as error:
        raise MagkitError(
            "a process that rendered scenes was killed, perhaps for want of memory",
            hint="the same command goes on; fewer --threads need less memory",
        ) from error
    finally:
        # On the way out of an error or Ctrl-C nothing new is begun.
        pool.shutdown(cancel_futures=True)


_job: tuple[Path, Plan, Sources] | None = None  # what a worker process works on


def _start_worker(work: Path, plan: Plan, sources: Sources) -> None:
    global _job  # noqa: PLW0603
    _job = work, plan, sources
    # Ctrl-C reaches all processes of a terminal; the first of them sees to the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _work(index: int) -> None:
    assert _job is not None
    _write(*_job, index)


def _write(work: Path, plan: Plan, sources: Sources, index: int) -> None:
    """Write a scene; its record comes last, and says that it is done."""
    counts = len(sources.pictures), len(sources.cutouts)
    scene = draw_scene(plan.config, *counts, plan.seed, index)
    made = render([scene], plan.config, sources)
    for name, path in _pictures(work, plan.kind, index).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = (getattr(made, name)[0] * 255).round().byte().permute(1, 2, 0)
        # Dithered pictures hardly shrink however long one tries.
        Image.fromarray(levels.numpy()).save(path, compress_level=1)
    broken = sorted(str(p) for p in (*sources.pictures.unreadable, *sources.cutouts.unreadable))
    record = {"line": _line(scene, plan, sources), "unreadable": broken}
    with atomic_path(_record_path(work, index), overwrite=True) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


def _pictures(folder: Path, kind: Kind, index: int) -> dict[str, Path]:
    """Return a scene's frames by name and where they are written."""
    if kind == "frames":
        return {"a": folder / "frames" / f"{index:06}.png"}
    scene = folder / "scenes" / f"{index:06}"
    return {name: scene / f"{name}.png" for name in "abcm"}


def _line(scene: Scene, plan: Plan, sources: Sources) -> dict[str, Any]:
    """Return what the index says about a scene; lengths are in pixels."""
    files = _pictures(Path(), plan.kind, scene.index).items()
    objects = [
        {
            "source": sources.cutouts.name(layer.number),
            "origin": [plan.config.size * v for v in layer.origin],
            "motion": layer.motion,
        }
        for layer in scene.layers
    ]
    background = {"source": sources.pictures.name(scene.background), "motion": scene.motion}
    return {
        "index": scene.index,
        "seed": plan.seed,
        "kind": scene.kind,
        "factor": scene.factor,
        "background": background,
        "objects": objects,
        "colour": {"gain": scene.gain, "offset": scene.offset},
        "files": {name: path.as_posix() for name, path in files},
    }


def _finish(work: Path, plan: Plan) -> tuple[str, ...]:
    """Write index and contact sheet, remove the records, return the broken files."""
    unreadable: set[str] = set()
    with (work / "index.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for index in range(plan.count):
            record = json.loads(_record_path(work, index).read_text(encoding="utf-8"))
            unreadable.update(record["unreadable"])
            file.write(json.dumps(record["line"]) + "\n")
    rows = [_pictures(work, plan.kind, index).values() for index in range(min(plan.count, SHOWN))]
    contact_sheet(rows).save(work / "contact.png")
    shutil.rmtree(work / "records")
    return tuple(sorted(unreadable))


def contact_sheet(rows: Iterable[Iterable[Path]]) -> Image.Image:
    """Return thumbnails of pictures in rows of equal length."""
    grid = [[_thumbnail(path) for path in row] for row in rows]
    return Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in grid]))


def _thumbnail(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return np.pad(np.asarray(small), ((2, 2), (2, 2), (0, 0)), constant_values=255)


def processor_count() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
