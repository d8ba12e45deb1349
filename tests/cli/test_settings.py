"""defaults < --config file < MAGKIT_* < flags, for every option of every command."""

import os
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

import magkit.cli.app
from magkit.cli import run
from magkit.cli.command import add, group
from magkit.cli.options import Device, MagnifierName, Opt, Overwrite, Seed, Threads
from magkit.cli.output import Output

Settings = dict[str, Any]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the command `work` was called with the last time."""
    called: Settings = {}

    def work(
        out: Output,
        paths: Annotated[list[Path], typer.Argument()],
        *,
        factor: float = 10.0,
        capture_fps: float | None = None,
        magnifier: MagnifierName = "magnet-fast",
        opt: Opt = None,
        threads: Threads = None,
        seed: Seed = 0,
        device: Device = "auto",
        overwrite: Overwrite = False,
        kind: Annotated[list[str] | None, typer.Option("--class")] = None,
    ) -> None:
        """Work."""
        called.update(
            paths=paths, factor=factor, capture_fps=capture_fps, opt=opt, threads=threads,
            overwrite=overwrite, quiet=out.quiet, json=out.json, magnifier=magnifier,
            kind=kind, told=os.environ.get("MAGKIT_QUIET"),
        )  # fmt: skip

    app = group("Works.")
    app.callback()(lambda: None)
    add(app, work)
    monkeypatch.setattr(magkit.cli.app, "app", app)
    return called


def config(folder: Path, text: str) -> str:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults(seen: Settings) -> None:
    assert run(["work", "a", "b"]) == 0
    assert seen["paths"] == [Path("a"), Path("b")]
    assert (seen["factor"], seen["capture_fps"], seen["magnifier"]) == (10.0, None, "magnet-fast")
    assert not any(seen[key] for key in ("opt", "quiet", "json", "overwrite"))


def test_each_layer_outdoes_the_one_below(
    seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(tmp_path, "factor = 2\ncapture-fps = 250\noverwrite = true\nquiet = true\n")
    assert run(["work", "a", "--config", file]) == 0
    assert (seen["factor"], seen["capture_fps"]) == (2.0, 250.0)
    assert (seen["overwrite"], seen["quiet"]) == (True, True)
    monkeypatch.setenv("MAGKIT_FACTOR", "3")
    assert run(["work", "a", "--config", file]) == 0
    assert (seen["factor"], seen["capture_fps"]) == (3.0, 250.0)
    assert run(["work", "a", "--factor", "4", "--config", file]) == 0
    assert (seen["factor"], seen["capture_fps"]) == (4.0, 250.0)


def test_the_file_can_be_named_by_the_environment(
    seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGKIT_CONFIG", config(tmp_path, "threads = 2\n"))
    monkeypatch.setenv("MAGKIT_JSON", "1")
    assert run(["work", "a"]) == 0
    assert (seen["threads"], seen["json"]) == (2, True)


@pytest.mark.parametrize("text", ['opt = ["a=1", "b=x"]', "[opt]\na = 1\nb = 'x'"])
def test_plugin_options_of_file_and_flags_add_up(seen: Settings, tmp_path: Path, text: str) -> None:
    file = config(tmp_path, text)
    assert run(["work", "a", "--config", file]) == 0
    assert seen["opt"][-2:] == ["a=1", "b=x"]
    assert run(["work", "a", "--config", file, "--opt", "b=y", "--opt", "c=2"]) == 0
    assert seen["opt"] == ["a=1", "b=x", "b=y", "c=2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fctor = 2", "work has no option 'fctor'\n  hint: did you mean 'factor'?"),
        ("factor = [1, 2]", "'factor' takes one value, not [1, 2]"),
        ("factor = 'big'", "'--factor'"),
        ("factor =", "is not TOML"),
        ("config = 'other.toml'", "work has no option 'config'"),
        ("threads = 0", "'--threads'"),
    ],
)
def test_a_wrong_file_is_a_wrong_use(
    seen: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    assert run(["work", "a", "--config", config(tmp_path, text)]) == 2
    assert words in capsys.readouterr().err
    assert not seen


def test_a_file_that_is_not_there(seen: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["work", "a", "--config", "nowhere.toml"]) == 2
    assert "'nowhere.toml' can't be read" in capsys.readouterr().err
    assert not seen


def test_help_lists_the_options_of_what_was_chosen(
    seen: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["work", "--magnifier", "magnet-fast", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--opt of the magnifier magnet-fast" in shown
    assert "--config" in shown
    assert run(["work", "--magnifier", "magnt", "--help"]) == 2
    assert "did you mean 'magnet'?" in capsys.readouterr().err
    assert not seen


def test_help_lists_what_the_target_can_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["invert", "--target", "maskrcnn-small=0.5", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--opt of the target maskrcnn-small" in shown
    assert "--shard" in shown
    assert run(["invert", "--target", "segmenter", "--help"]) == 0
    assert "--opt of" not in capsys.readouterr().out
    assert run(["invert", "--help"]) == 0
    assert "--opt of the target maskrcnn-small" in capsys.readouterr().out


def test_an_option_is_called_as_its_flag_is(
    seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["work", "a", "--config", config(tmp_path, 'class = ["dog", "cow"]')]) == 0
    assert seen["kind"] == ["dog", "cow"]
    monkeypatch.setenv("MAGKIT_CLASS", "bear")
    assert run(["work", "a"]) == 0
    assert seen["kind"] == ["bear"]
    assert run(["work", "a", "--config", config(tmp_path, 'kind = "dog"')]) == 2


@pytest.mark.parametrize("how", ["flag", "file", "variable", "unset"])
def test_plugins_are_told_of_quiet_by_its_variable(
    seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    given = {"flag": ["-q"], "file": ["--config", config(tmp_path, "quiet = true")]}.get(how, [])
    if how == "variable":
        monkeypatch.setenv("MAGKIT_QUIET", "yes")
    before = os.environ.get("MAGKIT_QUIET")
    assert run(["work", "a", *given]) == 0
    assert seen["told"] == ("0" if how == "unset" else "1")
    assert os.environ.get("MAGKIT_QUIET") == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_as_windows_saves_it(seen: Settings, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('factor = 2\nmagnifier = "é"\n', encoding=encoding)
    assert run(["work", "a", "--config", str(path)]) == 0
    assert (seen["factor"], seen["magnifier"]) == (2.0, "é")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_told_with_the_file(
    seen: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    file = config(tmp_path, f"factor = {value}")
    assert run(["work", "a", "--config", file]) == 2
    assert f"'{file}': 'factor' must be a number, not {value}" in capsys.readouterr().err
    assert not seen
