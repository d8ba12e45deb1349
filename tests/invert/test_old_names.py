"""Settings under the names of magkit 0.1: in jobs, and in the records of their runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magkit.errors import UsageError
from magkit.invert.job import Job, invert
from magkit.invert.load_job import load_job
from magkit.invert.plan import ClipPlan
from magkit.invert.settings import RENAMED, current_names, make_settings, parse_sweep
from magkit.runtime.shard import Shard

Small = Callable[..., Job]


def age(run: Path) -> None:
    """Records a run as magkit 0.1 did."""
    old = {new: name for name, new in RENAMED.items()}
    record = json.loads((run / "config.json").read_text())
    for clip in record["config"]["clips"].values():
        tables = [clip["settings"], *clip["own"].values()]
        for table in tables:
            for key in [key for key in table if key in old]:
                table[old[key]] = table.pop(key)
    (run / "config.json").write_text(json.dumps(record))


@pytest.mark.parametrize("old", RENAMED)
def test_old_names_mean_the_new_ones(old: str) -> None:
    value = 1 if old != "final" else 0.5
    assert make_settings("fast", {old: value}) == make_settings("fast", {RENAMED[old]: value})
    with pytest.raises(UsageError, match=RENAMED[old]):
        current_names({old: 1, RENAMED[old]: 1})
    assert parse_sweep([f"{old}=1,2"]) == {old: ["1", "2"]}


def test_old_names_are_noted_once(
    small: Small, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    job = small({}, frames="first", tables={"bear": {"warm": 1, "frames": {"0": {"warm": 2}}}})
    invert(job, output=tmp_path / "run")
    noted = [text for text in log.messages if "'warm'" in text]
    assert len(noted) == 1
    assert "'warm_steps'" in noted[0]


@pytest.mark.parametrize("found", [True, False])
def test_a_run_of_old_names_is_resumed_and_judged(
    small: Small,
    moving: Path,
    weights: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    found: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs/invert-001")
    tables: dict[str, Any] = {"bear": {"frames": {"1": {"warm_steps": 2}}}}
    job = small(frames="0-2", tables=tables)
    run.parent.mkdir()
    invert(job, output=run, share=Shard(2, 2))
    age(run)
    recorded = (run / "config.json").read_bytes()
    assert b'"warm"' in recorded
    done = invert(job, output=None if found else run)
    assert (done.run.folder, done.complete) == (run, True)
    assert done.written == 1
    assert (run / "config.json").read_bytes() == recorded
    _, (plan,), _ = load_job(run, moving, [weights["target"]])
    assert isinstance(plan, ClipPlan)
    assert plan == done.plans[0]
    assert plan.settings_of(1).warm_steps == 2


def test_an_old_sweep_keeps_its_folders(small: Small, tmp_path: Path) -> None:
    done = invert(small(frames="first", sweep={"warm": ["1", "2"]}), output=tmp_path / "run")
    assert [plan.name for plan in done.plans] == ["warm=1/bear", "warm=2/bear"]
    assert [plan.settings.warm_steps for plan in done.plans] == [1, 2]
