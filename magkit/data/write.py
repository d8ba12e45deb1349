"""Writes a data set, by many processes where wanted, and goes on where it was stopped.

The work stands beside the data set's place, in a folder for its plan; see `magkit.data.work`.

All that is written is a function of the plan and the sources, whatever number of processes wrote
it, in whatever shares, and however often they were stopped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from magkit.data import folder as plain
from magkit.data import plan as plans
from magkit.data import published, shards
from magkit.data.contact import contact_sheet
from magkit.data.encode import encode
from magkit.data.open import open_dataset
from magkit.data.plan import Plan
from magkit.data.recipe import RenderedScenes
from magkit.data.statistics import Statistics
from magkit.data.work import DATA, RECORDS, clear_the_way, held, remove, work_folder
from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.runtime.atomic import atomic_path, move_into_place
from magkit.runtime.json_object import WRONG, read_json_object
from magkit.runtime.pool import each_done
from magkit.runtime.share import Share
from magkit.synth.render import Sources
from magkit.synth.scene import draw_scene

LAYOUTS: dict[str, ModuleType] = {"folder": plain, "tar": shards, "published": published}
"""Of each format the module with `UNIT`, `write_unit` and `finish`."""
REPORTED = 1000  # scenes that are drawn between two words of progress


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it.

    Attributes:
        whole: whether the data set is there; False: other shares are missing.
        resumed: scenes that were found done.
        unreadable: files that were broken and replaced by others.
    """

    whole: bool
    resumed: int
    unreadable: tuple[str, ...]


def write(
    folder: Path,
    plan: Plan,
    sources: Sources,
    *,
    processes: int = 1,
    share: Share = Share(),  # noqa: B008 - it is frozen
    overwrite: bool = False,
    progress: Progress = silent,
) -> Written:
    """Write a data set to a folder, which appears when it is whole.

    Called again with the same plan, it goes on where it was stopped. Of several shares none makes
    the data set appear: a last call without one finds their work done, and does.

    Args:
        folder: where the data set goes.
        plan: what is written.
        sources: what the scenes are made of.
        processes: how many render.
        share: which units are this call's work.
        overwrite: whether a data set that is there is replaced, and unfinished work of another
            plan thrown away unless a process is writing it.
        progress: called with the number of this call's scenes that are done.

    Raises:
        MagkitError: the folder exists, unfinished work of another plan or another process is in
            the way, or a source can't be read at all.
        UsageError: a recipe is to be shared out.
    """
    _check_place(folder, overwrite)
    if plan.format == "recipe":
        return _write_recipe(folder, plan, sources, share, overwrite, progress)
    work = work_folder(folder, plan)
    clear_the_way(work, overwrite=overwrite)
    with held(work, share, plan):
        resumed = _write_units(work, plan, sources, processes, share, progress)
        if share.count > 1:
            return Written(False, resumed, ())
        unreadable = _finish(work, plan)
        _check_place(folder, overwrite)  # another process may have been faster
        move_into_place(work / DATA, folder)
        remove(work)
    return Written(True, resumed, unreadable)


def _check_place(folder: Path, overwrite: bool) -> None:
    if not folder.exists() and folder.name not in ("", ".."):
        return
    if not overwrite:
        raise MagkitError(f"{folder} exists", hint="--overwrite replaces it")
    # A slip of the pen must not cost a folder of something else.
    if not (folder / plans.FILE).is_file():
        raise MagkitError(f"{folder} is no data set of magkit, and is not replaced")


def _write_units(
    work: Path, plan: Plan, sources: Sources, processes: int, share: Share, progress: Progress
) -> int:
    """Write the units of a share that are left, and return how many scenes were done before."""
    unit = LAYOUTS[plan.format].UNIT
    mine = range(share.number - 1, -(-plan.count // unit), share.count)
    found = bytearray(len(mine))  # one byte a unit, where a set of numbers would take fifty
    for entry in os.scandir(work / RECORDS):
        name, _, suffix = entry.name.partition(".")
        if suffix == "json" and name.isdecimal() and int(name) in mine:
            found[mine.index(int(name))] = 1
    sizes = partial(_size, plan.count, unit)
    total = sum(map(sizes, mine))
    done = resumed = sum(sizes(mine[k]) for k in range(len(mine)) if found[k])
    progress(done, total)
    left = (mine[k] for k in range(len(mine)) if not found[k])
    writing = partial(write_unit, work, plan, sources)
    hint = "the same command goes on; fewer --threads need less memory"
    for number in each_done(writing, left, min(processes, found.count(0)), hint):
        done += sizes(number)
        progress(done, total)
    return resumed


def _size(count: int, unit: int, number: int) -> int:
    return min(unit, count - number * unit)


def write_unit(work: Path, plan: Plan, sources: Sources, number: int) -> int:
    """Write a unit and then its record, which says that it is done; return its number."""
    layout = LAYOUTS[plan.format]
    first = number * layout.UNIT
    indices = range(first, first + _size(plan.count, layout.UNIT, number))
    scenes = (encode(plan, sources, index) for index in indices)
    lines = layout.write_unit(work / DATA, plan, number, scenes)
    broken = sorted(map(str, {*sources.pictures.unreadable, *sources.cutouts.unreadable}))
    with atomic_path(_record(work, number), overwrite=True) as temporary:
        record = {"lines": lines, "unreadable": broken}
        temporary.write_text(json.dumps(record), encoding="utf-8")
    return number


def _record(work: Path, number: int) -> Path:
    return work / RECORDS / f"{number:06}.json"


def _finish(work: Path, plan: Plan) -> tuple[str, ...]:
    """Write what is about all scenes; return the broken files."""
    layout, statistics, unreadable = LAYOUTS[plan.format], Statistics(), set[str]()

    def units() -> Iterator[list[Any]]:
        for number in range(-(-plan.count // layout.UNIT)):
            record = _record(work, number)
            hint = "delete it, and the same command makes its scenes once more"
            said = read_json_object(record, hint)
            try:
                unreadable.update(said["unreadable"])
                for line in said["lines"]:
                    layers = (line["background"], *line["objects"])
                    statistics.add(line["kind"], line["factor"], [x["motion"] for x in layers])
            except WRONG as error:
                raise MagkitError(f"{record} does not say what was written", hint) from error
            yield said["lines"]

    for leftover in (work / DATA).glob(".*"):  # of a process that was killed while it wrote
        leftover.unlink()
    layout.finish(work / DATA, plan, units())
    _show(work / DATA, statistics)
    contact_sheet(open_dataset(str(work / DATA))).save(work / DATA / "contact.png")
    return tuple(sorted(unreadable))


def _show(folder: Path, statistics: Statistics) -> None:
    numbers = json.dumps(statistics.numbers(), indent=2) + "\n"
    (folder / "statistics.json").write_text(numbers, encoding="utf-8")
    statistics.picture().save(folder / "histograms.png")


def _write_recipe(
    folder: Path, plan: Plan, sources: Sources, share: Share, overwrite: bool, progress: Progress
) -> Written:
    """Draw all scenes, which takes no pixels, for their statistics, and write the plan."""
    if share.count > 1:
        raise UsageError("a recipe is written at once: there is nothing to share out")
    statistics, counts = Statistics(), (len(sources.pictures), len(sources.cutouts))
    for index in range(plan.count):
        scene = draw_scene(plan.config, *counts, plan.seed, index)
        layers = [scene.motion, *(layer.motion for layer in scene.layers)]
        statistics.add(scene.kind, scene.factor, layers)
        if index % REPORTED == 0:
            progress(index, plan.count)
    with atomic_path(folder, kind="folder", overwrite=overwrite) as temporary:
        (temporary / plans.FILE).write_text(plan.text(), encoding="utf-8")
        _show(temporary, statistics)
        shown = contact_sheet(RenderedScenes(plan, sources, str(folder)))
        shown.save(temporary / "contact.png")
    progress(plan.count, plan.count)
    return Written(True, 0, ())
