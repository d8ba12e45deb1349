"""The guide to writing plugins: its listings are a package that installs, trains and conforms."""

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from magkit.cli import run
from magkit.plugins import registry
from magkit.specs import MapInfo

Run = Callable[..., "subprocess.CompletedProcess[str]"]

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"
TINY = (
    "--scenes 8 --steps 2 --batch 4 --size 32 --train frame=40 --workers 0 --threads 1 --device cpu"
    " --magnifier-opt stem=8 --magnifier-opt width=8 --magnifier-opt hidden=8"
)


def listings() -> Iterator[tuple[str, str]]:
    """The names of files, and what stands in them."""
    text = GUIDE.read_text(encoding="utf-8")
    named = r"^<!-- file: (\S+) -->\n```\w+\n(.*?\n)```$"
    yield from re.findall(named, text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader has written the files."""
    folder = tmp_path_factory.mktemp("reader")
    for name, text in listings():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "magkit-twins/magkit_twins/__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def site(folder: Path, pip_install: Callable[..., None]) -> Path:
    """Where they are installed."""
    pip_install([folder / "magkit-twins"], folder / "site")
    return folder / "site"


def lines_of_code(text: str) -> int:
    """Lines that are not empty, nor comments, nor docstrings."""
    quiet = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in quiet
        for number, line in enumerate(text.splitlines(), 1)
    )


def test_two_files_and_under_60_lines_of_code() -> None:
    package = {name: text for name, text in listings() if "/magkit_twins/" in name}
    assert list(package) == [f"magkit-twins/magkit_twins/{f}.py" for f in ("spec", "method")]
    assert sum(map(lines_of_code, package.values())) < 60


@pytest.fixture
def inside(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets this process find it, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("MAGKIT_PLUGINS", "twins")
    registry.cache_clear()
    yield
    registry.cache_clear()


def test_it_is_listed_helps_and_trains(inside: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugins", "--json"]) == 0
    listed = capsys.readouterr()
    assert listed.err == ""
    (plugin,) = [p for p in json.loads(listed.out)["plugins"] if p["name"] == "twins"]
    assert (plugin["state"], plugin["version"]) == ("ok", "0.1.0")
    assert plugin["provides"] == [{"kind": "method", "name": "twins"}]
    assert plugin["remarks"] == []

    method = ["pretrain", "--method", "twins"]
    assert run([*method, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "dim (int)" in shown
    assert "weight of the second term" in shown

    assert run([*method, *TINY.split(), "--opt", "dim=8", "-o", "run", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["steps"] == 2
    assert {"texture_agreement", "motion_redundancy"} <= set(trained["metrics"])
    assert Path("run/model.safetensors").is_file()


@pytest.mark.slow
def test_its_own_tests_pass(site: Path, folder: Path, python: Run) -> None:
    done = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder / "magkit-twins")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d\d passed", done.stdout, flags=re.MULTILINE)


def test_its_loss_is_the_paper_s(inside: None) -> None:
    spec = registry().method("twins")
    torch.manual_seed(0)
    maps = MapInfo(channels=5, stride=2, centre=1.0)
    method: Any = spec.build(spec.config(dim=6), maps)
    pair = [torch.randn(7, 5, 4, 3) for _ in range(2)]
    found = method.loss((), pair, ())
    one, two = (method.embed(each).detach().double().numpy() for each in pair)
    # Equations 1 and 2, number by number, of the embeddings, whose means are 0.
    agreement = redundancy = 0.0
    for i in range(6):
        for j in range(6):
            lengths = np.sqrt((one[:, i] ** 2).sum() * (two[:, j] ** 2).sum())
            c = (one[:, i] * two[:, j]).sum() / lengths
            agreement += (1 - c) ** 2 if i == j else 0.0
            redundancy += 0.0 if i == j else 0.005 * c**2
    assert found["agreement"].item() == pytest.approx(agreement, rel=1e-3)
    assert found["redundancy"].item() == pytest.approx(redundancy, rel=1e-3)
