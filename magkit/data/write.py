"""Writes a data set by one or many processes, resumed where it was stopped."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from magkit.data import folder as plain
from magkit.data import plan as plans
from magkit.data import published, shards
from magkit.data.encode import encode
from magkit.data.open import RenderedScenes, open_dataset
from magkit.data.plan import Plan
from magkit.data.summary import Statistics, contact_sheet
from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.runtime.files import atomic_path, file_lock, replace_path
from magkit.runtime.pool import map_unordered
from magkit.runtime.shard import Shard
from magkit.runtime.text import MALFORMED, read_json_object
from magkit.synth.render import Sources
from magkit.synth.scene import draw_scene

PATIENCE = 2.0  # seconds: a lock may be held for a moment by who looks at it or clears away
DATA, RECORDS, LOCK = "data", "records", ".lock-"
WHOLE = Shard()

T = TypeVar("T")


def work_folder(folder: Path, plan: Plan) -> Path:
    """Return where the data set of a plan is written that will appear at `folder`."""
    return folder.with_name(f".{folder.name}.unfinished") / plan.fingerprint[:16]


def clear_the_way(work: Path, *, overwrite: bool) -> None:
    """Remove what other plans left beside `work`, and what can't be gone on with.

    Args:
        work: as `work_folder` returns it.
        overwrite: whether unfinished work of other plans is thrown away.

    Raises:
        MagkitError: there is such work, and it is to be kept or a process is writing it.
    """
    beside = work.parent.iterdir() if work.parent.is_dir() else ()
    for other in sorted(path for path in beside if path != work and path.is_dir()):
        if _begun(other) and not overwrite:
            problem = f"{other} holds unfinished work with other settings or sources"
            raise MagkitError(problem, "the same ones finish it; --overwrite throws it away")
        _patiently(partial(_discard, other))
    # Records without data: a process was killed just after it had moved the data to their place.
    if not _begun(work) and _has_records(work):
        _patiently(partial(_discard, work, unless=_begun))


@contextmanager
def held(work: Path, share: Shard, plan: Plan) -> Iterator[None]:
    """Hold a share of the work, or with all of them the whole, until the block ends.

    Raises:
        MagkitError: another process holds it.
    """
    with _patiently(partial(_entered, work, share)):
        path = work / DATA / plans.FILE
        if not path.is_file():
            with atomic_path(path, overwrite=True) as temporary:
                temporary.write_text(plan.text(), encoding="utf-8")
        yield
    if sys.platform == "win32" and not (work / RECORDS).exists():
        _remove_locks(work)  # which it does not while they are open


def remove(work: Path) -> None:
    """Remove work that this process holds as a whole."""
    # Records first: what has none is written again, should this be stopped in between.
    for name in (RECORDS, DATA):
        shutil.rmtree(work / name, ignore_errors=True)
    _remove_locks(work)


def _begun(work: Path) -> bool:
    return (work / DATA / plans.FILE).is_file()


def _has_records(work: Path) -> bool:
    records = work / RECORDS
    return records.is_dir() and any(records.iterdir())


def _patiently(attempt: Callable[[], T]) -> T:
    """Return what an attempt gives, which is made again for a moment while it is refused."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except MagkitError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _entered(work: Path, share: Shard) -> ExitStack:
    try:
        for name in (DATA, RECORDS):
            (work / name).mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            is_there = stack.enter_context(_lock(work, _name(share)))
            if share.count == 1:
                _enter_all(stack, work)
            else:
                with _lock(work, _name(WHOLE)):
                    pass
            # Whoever held the whole until now may have removed the lock of the share.
            if not is_there():
                raise FileNotFoundError(work)
            return stack.pop_all()
    except (FileNotFoundError, FileExistsError) as error:  # mkdir says either
        problem = f"another process removed {work} while this one began"
        raise MagkitError(problem, "start it once more") from error


def _discard(work: Path, unless: Callable[[Path], bool] = lambda _: False) -> None:
    with suppress(FileNotFoundError), ExitStack() as stack:  # another process may be as quick
        stack.enter_context(_lock(work, _name(WHOLE)))
        _enter_all(stack, work)
        if not unless(work):
            remove(work)
    if sys.platform == "win32":
        _remove_locks(work)


def _enter_all(stack: ExitStack, work: Path) -> None:
    """Take the locks of all shares, beside that of the whole."""
    for path in sorted(work.glob(f"{LOCK}*")):
        if path.name != LOCK + _name(WHOLE):
            stack.enter_context(_lock(work, path.name.removeprefix(LOCK)))


def _name(share: Shard) -> str:
    return f"{share.number}-of-{share.count}"


def _lock(work: Path, name: str) -> AbstractContextManager[Callable[[], bool]]:
    return file_lock(work, LOCK + name, "writing", "wait until it has ended")


def _remove_locks(work: Path) -> None:
    """Remove the locks and, where they are empty then, the folders."""
    for path in work.glob(f"{LOCK}*"):
        with suppress(OSError):
            path.unlink()
    for folder in (work, work.parent):
        with suppress(OSError):
            folder.rmdir()


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
    share: Shard = Shard(),  # noqa: B008 - it is frozen
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
        replace_path(work / DATA, folder)
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
    work: Path, plan: Plan, sources: Sources, processes: int, share: Shard, progress: Progress
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
    for number in map_unordered(writing, left, min(processes, found.count(0)), hint):
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
            except MALFORMED as error:
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
    folder: Path, plan: Plan, sources: Sources, share: Shard, overwrite: bool, progress: Progress
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
