"""Shares, joins and overwriting calls of several plans, in whatever order they come."""

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from magkit.data import write as module
from magkit.data import write as writing
from magkit.data.encode import encode
from magkit.data.plan import Plan
from magkit.data.write import work_folder, write_dataset
from magkit.errors import MagkitError
from magkit.runtime.files import file_lock
from magkit.runtime.shard import Shard
from magkit.synth.render import Sources

Made = Callable[..., Path]
HELD = "another process is writing"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a lock that the test holds."""
    monkeypatch.setattr(module, "LOCK_TIMEOUT", 0.1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the data set goes."""
    return tmp_path / "x"


@pytest.fixture
def other(plan: Plan) -> Plan:
    """The same scenes of another seed."""
    return replace(plan, seed=4)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def seeds(folder: Path) -> set[int]:
    """The seeds of a data set's scenes."""
    return {json.loads(line)["seed"] for line in (folder / "index.jsonl").read_text().splitlines()}


def records(place: Path, plan: Plan) -> set[str]:
    return {path.name for path in (work_folder(place, plan) / "records").glob("*.json")}


@contextmanager
def running(place: Path, plan: Plan, share: Shard) -> Iterator[None]:
    """A share that is at work: what a process of it holds."""
    work = work_folder(place, plan)
    work.mkdir(parents=True, exist_ok=True)
    with file_lock(work, name=f".lock-{share.number}-of-{share.count}"):
        yield


def test_other_settings_do_not_take_up_the_work(
    plan: Plan, sources: Sources, place: Path, other: Plan
) -> None:
    write_dataset(place, plan, sources, share=Shard(1, 2))
    for options in ({}, {"share": Shard(1, 2)}):
        with pytest.raises(MagkitError, match="other settings"):
            write_dataset(place, other, sources, **options)  # type: ignore[arg-type]
    write_dataset(place, other, sources, overwrite=True)
    assert seeds(place) == {4}
    assert list(place.parent.iterdir()) == [place]


def test_whoever_joins_and_whoever_writes_keep_apart(
    plan: Plan, sources: Sources, place: Path
) -> None:
    write_dataset(place, plan, sources, share=Shard(1, 2))
    with running(place, plan, Shard(1, 2)):
        for share in (Shard(1, 2), Shard()):
            with pytest.raises(MagkitError, match=HELD):
                write_dataset(place, plan, sources, share=share)
        write_dataset(place, plan, sources, share=Shard(2, 2))
    with running(place, plan, Shard()), pytest.raises(MagkitError, match=HELD):
        write_dataset(place, plan, sources, share=Shard(2, 2))
    assert write_dataset(place, plan, sources).resumed == 5


@pytest.mark.parametrize("at_work", [Shard(1, 2), Shard(2, 2), Shard()], ids=str)
@pytest.mark.parametrize("newcomer", [Shard(1, 2), Shard(2, 2), Shard()], ids=str)
def test_overwriting_never_costs_the_work_of_who_is_at_work(
    plan: Plan, sources: Sources, place: Path, other: Plan, at_work: Shard, newcomer: Shard
) -> None:
    write_dataset(place, plan, sources, share=Shard(1, 2))
    before = contents(work_folder(place, plan) / "records")
    with (
        running(place, plan, at_work),
        pytest.raises(MagkitError, match=HELD),
    ):
        write_dataset(place, other, sources, share=newcomer, overwrite=True)
    assert contents(work_folder(place, plan) / "records") == before
    assert write_dataset(place, plan, sources).resumed == 3
    assert seeds(place) == {3}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_first_share_that_overwrites_throws_away_what_nobody_writes(
    plan: Plan, sources: Sources, place: Path, other: Plan, made: Made, order: tuple[int, int]
) -> None:
    write_dataset(place, plan, sources)
    write_dataset(place, replace(plan, seed=9), sources, share=Shard(2, 2), overwrite=True)
    for number in order:
        write_dataset(place, other, sources, share=Shard(number, 2), overwrite=True)
        assert seeds(place) == {3}, "a share replaces nothing"
    done = write_dataset(place, other, sources, overwrite=True)
    assert (done.resumed, seeds(place)) == (5, {4})
    assert list(place.parent.iterdir()) == [place]


def test_a_late_share_of_the_old_plan_is_refused_and_mixes_nothing(
    plan: Plan, sources: Sources, place: Path, other: Plan
) -> None:
    write_dataset(place, plan, sources, share=Shard(1, 2))
    write_dataset(place, other, sources, share=Shard(1, 2), overwrite=True)
    with pytest.raises(MagkitError, match="other settings"):
        write_dataset(place, plan, sources, share=Shard(2, 2))
    write_dataset(place, other, sources, share=Shard(2, 2))
    write_dataset(place, other, sources)
    assert seeds(place) == {4}


def test_plans_that_begin_at_the_same_moment_write_into_folders_of_their_own(
    plan: Plan, sources: Sources, place: Path, other: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # neither sees the other yet
        patch.setattr(writing, "discard_other_work", lambda *_, **__: None)
        for each in (plan, other):
            write_dataset(place, each, sources, share=Shard(1, 2))
        for each in (other, plan):
            write_dataset(place, each, sources, share=Shard(2, 2))
    for each in (plan, other):
        assert len(records(place, each)) == 5
    with pytest.raises(MagkitError, match="other settings"):
        write_dataset(place, plan, sources)
    assert write_dataset(place, plan, sources, overwrite=True).resumed == 5
    assert seeds(place) == {3}


def test_a_data_set_that_appeared_meanwhile_is_not_replaced_unasked(
    plan: Plan, sources: Sources, place: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, theirs = writing._finish, made("tar")

    def late(work: Path, asked: Plan) -> tuple[str, ...]:
        shutil.copytree(theirs, place)
        return finish(work, asked)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_finish", late)
        with pytest.raises(MagkitError, match="exists"):
            write_dataset(place, plan, sources)
    assert contents(place) == contents(theirs)
    assert write_dataset(place, plan, sources, overwrite=True).resumed == 5


def test_killed_between_the_move_and_the_sweep_it_begins_anew(
    plan: Plan, sources: Sources, place: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, "remove_work", stop)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(place, plan, sources)
    assert contents(place) == contents(made("folder"))
    shutil.rmtree(place)
    assert len(records(place, plan)) == 5, "of scenes that are gone"
    assert write_dataset(place, plan, sources).resumed == 0
    assert contents(place) == contents(made("folder"))
    assert list(place.parent.iterdir()) == [place]


def test_a_lock_that_somebody_removed_is_not_believed(tmp_path: Path) -> None:
    with file_lock(tmp_path) as is_there:
        assert is_there()
        (tmp_path / ".lock").unlink()
        assert not is_there()
        with file_lock(tmp_path):
            assert not is_there()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"lines": [3], "unreadable": []}'])
def test_a_damaged_record_is_named(plan: Plan, sources: Sources, place: Path, text: str) -> None:
    write_dataset(place, plan, sources, share=Shard(1, 1000))
    record = work_folder(place, plan) / "records" / "000000.json"
    record.write_text(text)
    with pytest.raises(MagkitError, match=r"000000\.json") as caught:
        write_dataset(place, plan, sources)
    assert "delete it" in caught.value.hint
    record.unlink()
    assert write_dataset(place, plan, sources).resumed == 4


def write_slowly(place: Path, plan: Plan, sources: Sources, gate: Path) -> None:
    """Write the second half of a plan; its last scene waits for the gate."""

    def waiting(plan: Plan, sources: Sources, index: int) -> Any:
        while index == 3 and not gate.exists():
            time.sleep(0.01)
        return encode(plan, sources, index)

    writing.encode = waiting  # type: ignore[attr-defined]
    write_dataset(place, plan, sources, share=Shard(2, 2))


def test_a_process_at_work_ends_well_whatever_others_begin(
    plan: Plan, sources: Sources, place: Path, other: Plan, made: Made
) -> None:
    gate = place.parent / "gate"
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=write_slowly, args=(place, plan, sources, gate))
    process.start()
    try:
        deadline = time.monotonic() + 60
        while "000001.json" not in records(place, plan):
            assert process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for share in (Shard(1, 2), Shard(2, 2), Shard()):
            with pytest.raises(MagkitError, match=HELD):
                write_dataset(place, other, sources, share=share, overwrite=True)
        write_dataset(place, plan, sources, share=Shard(1, 2))
        gate.touch()
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
    assert write_dataset(place, plan, sources).resumed == 5
    assert contents(place) == contents(made("folder"))


def overwrite_share(place: Path, plan: Plan, sources: Sources, number: int, ready: Any) -> None:
    ready.wait(60)
    write_dataset(place, plan, sources, share=Shard(number, 3), overwrite=True)


def test_shares_that_overwrite_at_the_same_moment_all_succeed(
    plan: Plan, sources: Sources, place: Path, other: Plan
) -> None:
    """As torchrun starts them: whoever comes first throws away the old work, the others go on."""
    write_dataset(place, plan, sources, share=Shard(1, 2))
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(3)
    asked = [(place, other, sources, number, ready) for number in (1, 2, 3)]
    processes = [spawn.Process(target=overwrite_share, args=each) for each in asked]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert write_dataset(place, other, sources).resumed == 5
    assert seeds(place) == {4}
    assert list(place.parent.iterdir()) == [place]
