"""Plugins that are rude, broken or at odds, installed all at once."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SOUND = """
from dataclasses import dataclass
from magkit import MethodSpec, hookimpl

@dataclass(frozen=True)
class Config:
    size: int = 3

def build(config, maps):
    raise AssertionError("nothing is built to list and to help")

def spec(name, **more):
    return MethodSpec(name=name, summary="Mine.", config=Config, build=build, **more)

@hookimpl
def magkit_methods():
    return [spec("NAME")]
"""


def giving(hook: str, before: str = "") -> str:
    """A plugin with another hook, and what runs before anything else."""
    return before + SOUND[: SOUND.index("@hookimpl")] + hook


BROKEN = {
    "magkit-unimportable": ("import no_such_module", "ModuleNotFoundError: No module named"),
    "magkit-unreadable": ("def", "SyntaxError"),
    "magkit-exits": ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
    "magkit-odd": ("class Odd(BaseException): pass\nraise Odd('bye')", "Odd: bye"),
    "magkit-raises": (
        giving("@hookimpl\ndef magkit_methods():\n    raise KeyError('gone')\n"),
        "KeyError: 'gone'",
    ),
    "magkit-twice": (
        giving("@hookimpl\ndef magkit_methods():\n    return [spec('a'), spec('a')]\n"),
        "it registers the method 'a' twice",
    ),
    "magkit-future": (
        giving("@hookimpl\ndef magkit_methods():\n    return [spec('a', api=9)]\n"),
        "'a' is written for version 9 of the plugin interface, and this magkit has version 1",
    ),
    "magkit-stranger": (
        giving("@hookimpl\ndef magkit_metods():\n    return [spec('a')]\n"),
        "magkit has no hook 'magkit_metods'; did you mean 'magkit_methods'?",
    ),
    "magkit-lonely": (
        giving("@hookimpl\ndef magkit_methods():\n    return spec('a')\n"),
        "magkit_methods gives a MethodSpec in place of a list of MethodSpec",
    ),
}
RUDE = {
    "magkit-shadow": (
        SOUND.replace("NAME", "moco"),
        "magkit itself has a method 'moco' too: ask for 'magkit-shadow/moco'",
    ),
    "magkit-one": (
        SOUND.replace("NAME", "shared"),
        "magkit-two 2.1 has a method 'shared' too: ask for 'magkit-one/shared'",
    ),
    "magkit-two": (
        SOUND.replace("NAME", "shared"),
        "magkit-one 2.1 has a method 'shared' too: ask for 'magkit-two/shared'",
    ),
    "magkit-loud": (
        giving(SOUND[SOUND.index("@hookimpl") :].replace("NAME", "loud"), "print('{}')\n"),
        "it printed while it was loaded: '{}'",
    ),
    "magkit-slow": (
        giving(
            "@hookimpl\ndef magkit_methods():\n    time.sleep(1.1); return [spec('slow')]\n",
            "import time\n",
        ),
        "it took 1.",
    ),
    "magkit-silent": (
        SOUND.replace("@hookimpl", "").replace("NAME", "silent"),
        "it provides nothing: a hook is a function marked by @hookimpl",
    ),
}
HEAVY = {"magkit-heavy": ("import torch\n" + SOUND.replace("NAME", "heavy"), "it imports torch")}
GOOD = {"magkit-good": (SOUND.replace("NAME", "good"), "")}
VERSION = "2.1"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    pip_install: Callable[..., None],
    write_project: Callable[..., Path],
) -> Path:
    """Where all of them are installed."""
    folder = tmp_path_factory.mktemp("stress")
    codes = {**BROKEN, **RUDE, **HEAVY, **GOOD}
    projects = [
        write_project(folder / "sources", name, code, VERSION) for name, (code, _) in codes.items()
    ]
    pip_install(projects, folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def magkit(site: Path, python: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `magkit ARGUMENTS` beside them; the heavy one is switched off unless asked for."""
    names = ",".join([*BROKEN, *RUDE, *GOOD])

    def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        env = {"MAGKIT_PLUGINS": names, **env}
        folder = tmp_path_factory.mktemp("empty")
        return python(site, "-m", "magkit", *arguments, cwd=folder, **env)

    return run


@pytest.fixture(scope="module")
def listed(magkit: Run) -> "subprocess.CompletedProcess[str]":
    """What `magkit plugins --json` says of all of them."""
    done = magkit("plugins", "--json")
    assert done.returncode == 0, done.stderr
    return done


def records(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    return {one["distribution"]: one for one in json.loads(done.stdout)["plugins"]}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told_with_the_way_out(
    listed: "subprocess.CompletedProcess[str]", name: str
) -> None:
    record = records(listed)[name]
    assert (record["state"], record["version"], record["provides"]) == ("broken", VERSION, [])
    assert BROKEN[name][1] in record["error"]
    assert f"{name} {VERSION}: {record['error']}" in listed.stderr
    assert record["remarks"][0].endswith(f"MAGKIT_DISABLE_PLUGINS={name} switches it off")
    assert record["remarks"][0] in listed.stderr


@pytest.mark.parametrize("name", RUDE)
def test_what_is_rude_works_and_is_told_with_the_way_out(
    listed: "subprocess.CompletedProcess[str]", name: str
) -> None:
    record = records(listed)[name]
    assert (record["state"], record["version"], record["error"]) == ("ok", VERSION, None)
    assert len(record["provides"]) == (name != "magkit-silent")
    (remark,) = record["remarks"]
    assert RUDE[name][1] in remark
    assert remark.endswith(f"; MAGKIT_DISABLE_PLUGINS={name} switches it off")
    assert f"{name} {VERSION}: {remark}" in listed.stderr


def test_the_others_are_as_they_are_alone(listed: "subprocess.CompletedProcess[str]") -> None:
    found = records(listed)
    for name in ("magkit", "magkit-good"):
        assert (found[name]["state"], found[name]["remarks"]) == ("ok", [])
    assert found["magkit-heavy"]["state"] == "disabled"


def test_the_way_out_leads_out(magkit: Run) -> None:
    done = magkit("plugins", "--json", MAGKIT_DISABLE_PLUGINS=",".join([*BROKEN, *RUDE]))
    assert done.stderr == ""
    states = {name: record["state"] for name, record in records(done).items()}
    assert {states[name] for name in (*BROKEN, *RUDE)} == {"disabled"}
    assert states["magkit-good"] == "ok"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plugins", "--help"],
        ["pretrain", "--method", "moco", "--help"],
        ["pretrain", "--method", "good", "--help"],
        ["pretrain", "--method", "magkit-shadow/moco", "--help"],
        ["stitch", "--help"],
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_every_other_command_works(magkit: Run, arguments: list[str]) -> None:
    done = magkit(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    if arguments[:2] == ["pretrain", "--method"]:
        own = "size (int)" in done.stdout
        assert own == (arguments[2] != "moco")


def asked(magkit: Run, method: str, **env: str) -> str:
    done = magkit("pretrain", "--method", method, "--help", **env)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_asking_for_what_is_broken_says_whose_fault_it_is(magkit: Run) -> None:
    for name in ("exits", "magkit-exits/mine"):
        said = asked(magkit, name)
        assert f"no method '{name}': the plugin magkit-exits 2.1 is broken: SystemExit" in said
        assert "hint: MAGKIT_DISABLE_PLUGINS=magkit-exits switches it off" in said


def test_asking_for_what_two_provide_names_both(magkit: Run) -> None:
    said = asked(magkit, "shared")
    assert "the method 'shared' is provided by" in said
    for word in ("magkit-one 2.1", "magkit-two 2.1", "'magkit-one/shared'", "'magkit-two/shared'"):
        assert word in said
    assert "MAGKIT_DISABLE_PLUGINS=" in said
    done = magkit("pretrain", "--method", "shared", "--help", MAGKIT_DISABLE_PLUGINS="magkit-two")
    assert done.returncode == 0


def test_a_plugin_that_imports_torch_with_itself_is_named(magkit: Run) -> None:
    done = magkit("plugins", "--json", MAGKIT_PLUGINS="magkit-heavy")
    (heavy, *_) = records(done)["magkit-heavy"]["remarks"]
    assert heavy == (
        "it imports torch when it is listed, which makes every command slow;"
        " MAGKIT_DISABLE_PLUGINS=magkit-heavy switches it off"
    )
    assert f"magkit-heavy 2.1: {heavy}" in done.stderr


def test_authors_get_the_traceback(magkit: Run) -> None:
    done = magkit("plugins", MAGKIT_PLUGINS="magkit-raises", MAGKIT_STRICT_PLUGINS="1")
    assert done.returncode == 1
    assert "magkit_raises.py" in done.stderr
    assert "KeyError: 'gone'" in done.stderr
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert "magkit: stopped by an error of its own: KeyError" in done.stderr
