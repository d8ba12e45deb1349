"""`magkit plugins new`: what it writes installs, shows up, works and conforms; what it refuses."""

import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from magkit.cli import run
from magkit.scaffold import Names
from magkit.scaffold import package as scaffold_package
from magkit.scaffold.package import TEMPLATES

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Captured = pytest.CaptureFixture[str]

KINDS = {"method": "mine", "target": "my-colours", "magnifier": "flow"}
PLUGINS = Path(__file__).parents[2] / "plugins"
TINY = (
    "--scenes 8 --steps 2 --batch 4 --size 32 --train frame=40 --workers 0 --threads 1 --device cpu"
    " --magnifier-opt stem=8 --magnifier-opt width=8 --magnifier-opt hidden=8 -o run --json"
)
HEAVY = {"torch", "torchvision", "numpy", "scipy", "PIL", "imageio", "pycocotools", "safetensors"}


@pytest.fixture(scope="module", autouse=True)
def nothing_installed() -> Iterator[None]:
    """Hides from this process what may be installed where the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaffold_package, "installed", lambda _: False)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a package of each kind is written."""
    folder = tmp_path_factory.mktemp("written")
    for kind, name in KINDS.items():
        place = folder / f"magkit-{name}"
        assert run(["plugins", "new", place.name, "--kind", kind, "-o", str(place), "-q"]) == 0
    return folder


@pytest.fixture(scope="module")
def site(folder: Path, pip_install: Callable[..., None]) -> Path:
    """Where they are installed, and the project's own plugins."""
    own = [path.parent for path in PLUGINS.glob("*/pyproject.toml")]
    pip_install([*(folder / f"magkit-{name}" for name in KINDS.values()), *own], folder / "site")
    return folder / "site"


def test_the_files(folder: Path) -> None:
    for kind, name in KINDS.items():
        project, module = folder / f"magkit-{name}", f"magkit_{name.replace('-', '_')}"
        files = {p.relative_to(project).as_posix() for p in project.rglob("*") if p.is_file()}
        assert files == {
            *("README.md", "pyproject.toml", "tests/test_conformance.py"),
            *(f"{module}/{file}" for file in ("__init__.py", "py.typed", "spec.py", f"{kind}.py")),
        }
        for path in project.rglob("*.*"):
            assert path.is_dir() or "$" not in path.read_text(encoding="utf-8")
        table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        assert table["project"]["name"] == f"magkit-{name}"
        assert table["project"]["entry-points"]["magkit"] == {name: f"{module}.spec"}


def test_they_show_up_at_once(site: Path, python: Run, tmp_path: Path) -> None:
    done = python(site, "-m", "magkit", "plugins", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = {p["distribution"]: p for p in json.loads(done.stdout)["plugins"]}
    for kind, name in KINDS.items():
        plugin = found[f"magkit-{name}"]
        assert (plugin["state"], plugin["remarks"]) == ("ok", [])
        assert plugin["provides"] == [{"kind": kind, "name": name}]


def test_the_method_trains(site: Path, python: Run, tmp_path: Path) -> None:
    command = ["-m", "magkit", "pretrain", "--method", "mine", *TINY.split()]
    done = python(site, *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"texture_similarity", "motion_similarity"} <= set(found["metrics"])
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.slow
def test_their_own_tests_pass(site: Path, folder: Path, python: Run) -> None:
    tests = [str(folder / f"magkit-{name}" / "tests") for name in KINDS.values()]
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = python(site, "-m", "pytest", *options, *tests, cwd=folder)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d\d passed", done.stdout, flags=re.MULTILINE)


def test_templates_ship_with_magkit() -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(PLUGINS.parent))
    shipped = {each.distribution_path for each in wheel.recurse_included_files()}
    for path in TEMPLATES.rglob("*.txt"):
        assert path.relative_to(PLUGINS.parent).as_posix() in shipped


LISTING = """
import json, sys
from magkit.cli import run
from magkit.completion.values import main
from magkit.plugins import registry

found = registry()
assert not [p for p in found.plugins if p.state != "ok"], found.plugins
commands = {"method": ["pretrain"], "target": ["invert"], "magnifier": ["magnify", "clip.mp4"]}
assert run(["--help"]) == 0
assert run(["plugins"]) == 0
for kind, command in commands.items():
    for name in found.names(kind):
        assert run([*command, f"--{kind}", name, "--help"]) == 0
    main([f"{kind}s", "--", "magkit", *command, f"--{kind}", ""])
print(json.dumps([sorted(sys.modules), [p.distribution for p in found.plugins]]))
"""


def test_to_list_to_help_and_to_complete_import_nothing_heavy(
    site: Path, python: Run, tmp_path: Path
) -> None:
    done = python(site, "-c", LISTING, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    modules, distributions = json.loads(done.stdout.splitlines()[-1])
    assert not set(modules) & HEAVY
    assert {f"magkit-{name}" for name in KINDS.values()} <= set(distributions)
    assert {path.parent.name for path in PLUGINS.glob("*/pyproject.toml")} <= set(distributions)


def test_once_it_is_broken_every_other_command_works(
    site: Path, python: Run, tmp_path: Path, pip_install: Callable[..., None]
) -> None:
    assert run(["plugins", "new", "magkit-mine", "-o", str(tmp_path / "magkit-mine"), "-q"]) == 0
    spec = tmp_path / "magkit-mine" / "magkit_mine" / "spec.py"
    spec.write_text(spec.read_text(encoding="utf-8").replace("def build(", "def build("[:-1]))
    pip_install([tmp_path / "magkit-mine"], tmp_path / "broken")

    def magkit(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return python(tmp_path / "broken", "-m", "magkit", *arguments, cwd=tmp_path)

    for arguments in (["--help"], ["pretrain", "--method", "moco", "--help"]):
        done = magkit(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
    listed = magkit("plugins")
    assert listed.returncode == 0
    assert "magkit-mine 0.1.0: SyntaxError" in listed.stderr
    assert "MAGKIT_DISABLE_PLUGINS=magkit-mine switches it off" in listed.stderr
    asked = magkit("pretrain", "--method", "mine", "--help")
    assert asked.returncode == 2
    assert "no method 'mine': the plugin magkit-mine 0.1.0 is broken: SyntaxError" in asked.stderr


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_it_says(here: Path, capsys: Captured) -> None:
    assert run(["plugins", "new", "edge-flow", "--kind", "magnifier"]) == 0
    assert capsys.readouterr().err == (
        "wrote magkit-edge-flow\n"
        "next: pip install ./magkit-edge-flow, and then"
        " magkit magnify CLIP --magnifier edge-flow\n"
    )
    assert run(["plugins", "new", "magkit-other", "--json", "-o", "at/my place"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "package": str(Path("at/my place")),
        "distribution": "magkit-other",
        "kind": "method",
        "name": "other",
    }
    assert (here / "at/my place/magkit_other/spec.py").is_file()


def test_names_that_follow_from_a_name() -> None:
    names = Names.of("magkit-edge-flow")
    assert names == Names.of("edge-flow")
    assert (names.name, names.distribution) == ("edge-flow", "magkit-edge-flow")
    assert (names.module, names.title) == ("magkit_edge_flow", "EdgeFlow")


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("Magkit_Mine", "magkit-mine"),
        ("my.own method", "magkit-my-own-method"),
        ("magkit-", "magkit-mine"),
        ("", "magkit-mine"),
        ("3d", "magkit-d"),
        ("../mine", "magkit-mine"),
        ("mine-", "magkit-mine"),
        ("mine\n", "magkit-mine"),
        ("größe", "magkit-gr-e"),
    ],
)
def test_names_that_are_none(here: Path, capsys: Captured, name: str, likely: str) -> None:
    assert run(["plugins", "new", name]) == 2
    said = capsys.readouterr().err
    assert "can't name a package: it takes lower-case letters, digits and hyphens" in said
    assert said.endswith(f"  hint: such as {likely}\n")
    assert not list(here.iterdir())


def test_a_name_that_is_too_long(here: Path, capsys: Captured) -> None:
    assert run(["plugins", "new", "a" * 300]) == 2
    assert "a name of 300 characters is longer than 64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "name"), [("method", "moco"), ("target", "segmenter"), ("magnifier", "phase")]
)
def test_a_name_of_what_ships(here: Path, capsys: Captured, kind: str, name: str) -> None:
    assert run(["plugins", "new", f"magkit-{name}", "--kind", kind]) == 2
    said = capsys.readouterr().err
    assert f"magkit itself has a {kind} '{name}', which a plugin can't take the place of" in said
    assert f"hint: choose another name, such as magkit-{name}-2" in said
    assert not list(here.iterdir())
    other = "target" if kind == "method" else "method"
    assert run(["plugins", "new", f"magkit-{name}", "--kind", other, "-q"]) == 0


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_stays(here: Path, capsys: Captured, there: str) -> None:
    place = here / "magkit-mine"
    if there == "folder":
        place.mkdir()
    elif there == "file":
        place.touch()
    else:
        place.symlink_to("nowhere")
    assert run(["plugins", "new", "magkit-mine"]) == 1
    assert "magkit-mine exists\n  hint: --output names another" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["magkit-mine"]
    assert there != "folder" or not list(place.iterdir())


def test_a_place_that_is_none(here: Path, capsys: Captured) -> None:
    (here / "file").touch()
    assert run(["plugins", "new", "magkit-mine", "-o", "file/magkit-mine"]) == 1
    assert "file is not a folder" in capsys.readouterr().err


REFUSED = """
import sys
from magkit.cli import run
assert run(["plugins", "new", sys.argv[1], "--kind", sys.argv[2]]) == 2
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("magkit-mine", "method", "a package magkit-mine is installed, whose place the new one"),
        ("magkit-mine", "target", "a package magkit-mine is installed, whose place the new one"),
        ("magkit-fcn", "target", "magkit-vision 0.1.0 has a target 'fcn', which a plugin can't"),
    ],
)
def test_what_is_installed(
    site: Path, python: Run, tmp_path: Path, name: str, kind: str, words: str
) -> None:
    # Switched off or not: pip would put the new package in the place of the old one.
    off = {"MAGKIT_DISABLE_PLUGINS": "magkit-mine"}
    done = python(site, "-c", REFUSED, name, kind, cwd=tmp_path, **off)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"magkit: {words}")
    assert done.stderr.endswith(f"\n  hint: choose another name, such as {name}-2\n")
    assert not list(tmp_path.iterdir())


def test_what_another_plugin_has(here: Path, capsys: Captured, another: Any) -> None:
    assert run(["plugins", "new", "magkit-mine"]) == 2
    assert "magkit-first 1.0 has a method 'mine'" in capsys.readouterr().err


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin of somebody else's that is called so."""
    from dataclasses import replace

    from magkit import plugins
    from magkit.selfsup import moco_spec as moco

    specs = (replace(moco.SPEC, name="mine"),)
    found = plugins.Registry((plugins.Plugin("first", "magkit-first", "1.0", "ok", specs),))
    monkeypatch.setattr(plugins, "registry", lambda: found)


@pytest.mark.parametrize("flag", ["--json", "-q", "--verbose"])
def test_flags_before_the_command_are_told_where_they_belong(
    here: Path, capsys: Captured, flag: str
) -> None:
    assert run(["plugins", flag, "new", "magkit-mine"]) == 2
    long = {"-q": "--quiet"}.get(flag, flag)
    said = capsys.readouterr().err
    assert f"'{long}' belongs behind 'new'\n  hint: magkit plugins new {long}" in said
    assert not list(here.iterdir())


def test_without_a_command_the_list_takes_flags_variables_and_files(
    here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "list.toml").write_text("json = true\n")
    for arguments in (["--json"], ["--config", "list.toml"]):
        assert run(["plugins", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["plugins"][0]["name"] == "builtin"
    monkeypatch.setenv("MAGKIT_JSON", "1")
    assert run(["plugins"]) == 0
    assert json.loads(capsys.readouterr().out)["plugins"]
    (here / "list.toml").write_text("jsn = true\n")
    assert run(["plugins", "--config", "list.toml"]) == 2
    assert "'list.toml': magkit plugins has no option 'jsn'" in capsys.readouterr().err


def test_a_group_of_commands_knows_its_own(here: Path, capsys: Captured) -> None:
    assert run(["plugins", "nwe"]) == 2
    assert "no such command 'nwe'. Did you mean 'new'?" in capsys.readouterr().err
