"""Which folder a training is given: a new one, or that of the newest equal one."""

import json
import multiprocessing
from pathlib import Path

import pytest

from magkit.errors import MagkitError
from magkit.runtime.files import file_lock
from magkit.training.checkpoint import extend_run
from magkit.training.metrics import MetricsLog, read_metrics
from magkit.training.run import Run, open_run, renamed_settings

CONFIG: dict[str, object] = {"settings": {"lr": 0.1, "factors": (2.0, 100.0)}, "data": None}
OTHER: dict[str, object] = {"settings": {"lr": 0.2, "factors": (2.0, 100.0)}, "data": None}


def opened(tmp_path: Path, config: dict[str, object] = CONFIG, **how: object) -> Run:
    return open_run("finetune", config, made_with={"torch": "1"}, root=tmp_path, **how)  # type: ignore[arg-type]


def test_numbers_count_up_and_equal_unfinished_runs_are_continued(tmp_path: Path) -> None:
    first = opened(tmp_path)
    assert first.folder == tmp_path / "finetune-001"
    assert opened(tmp_path).folder == first.folder
    second = opened(tmp_path, OTHER)
    assert second.folder == tmp_path / "finetune-002"
    assert opened(tmp_path).folder == first.folder
    third = opened(tmp_path, new=True)
    assert third.folder == tmp_path / "finetune-003"
    assert opened(tmp_path).folder == third.folder
    third.model.write_bytes(b"weights")
    assert opened(tmp_path).folder == first.folder
    first.model.write_bytes(b"weights")
    assert opened(tmp_path).folder == tmp_path / "finetune-004"


def test_versions_are_recorded_and_not_compared(tmp_path: Path) -> None:
    first = opened(tmp_path)
    record = json.loads((first.folder / "config.json").read_text())
    assert record["made_with"] == {"torch": "1"}
    again = open_run("finetune", CONFIG, made_with={"torch": "2"}, root=tmp_path)
    assert again.folder == first.folder


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_record_may_have_been_saved_by_an_editor(tmp_path: Path, encoding: str) -> None:
    first = opened(tmp_path)
    path = first.folder / "config.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text, encoding=encoding)
    assert opened(tmp_path).folder == first.folder
    path.write_text(text.replace(",", "", 1), encoding=encoding)
    with pytest.raises(MagkitError, match=r"config\.json is not JSON: .* line 3 "):
        opened(tmp_path, output=first.folder)


def test_other_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("finetune-x", "finetune-007", "finetune-2b", "pretrain-009"):
        (tmp_path / name).mkdir()
    (tmp_path / "finetune-007" / "config.json").write_text("{")
    (tmp_path / "finetune-900").write_text("a file")
    assert opened(tmp_path).folder == tmp_path / "finetune-901"
    assert opened(tmp_path).folder == tmp_path / "finetune-901"


def test_a_run_that_is_asked_for_by_its_folder(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "run"
    run = opened(tmp_path, output=output)
    assert run.folder == output
    assert opened(tmp_path, output=output).folder == output
    with pytest.raises(MagkitError, match=r"settings\.lr is 0\.1 there, 0\.2 here"):
        opened(tmp_path, OTHER, output=output)
    with pytest.raises(MagkitError, match="exists"):
        opened(tmp_path, output=output, new=True)
    run.model.write_bytes(b"weights")
    with pytest.raises(MagkitError, match="finished"):
        opened(tmp_path, output=output)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert opened(tmp_path, output=empty).folder == empty


def test_folders_that_are_something_else_stay_as_they_are(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    (album / "picture.jpg").write_bytes(b"jpeg")
    with pytest.raises(MagkitError, match="exists and is no run"):
        opened(tmp_path, output=album)
    assert [path.name for path in album.iterdir()] == ["picture.jpg"]
    (album / "config.json").write_text('{"name": "another program"}')
    with pytest.raises(MagkitError, match="is not the configuration of a run"):
        opened(tmp_path, output=album)
    file = tmp_path / "file"
    file.write_text("text")
    with pytest.raises(MagkitError, match="exists and is no run"):
        opened(tmp_path, output=file)
    with pytest.raises(MagkitError, match="can't be made"):
        opened(tmp_path, output=file / "run")
    with pytest.raises(MagkitError, match="can't be made"):
        open_run("finetune", CONFIG, made_with={}, root=file)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"kind": "finetune", "format": 1}', "\xff"]
)
def test_a_configuration_that_nobody_wrote(tmp_path: Path, text: str) -> None:
    path = opened(tmp_path).folder / "config.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(MagkitError, match=r"config\.json is not"):
        opened(tmp_path, output=path.parent)
    assert opened(tmp_path).folder == tmp_path / "finetune-002"


def test_a_configuration_that_an_editor_saved_is_read(tmp_path: Path) -> None:
    path = opened(tmp_path).folder / "config.json"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(json.dumps(json.loads(path.read_bytes())).encode(encoding))
        assert opened(tmp_path).folder == path.parent


@pytest.mark.parametrize(
    ("change", "words"),
    [({"kind": "pretrain"}, "a run of 'pretrain'"), ({"format": 99}, "format 99")],
    ids=["method", "version"],
)
def test_runs_of_another_method_or_version(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = opened(tmp_path).folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(MagkitError, match=words):
        opened(tmp_path, output=path.parent)
    assert opened(tmp_path).folder == tmp_path / "finetune-002"


def test_what_a_killed_process_left_half_written_is_swept_away(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.samples.mkdir()
    kept = [run.folder / "checkpoint-4.pt", run.samples / "step-000004.png", run.folder / ".lock"]
    half = [run.folder / ".checkpoint-6-0123abcd.pt", run.samples / ".step-000006-0123abcd.png"]
    for path in kept + half:
        path.write_bytes(b"")
    run.remove_temporary()
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in half)


def try_lock(folder: str) -> str:
    try:
        with file_lock(Path(folder)):
            return "held"
    except MagkitError as error:
        return error.message


def test_two_processes_never_train_in_one_folder(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with file_lock(tmp_path):
            assert pool.apply(try_lock, (str(tmp_path),)) == (
                f"another process is training in {tmp_path}"
            )
        assert pool.apply(try_lock, (str(tmp_path),)) == "held"


def test_metrics_beyond_the_checkpoint_are_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path, 0) as log:
        for step in range(1, 6):
            log.write(step, {"loss": step / 10})
        log.write(6, {"loss": float("nan"), "gradient": float("inf")})
    assert read_metrics(path)[-1] == {"step": 6, "loss": None, "gradient": None}
    with path.open("a") as file:
        file.write('{"step": 7, "lo')
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3, 4, 5, 6]
    for damaged in ('{"step": "8"}', "[1]", "null", '{"step": 8, "loss": "x"}', "[" * 100_000):
        with path.open("a") as file:
            file.write(damaged + "\n")
    with path.open("a") as file:
        file.write('{"step": 8, "loss": NaN}\n{"step": 9, "loss": 1%s}\n' % ("0" * 400))
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3, 4, 5, 6, 8]
    assert read_metrics(path)[-1]["loss"] is None
    with MetricsLog(path, 3) as log:
        log.write(4, {"loss": 9.0})
    assert [(x["step"], x["loss"]) for x in read_metrics(path)] == [
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
        (4, 9.0),
    ]


def test_a_run_of_magkit_0_1_is_resumed_and_extended(tmp_path: Path) -> None:
    """Its configuration names a setting as that version did."""
    settings = {"steps": 10, "lr": 0.1, "final": 0.01}
    record = {"kind": "finetune", "format": 1, "config": {"settings": settings}, "made_with": {}}
    folder = tmp_path / "finetune-001"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(record))
    config: dict[str, object] = {"settings": {"steps": 10, "lr": 0.1, "final_lr_ratio": 0.01}}
    assert opened(tmp_path, config, upgrade=renamed_settings).folder == folder
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "checkpoint-10.pt").write_bytes(b"state")
    more: dict[str, object] = {"settings": {"steps": 20, "lr": 0.1, "final_lr_ratio": 0.01}}
    run = opened(tmp_path, more, extendable=True, upgrade=renamed_settings)
    assert (run.folder, run.extended_from) == (folder, 10)
    extend_run(run, 10)
    assert json.loads((folder / "config.json").read_text())["config"] == more
