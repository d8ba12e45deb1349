"""What may import what, and what must not be imported to list and to help."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "magkit"
HEAVY = {"torch", "torchvision", "numpy", "scipy", "imageio", "pycocotools", "PIL", "safetensors"}
TERMINAL = {"typer", "rich"}
RANKS = {"runtime": 0, "video": 1, "synth": 2, "training": 2, "data": 3}
"""Lower packages import nothing of higher ones; what isn't named here is above them all."""
ABOVE = 4

FILES = sorted(PACKAGE.rglob("*.py"))


def is_light(path: Path) -> bool:
    place = path.relative_to(PACKAGE).parts
    return (
        len(place) == 1 or place[0] == "cli" or path.stem == "spec" or path.stem.endswith("_spec")
    )


def imports(tree: ast.AST, *, at_start: bool) -> Iterator[str]:
    """The names that are imported, or those alone that are imported with the module itself."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif at_start and (isinstance(node, ast.FunctionDef | ast.Lambda) or _for_types(node)):
            continue
        else:
            yield from imports(node, at_start=at_start)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", [path for path in FILES if is_light(path)], ids=name)
def test_light_files_import_nothing_heavy(path: Path) -> None:
    found = {module.partition(".")[0] for module in imports(parsed(path), at_start=True)}
    assert not found & HEAVY


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.relative_to(PACKAGE).parts[0] != "cli"], ids=name
)
def test_the_library_knows_nothing_of_the_terminal(path: Path) -> None:
    found = set(imports(parsed(path), at_start=False))
    assert not {module.partition(".")[0] for module in found} & TERMINAL
    if path.name != "__main__.py":
        assert not {module for module in found if f"{module}.".startswith("magkit.cli.")}


def rank(package: str) -> int:
    return RANKS.get(package, ABOVE)


@pytest.mark.parametrize(
    "path", [p for p in FILES if rank(p.relative_to(PACKAGE).parts[0]) < ABOVE], ids=name
)
def test_imports_run_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    for module in imports(parsed(path), at_start=False):
        top, _, rest = module.partition(".")
        other = rest.partition(".")[0]
        if top == "magkit" and (PACKAGE / other).is_dir() and other != own:
            assert rank(other) < rank(own), module


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.relative_to(PACKAGE).parts[0] != "testing"], ids=name
)
def test_nothing_needs_the_checks_of_plugins(path: Path) -> None:
    found = set(imports(parsed(path), at_start=False))
    assert not {module for module in found if f"{module}.".startswith("magkit.testing.")}


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_magkit_imports_next_to_nothing() -> None:
    loaded = loaded_by("import magkit")
    assert not loaded & {*HEAVY, *TERMINAL, "pluggy", "magkit.specs", "magkit.errors"}


def test_public_names_are_there() -> None:
    import magkit

    assert all(getattr(magkit, name) is not None for name in magkit.__all__)


def test_what_plugins_need_imports_nothing_heavy() -> None:
    names = "MagkitError, MagnifierSpec, MethodSpec, TargetSpec, hookimpl"
    loaded = loaded_by(f"from magkit import {names}")
    assert {"magkit.specs", "pluggy"} <= loaded
    assert not loaded & {*HEAVY, *TERMINAL}


def test_checks_of_plugins_need_no_pytest() -> None:
    loaded = loaded_by("import magkit.testing")
    assert not loaded & {*TERMINAL, "pytest", "_pytest", "hypothesis"}


def test_a_name_that_is_not_there() -> None:
    import magkit

    assert not hasattr(magkit, "no_such_name")
    assert "hookimpl" in dir(magkit)


def commands() -> list[list[str]]:
    import typer
    from typer.core import TyperGroup

    from magkit.cli.app import app

    def leaves(command: object, path: list[str]) -> Iterator[list[str]]:
        if isinstance(command, TyperGroup):
            for key, child in command.commands.items():
                yield from leaves(child, [*path, key])
        else:
            yield path

    return list(leaves(typer.main.get_command(app), []))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["plugins"], *([*command, "--help"] for command in commands())],
    ids=" ".join,
)
def test_listing_and_helping_import_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_by(f"from magkit.cli import run; assert run({arguments!r}) == 0")
    assert not loaded & HEAVY
