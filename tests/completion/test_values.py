"""What `magkit _values` prints, and how little it needs for it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from magkit.cli.app import app
from magkit.completion.cache import load_table
from magkit.completion.commands import Command
from magkit.completion.sources import MAX_AGE_BROKEN, chosen, plugin_table
from magkit.completion.values import MAX_DESCRIPTION, complete, main, plain, values
from magkit.plugins import registry

Magkit = Callable[..., "subprocess.CompletedProcess[str]"]
METHOD = """
    from dataclasses import dataclass
    from typing import Literal
    from magkit import MethodSpec, Preset, hookimpl

    @dataclass(frozen=True)
    class Config:
        kind: Literal["a", "b"] = "a"
        on: bool = True
        limit: int | None = None
        pair: tuple[Literal["x", "y"], int] = ("x", 1)

    @hookimpl
    def magkit_methods():
        summary = "two\\nlines \\x1b[31m " + "long " * 50
        presets = {"mild": Preset(why="so")}
        return [
            MethodSpec(name="sole", summary=summary, config=Config, build=None, presets=presets)
        ]
"""
BROKEN = "import sys; print('loud'); print('louder', file=sys.stderr); 1 / 0"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test begins with an empty cache, in a process that has loaded no plugins."""
    monkeypatch.setenv("MAGKIT_CACHE", str(tmp_path / "cache"))
    registry.cache_clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def names(*arguments: str) -> list[str]:
    return [value for value, _ in values(arguments)]


RUN = {"ask": ["runs", "pretrain"], "paths": "files"}
FORCE = {"flags": ["--force"], "help": "F", "values": None, "repeats": False}
TREE = {
    "help": "",
    "arguments": [],
    "options": [{"flags": ["--version"], "help": "V", "values": None, "repeats": False}],
    "commands": {
        "make": {
            "help": "Makes it",
            "arguments": [
                {"name": "KIND", "values": {"words": ["one", "two"]}, "repeats": False},
                {"name": "FILE", "values": {"paths": "files"}, "repeats": True},
            ],
            "options": [
                {"flags": ["--quick", "-q"], "help": "Q", "values": None, "repeats": False},
                {"flags": ["--name"], "help": "N", "values": {"words": ["a"]}, "repeats": False},
                {"flags": ["--run"], "help": "R", "values": RUN, "repeats": True},
            ],
            "commands": {},
        },
        "list": {"help": "L", "arguments": [], "options": [FORCE], "commands": {}},
    },
}


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("magkit ", [("make", "Makes it"), ("list", "L")]),
        ("magkit --", [("--version", "V")]),
        ("magkit --version ", [("make", "Makes it"), ("list", "L")]),
        ("magkit other ", []),
        ("magkit make ", [("one", ""), ("two", "")]),
        ("magkit make --name a ", [("one", ""), ("two", "")]),
        ("magkit make one ", [("", "files")]),
        ("magkit make one a b ", [("", "files")]),
        ("magkit make --name ", [("a", "")]),
        ("magkit make --name=", [("a", "")]),
        ("magkit make --name=a ", [("one", ""), ("two", "")]),
        ("magkit make --none=", []),
        ("magkit make --quick=", []),
        # No run is there to be listed.
        ("magkit make --run ", [("", "files")]),
        ("magkit make -", [("--quick", "Q"), ("-q", "Q"), ("--name", "N"), ("--run", "R")]),
        ("magkit make -q --run x --name y -", [("--run", "R")]),
        ("magkit list ", [("--force", "F")]),
        ("magkit list word", []),
    ],
)
def test_any_place_of_a_line(here: Path, line: str, rows: list[tuple[str, str]]) -> None:
    assert list(complete(line.split(" "), cast("Command", TREE))) == rows


def test_the_tree_of_commands_is_cached() -> None:
    calls = []

    def root() -> Any:
        calls.append(1)
        return typer.main.get_command(app)

    arguments = ["--", "magkit", "pre"]
    first, second = list(values(arguments, root)), list(values(arguments, root))
    assert first == second
    summary = "Train a magnifier's encoder on frames without labels, or all of it on clips"
    assert ("pretrain", summary) in first
    assert calls == [1]


def test_names_are_the_registrys() -> None:
    assert names("methods") == ["moco", "byol", "scrl", "warp", "photometric"]
    assert names("targets")[:2] == ["maskrcnn-small", "maskrcnn"]
    assert names("magnifiers") == ["magnet-fast", "magnet", "linear", "phase", "colour"]
    assert names("weights") == ["magnet-fast"]
    assert dict(values(["methods"]))["moco"].endswith("(MoCo v2)")


def test_options_are_those_of_what_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("options", "method", "--method", "--")
    assert "queue=" in names(*asked, "magkit", "pretrain", "--method", "moco", "--opt", "")
    assert "boxes=" in names(*asked, "magkit", "pretrain", "--method=scrl", "--opt", "t")
    rows = dict(values([*asked, "--method", "moco", "--opt", ""]))
    assert rows["queue="] == "keys that are kept as negatives [65536]"
    with pytest.raises(KeyError):
        names(*asked, "magkit", "pretrain", "--opt", "")
    monkeypatch.setenv("MAGKIT_METHOD", "scrl")
    assert "boxes=" in names(*asked, "magkit", "pretrain", "--opt", "")


def test_of_a_target_with_a_weight() -> None:
    asked = ("options", "target", "--target", "maskrcnn-small", "--", "magkit", "invert")
    assert "rois=" in names(*asked, "--opt", "")
    assert "rois=" in names(*asked, "--target", "maskrcnn=0.5", "--opt", "")


def test_options_are_those_of_the_first_of_two_targets() -> None:
    asked = ("options", "target", "--target", "maskrcnn-small", "--", "magkit", "invert")
    one, other = ("--target", "segmenter"), ("--target=maskrcnn=0.5",)
    of_one, of_other = names(*asked, *one, "--opt", ""), names(*asked, *other, "--opt", "")
    assert of_one != of_other
    assert names(*asked, *one, *other, "--opt", "") == of_one
    assert names(*asked, *other, *one, "--opt", "") == of_other


def test_values_of_a_key_that_is_typed(site: Any) -> None:
    site.install("magkit-sole", METHOD)
    asked = ("options", "method", "--method", "--", "--method", "sole")
    assert names(*asked, "--opt", "") == ["kind=", "on=", "limit=", "pair="]
    assert names(*asked, "--opt", "kind=") == ["kind=a", "kind=b"]
    assert names(*asked, "--opt=on=t") == ["on=true", "on=false"]
    assert names(*asked, "--opt", "limit=") == ["limit=none"]
    assert names(*asked, "--opt", "pair=") == []
    assert names(*asked, "--opt", "none=") == []


def test_presets_of_the_method_or_of_any(site: Any) -> None:
    site.install("magkit-sole", METHOD)
    asked = ("presets", "--method", "--", "magkit", "pretrain")
    assert names(*asked, "--method", "sole", "--preset", "") == ["mild"]
    of_any = names(*asked, "--preset", "")
    assert {"small", "paper", "mild"} <= set(of_any)
    assert len(of_any) == len(set(of_any))


def test_settings_by_command() -> None:
    for command, setting in (("pretrain", "jitter"), ("finetune", "clip"), ("invert", "plateau")):
        assert f"{setting}=" in names("settings", command, "--", "")
    assert names("settings", "invert", "--", "start=") != []


def test_remarks_are_short_and_on_one_line(site: Any, capfdbinary: Any) -> None:
    site.install("magkit-sole", METHOD)
    assert main(["methods"]) == 0
    line = capfdbinary.readouterr().out.decode().splitlines()[-1]
    assert line.startswith("sole\ttwo lines  [31m long long")
    assert len(line) == len("sole\t") + MAX_DESCRIPTION
    assert line.endswith("...")


def test_videos_of_davis_wherever_it_lies(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("DAVIS", "else where", "named"):
        (here / root / "Annotations" / "480p" / f"of {root}").mkdir(parents=True)
    (here / "DAVIS" / "Annotations" / "480p" / "line\nbreak").mkdir()
    (here / "DAVIS" / "Annotations" / "480p" / "a file").touch()
    assert names("videos") == ["of DAVIS"]
    assert names("videos", "--", "--davis", "'else where'", "--video", "") == ["of else where"]
    monkeypatch.setenv("PLACE", str(here))
    assert names("videos", "--", "--davis=$PLACE/named", "--video", "") == ["of named"]
    monkeypatch.setenv("MAGKIT_DAVIS", "named")
    assert names("videos", "--", "--video", "") == ["of named"]
    assert main(["videos", "--", "--davis", "nowhere", "--video", ""]) == 1


def test_runs_of_a_kind_that_are_finished(here: Path) -> None:
    def made(name: str, record: str, *results: str) -> None:
        folder = here / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(record, encoding="utf-8")
        for result in results:
            (folder / result).touch()

    assert main(["runs", "pretrain"]) == 1
    made("pretrain-001", '{"kind": "pretrain"}', "model.safetensors")
    made("pretrain-002", '{"kind": "pretrain"}')
    made("mine", '{"kind": "pretrain"}', "model.safetensors")
    made("finetune-001", '{"kind": "finetune"}', "model.safetensors")
    made("invert-001", '{"kind": "invert"}', "report.json")
    for number, record in enumerate(("", "[1]", "{", '{"kind": []}', " " * (1 << 20) + "{}")):
        made(f"odd-{number}", record, "model.safetensors")
    (here / "runs" / "loose").touch()
    assert names("runs", "pretrain") == ["runs/mine", "runs/pretrain-001"]
    assert names("runs", "invert") == ["runs/invert-001"]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["options"], ["settings", "x", "--", ""]])
def test_what_has_no_answer_says_nothing(arguments: list[str], capfd: Any) -> None:
    assert main(arguments) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("plain", "plain"),
        ("'a b'", "a b"),
        ('"a b', "a b"),
        ("a\\ b", "a b"),
        ("it\\'s", "it's"),
        ("'", ""),
        # As PowerShell hands on an empty word.
        ('""', ""),
        ("", ""),
        ("a b", "a b"),
        ("it's", "it's"),
        ("\\", "\\"),
        ("$(touch pwned)", "$(touch pwned)"),
    ],
)
def test_words_lose_what_the_shell_left(word: str, meant: str) -> None:
    assert plain(word) == meant


@given(st.text())
def test_any_word_is_read(word: str) -> None:
    assert isinstance(plain(word), str)


def test_the_last_of_a_flag_counts() -> None:
    words = ["magkit", "--method", "a", "--method=b", "--method", "c", "--opt", ""]
    assert chosen(words, "--method", "d") == "c"
    assert chosen(words[:4] + words[-2:], "--method", "d") == "b"
    assert chosen(["magkit", "--opt", ""], "--method", "d") == "d"
    # What is being typed has not been chosen yet.
    assert chosen(["magkit", "--method", "a"], "--method", "d") == "d"


def test_a_broken_plugin_is_not_heard_of(site: Any, magkit: Magkit) -> None:
    site.install("magkit-broken", BROKEN)
    site.install("magkit-sole", METHOD)
    done = magkit("_values", "methods", env={**site.env, "MAGKIT_STRICT_PLUGINS": "1"})
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()][-1] == "sole"
    assert "loud" not in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_beside_a_broken_plugin_tables_are_valid_for_a_minute(site: Any, tmp_path: Path) -> None:
    site.install("magkit-broken", BROKEN)
    table = json.loads(json.dumps(plugin_table()))
    (file,) = (tmp_path / "cache").iterdir()
    for age, believed in ((MAX_AGE_BROKEN - 20, table), (MAX_AGE_BROKEN + 1, None)):
        os.utime(file, (time.time() - age, time.time() - age))
        assert load_table("plugins") == believed


def test_what_cannot_be_shown_takes_nothing_with_it(site: Any) -> None:
    site.install("magkit-odd", METHOD.replace("on: bool", "on: 'Gone'"))
    assert names("methods") == ["moco", "byol", "scrl", "warp", "photometric"]


def loaded(site: Any, *arguments: str) -> set[str]:
    """The modules of a process that was asked for values, with plugins installed."""
    script = (
        f"import sys; sys.argv[1:] = {['_values', *arguments]!r}\n"
        "from magkit.cli import main\n"
        "import json\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **site.env},
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


HEAVY = {"torch", "torchvision", "numpy", "scipy", "PIL", "imageio", "pycocotools", "safetensors"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["methods"],
        ["settings", "invert", "--", ""],
        ["videos", "--", "--davis", "DAVIS", ""],
        ["--", "magkit", "invert", "--opt", ""],
    ],
    ids=lambda arguments: arguments[0],
)
def test_it_needs_next_to_nothing(
    site: Any, here: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "DAVIS" / "Annotations" / "480p" / "bear").mkdir(parents=True)
    site.install("magkit-sole", METHOD)
    # And what else is installed here.
    monkeypatch.delenv("MAGKIT_PLUGINS")
    first, second = loaded(site, *arguments), loaded(site, *arguments)
    # The tree of commands is made by importing them.
    assert not first & ({*HEAVY, "rich"} if arguments[0] == "--" else {*HEAVY, "typer", "rich"})
    # Once it is cached, no plugin is even looked for.
    assert not second & {*HEAVY, "typer", "rich", "pluggy", "importlib.metadata", "magkit.plugins"}


def test_help_needs_no_torch_and_draws_no_frames(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAGKIT_PLUGINS")
    script = (
        "from magkit.cli import run; import json, sys; run(['--help'])\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert not modules & {*HEAVY, "typer.rich_utils", "rich.console", "importlib.metadata"}
