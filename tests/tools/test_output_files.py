"""Two folders of results are told apart by what counts, and by nothing else."""

import json
import runpy
import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import torch
from safetensors.torch import save_file

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def outputs() -> dict[str, Any]:
    return runpy.run_path(str(TOOLS / "output_files.py"))


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    for side in ("old", "new"):
        (tmp_path / side / "frames").mkdir(parents=True)
    return tmp_path / "old", tmp_path / "new"


def write(sides: tuple[Path, Path], name: str, *contents: str) -> None:
    for side, content in zip(sides, contents, strict=True):
        (side / name).write_text(content, encoding="utf-8")


def verdicts(outputs: dict[str, Any], sides: tuple[Path, Path], **renames: Any) -> dict[str, str]:
    found: dict[str, str] = outputs["compare"](*sides, outputs["Renames"](**renames))
    return found


def test_bytes_count(outputs: dict[str, Any], sides: tuple[Path, Path]) -> None:
    write(sides, "frames/0.png", "a", "a")
    write(sides, "frames/1.png", "a", "b")
    (sides[0] / "gone.txt").write_text("gone")
    (sides[1] / "come.txt").write_text("come")
    assert verdicts(outputs, sides) == {
        "come.txt": "only new",
        "frames/0.png": "equal",
        "frames/1.png": "differs",
        "gone.txt": "only old",
    }


def test_names_may_change(outputs: dict[str, Any], sides: tuple[Path, Path]) -> None:
    (sides[0] / "frames" / "0.png").write_text("moved")
    (sides[1] / "0000.png").write_text("moved")
    (sides[0] / "old.txt").write_text("a")
    (sides[1] / "new.txt").write_text("b")
    found = verdicts(outputs, sides, files={r"^old\.": "new."})
    assert found == {"0000.png": "renamed", "new.txt": "differs"}


def test_a_content_is_paired_once(outputs: dict[str, Any], sides: tuple[Path, Path]) -> None:
    (sides[0] / "a").write_text("same")
    for name in ("b", "c"):
        (sides[1] / name).write_text("same")
    assert verdicts(outputs, sides) == {"b": "renamed", "c": "only new"}


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ({"loss": 1.5, "seconds": 3}, {"loss": 1.5, "seconds": 4}, "values equal"),
        ({"loss": 1.5, "seconds": 3}, {"loss": 1.6, "seconds": 3}, "differs"),
        ({"rows": [{"seconds": 1}]}, {"rows": [{"seconds": 2}]}, "values equal"),
        ({"rows": [1, 2]}, {"rows": [2, 1]}, "differs"),
        ({"steps": 1}, {"steps": 1.0}, "differs"),
        ({"steps": 1}, {"steps": True}, "differs"),
        ({"loss": float("nan"), "seconds": 1}, {"loss": float("nan")}, "values equal"),
        ({"lr": 1}, {"learning_rate": 1}, "values equal"),
        ({"lr": 1}, {"learning_rate": 2}, "differs"),
    ],
)
def test_values_of_json_count(
    outputs: dict[str, Any], sides: tuple[Path, Path], old: object, new: object, verdict: str
) -> None:
    write(sides, "report.json", json.dumps(old), json.dumps(new))
    write(sides, "metrics.jsonl", f"{json.dumps(old)}\n" * 2, f"{json.dumps(new)}\n" * 2)
    found = verdicts(outputs, sides, keys={"lr": "learning_rate"})
    assert found == {"metrics.jsonl": verdict, "report.json": verdict}


def test_rows_that_are_missing_count(outputs: dict[str, Any], sides: tuple[Path, Path]) -> None:
    write(sides, "metrics.jsonl", '{"a": 1}\n{"a": 2}\n', '{"a": 1}\n')
    assert verdicts(outputs, sides) == {"metrics.jsonl": "differs"}


@pytest.mark.parametrize(
    ("tensor", "verdict"),
    [
        (torch.tensor([1.0, float("nan")]), "tensors equal"),
        (torch.tensor([1.0, 2.0]), "differs"),
        (torch.tensor([[1.0, float("nan")]]), "differs"),
        (torch.tensor([1.0, float("nan")], dtype=torch.float64), "differs"),
    ],
)
def test_tensors_count(
    outputs: dict[str, Any], sides: tuple[Path, Path], tensor: torch.Tensor, verdict: str
) -> None:
    before, scalar = torch.tensor([1.0, float("nan")]), torch.tensor(3, dtype=torch.bfloat16)
    for side, weight in zip(sides, (before, tensor), strict=True):
        metadata = {"made by": side.name}
        save_file({"weight": weight, "step": scalar}, side / "model.safetensors", metadata)
        state = {"config": metadata, "optimizer": [{"state": (weight, scalar)}]}
        torch.save(state, side / "checkpoint.pt")
    found = verdicts(outputs, sides)
    assert found == {"checkpoint.pt": verdict, "model.safetensors": verdict}


def test_tensors_that_are_missing_count(outputs: dict[str, Any], sides: tuple[Path, Path]) -> None:
    for side, names in zip(sides, ("ab", "a"), strict=True):
        save_file({name: torch.ones(2) for name in names}, side / "model.safetensors")
    assert verdicts(outputs, sides) == {"model.safetensors": "differs"}


def test_what_is_skipped_says_why(outputs: dict[str, Any], sides: tuple[Path, Path]) -> None:
    for side in sides:
        (side / "cache" / "deep").mkdir(parents=True)
    for name in ("cache/deep/1", "run.lock", "frames/events.out.tfevents.1.host"):
        write(sides, name, "a", "b")
    assert verdicts(outputs, sides) == {}
    assert all(outputs["SKIPPED"].values())


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ([], "packets equal"),
        (["-aspect", "1"], "differs"),
        (["-color_range", "pc"], "differs"),
        (["-output_ts_offset", "1"], "differs"),
        (["-frames:v", "4"], "differs"),
    ],
)
def test_random_numbers_of_matroska_do_not_count(
    outputs: dict[str, Any], sides: tuple[Path, Path], options: list[str], verdict: str
) -> None:
    source = ["-f", "lavfi", "-i", "testsrc2=s=32x16:r=10:d=0.5", "-c:v", "ffv1"]
    for side, more in zip(sides, ([], options), strict=True):
        line = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *more]
        subprocess.run([*line, str(side / "out.mkv")], check=True)
    assert (sides[0] / "out.mkv").read_bytes() != (sides[1] / "out.mkv").read_bytes()
    assert verdicts(outputs, sides) == {"out.mkv": verdict}
