"""Data sets written by one or several processes, with resumption."""

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
from typing import Any, TypeVar

from magkit.data import plan as plans
from magkit.data import published
from magkit.data.encode import encode
from magkit.data.layouts import FOLDER, TAR
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

LOCK_TIMEOUT = 2.0  # seconds: another process may hold a lock while it checks or removes work
DATA, RECORDS, LOCK = "data", "records", ".lock-"
WHOLE = Shard()

T = TypeVar("T")


def work_folder(folder: Path, plan: Plan) -> Path:
    """Return the work folder of a plan whose data set will be moved to `folder`."""
    return folder.with_name(f".{folder.name}.unfinished") / plan.fingerprint[:16]


def discard_other_work(work: Path, *, overwrite: bool) -> None:
    """Remove work of other plans beside `work`, and work that can't be resumed.

    Args:
        work: as `work_folder` returns it.
        overwrite: delete unfinished work of other plans.

    Raises:
        MagkitError: there is such work, and it must be kept or another process is writing it.
    """
    beside = work.parent.iterdir() if work.parent.is_dir() else ()
    for other in sorted(path for path in beside if path != work and path.is_dir()):
        if _is_started(other) and not overwrite:
            problem = f"{other} holds unfinished work with other settings or sources"
            raise MagkitError(problem, "the same ones finish it; --overwrite throws it away")
        _retry(partial(_discard, other))
    # Records without data: a process was killed after it had moved the data.
    if not _is_started(work) and _has_records(work):
        _retry(partial(_discard, work, unless=_is_started))


@contextmanager
def locked_work(work: Path, share: Shard, plan: Plan) -> Iterator[None]:
    """Lock a shard of the work for the block, or all of it if there is one shard.

    Raises:
        MagkitError: another process has locked it.
    """
    with _retry(partial(_acquire, work, share)):
        path = work / DATA / plans.FILE
        if not path.is_file():
            with atomic_path(path, overwrite=True) as temporary:
                temporary.write_text(plan.text(), encoding="utf-8")
        yield
    if sys.platform == "win32" and not (work / RECORDS).exists():
        _remove_locks(work)  # Windows keeps open files


def remove_work(work: Path) -> None:
    """Remove work that this process has locked."""
    # Records first: if this is interrupted, data without records are written again.
    for name in (RECORDS, DATA):
        shutil.rmtree(work / name, ignore_errors=True)
    _remove_locks(work)


def _is_started(work: Path) -> bool:
    return (work / DATA / plans.FILE).is_file()


def _has_records(work: Path) -> bool:
    records = work / RECORDS
    return records.is_dir() and any(records.iterdir())


def _retry(attempt: Callable[[], T]) -> T:
    """Call `attempt` until it succeeds, up to the lock's timeout."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            return attempt()
        except MagkitError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _acquire(work: Path, share: Shard) -> ExitStack:
    try:
        for name in (DATA, RECORDS):
            (work / name).mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            is_there = stack.enter_context(_lock(work, _shard_name(share)))
            if share.count == 1:
                _lock_all(stack, work)
            else:
                with _lock(work, _shard_name(WHOLE)):
                    pass
            # The process that had locked all work may have removed this lock.
            if not is_there():
                raise FileNotFoundError(work)
            return stack.pop_all()
    except (FileNotFoundError, FileExistsError) as error:  # mkdir says either
        problem = f"another process removed {work} while this one began"
        raise MagkitError(problem, "start it once more") from error


def _discard(work: Path, unless: Callable[[Path], bool] = lambda _: False) -> None:
    with suppress(FileNotFoundError), ExitStack() as stack:  # another process may remove it
        stack.enter_context(_lock(work, _shard_name(WHOLE)))
        _lock_all(stack, work)
        if not unless(work):
            remove_work(work)
    if sys.platform == "win32":
        _remove_locks(work)


def _lock_all(stack: ExitStack, work: Path) -> None:
    """Take the locks of all shards."""
    for path in sorted(work.glob(f"{LOCK}*")):
        if path.name != LOCK + _shard_name(WHOLE):
            stack.enter_context(_lock(work, path.name.removeprefix(LOCK)))


def _shard_name(share: Shard) -> str:
    return f"{share.number}-of-{share.count}"


def _lock(work: Path, name: str) -> AbstractContextManager[Callable[[], bool]]:
    return file_lock(work, LOCK + name, "writing", "wait until it has ended")


def _remove_locks(work: Path) -> None:
    """Remove the locks and empty folders."""
    for path in work.glob(f"{LOCK}*"):
        with suppress(OSError):
            path.unlink()
    for folder in (work, work.parent):
        with suppress(OSError):
            folder.rmdir()


LAYOUTS = {"folder": FOLDER, "tar": TAR, "published": published.LAYOUT}
REPORT_EVERY = 1000  # scenes of a recipe between two reports of progress


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Result of writing.

    Attributes:
        whole: whether the data set is complete; False: other shards are missing.
        resumed: number of scenes that an earlier call had written.
        unreadable: broken source files that were replaced by others.
    """

    whole: bool
    resumed: int
    unreadable: tuple[str, ...]


def write_dataset(
    folder: Path,
    plan: Plan,
    sources: Sources,
    *,
    processes: int = 1,
    share: Shard = Shard(),  # noqa: B008 - it is frozen
    overwrite: bool = False,
    progress: Progress = silent,
) -> WriteResult:
    """Write a data set to a folder, which appears when it is complete.

    A call with the same plan resumes interrupted work. Shards are written by separate calls; a last
    call without a shard joins them.

    Args:
        folder: the output.
        plan: the scenes and their format.
        sources: of pictures and objects.
        processes: number of rendering processes.
        share: the shard of this call.
        overwrite: replace an existing data set, and delete unfinished work of other plans unless a
            process is writing it.
        progress: called with the number of scenes that are done.

    Raises:
        MagkitError: the folder exists, unfinished work of another plan or another process is in
            the way, or no source can be read.
        UsageError: a recipe can't be sharded.
    """
    _check_place(folder, overwrite)
    if plan.format == "recipe":
        return _write_recipe(folder, plan, sources, share, overwrite, progress)
    work = work_folder(folder, plan)
    discard_other_work(work, overwrite=overwrite)
    with locked_work(work, share, plan):
        resumed = _write_units(work, plan, sources, processes, share, progress)
        if share.count > 1:
            return WriteResult(False, resumed, ())
        unreadable = _finish(work, plan)
        _check_place(folder, overwrite)  # another process may have been faster
        replace_path(work / DATA, folder)
        remove_work(work)
    return WriteResult(True, resumed, unreadable)


def _check_place(folder: Path, overwrite: bool) -> None:
    if not folder.exists() and folder.name not in ("", ".."):
        return
    if not overwrite:
        raise MagkitError(f"{folder} exists", hint="--overwrite replaces it")
    if not (folder / plans.FILE).is_file():
        raise MagkitError(f"{folder} is no data set of magkit, and is not replaced")


def _write_units(
    work: Path, plan: Plan, sources: Sources, processes: int, share: Shard, progress: Progress
) -> int:
    """Write the missing units of a shard; return the number of scenes that were done before."""
    unit = LAYOUTS[plan.format].scenes_per_unit
    mine = range(share.number - 1, -(-plan.count // unit), share.count)
    found = bytearray(len(mine))
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
    """Write a unit, then its record, which marks it as done; return its number."""
    layout = LAYOUTS[plan.format]
    first = number * layout.scenes_per_unit
    indices = range(first, first + _size(plan.count, layout.scenes_per_unit, number))
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
    """Write the index, statistics and contact sheet; return the broken files."""
    layout, statistics, unreadable = LAYOUTS[plan.format], Statistics(), set[str]()

    def units() -> Iterator[list[Any]]:
        for number in range(-(-plan.count // layout.scenes_per_unit)):
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

    for leftover in (work / DATA).glob(".*"):  # of killed processes
        leftover.unlink()
    layout.finish(work / DATA, plan, units())
    _write_statistics(work / DATA, statistics)
    contact_sheet(open_dataset(str(work / DATA))).save(work / DATA / "contact.png")
    return tuple(sorted(unreadable))


def _write_statistics(folder: Path, statistics: Statistics) -> None:
    numbers = json.dumps(statistics.numbers(), indent=2) + "\n"
    (folder / "statistics.json").write_text(numbers, encoding="utf-8")
    statistics.picture().save(folder / "histograms.png")


def _write_recipe(
    folder: Path, plan: Plan, sources: Sources, share: Shard, overwrite: bool, progress: Progress
) -> WriteResult:
    """Write the plan, and statistics of all scenes, which are drawn without rendering."""
    if share.count > 1:
        raise UsageError("a recipe is written at once: there is nothing to share out")
    statistics, counts = Statistics(), (len(sources.pictures), len(sources.cutouts))
    for index in range(plan.count):
        scene = draw_scene(plan.config, *counts, plan.seed, index)
        layers = [scene.motion, *(layer.motion for layer in scene.layers)]
        statistics.add(scene.kind, scene.factor, layers)
        if index % REPORT_EVERY == 0:
            progress(index, plan.count)
    with atomic_path(folder, kind="folder", overwrite=overwrite) as temporary:
        (temporary / plans.FILE).write_text(plan.text(), encoding="utf-8")
        _write_statistics(temporary, statistics)
        shown = contact_sheet(RenderedScenes(plan, sources, str(folder)))
        shown.save(temporary / "contact.png")
    progress(plan.count, plan.count)
    return WriteResult(True, 0, ())
