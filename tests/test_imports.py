"""What may import what, and what must not be imported to list and to help."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "magkit"
HEAVY = {"torch", "torchvision", "numpy", "scipy", "imageio", "pycocotools", "PIL", "safetensors"}
TERMINAL = {"typer", "rich"}


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


TREES = {module(path): ast.parse(path.read_bytes()) for path in PACKAGE.rglob("*.py")}


def imports(tree: ast.AST, *, at_start: bool) -> Iterator[str]:
    """Yield the names that are imported, but for types; `at_start`: with the module itself."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif at_start and isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        elif not (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")):
            yield from imports(node, at_start=at_start)


def imported(name: str) -> set[str]:
    """The modules of magkit that a module of magkit imports, in functions too."""
    found = set(imports(TREES[name], at_start=False))
    homes = {each if each in TREES else each.rpartition(".")[0] for each in found}
    return {home for home in homes if home in TREES} - {name}


def test_light_files_import_nothing_heavy() -> None:
    for name, tree in TREES.items():
        if name.count(".") < 2 or name.startswith("magkit.cli.") or name.endswith("_spec"):
            found = {each.partition(".")[0] for each in imports(tree, at_start=True)}
            assert not found & HEAVY, name


def test_the_library_knows_nothing_of_the_terminal() -> None:
    for name, tree in TREES.items():
        if not name.startswith("magkit.cli"):
            found = {each.partition(".")[0] for each in imports(tree, at_start=False)}
            assert not found & TERMINAL, name


def part(name: str) -> str:
    """The package that a module belongs to, or the file at the top that it is."""
    return name.split(".")[1]


def test_imports_run_downwards() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)
    ranks = {each: int(rank) for rank, parts in rows for each in re.findall(r"`(\w+)`", parts)}
    files = TREES.keys() - {"magkit", "magkit.__main__"}  # before them all, and behind them all
    assert ranks.keys() == {part(name) for name in files}
    for name in files:
        for other in imported(name) & files:
            one, two = part(name), part(other)
            top = name.count(".") == other.count(".") == 1
            fits = ranks[two] < ranks[one] or (top and ranks[two] == ranks[one])
            assert one == two or (fits and two != "testing"), f"{name} imports {other}"


def circles() -> set[frozenset[str]]:
    """The largest sets of modules each of which reaches all others by imports."""
    reached = {name: imported(name) for name in TREES}
    while True:
        further = {a: found.union(*(reached[b] for b in found)) for a, found in reached.items()}
        if further == reached:
            break
        reached = further
    return {frozenset(b for b in reached[a] if a in reached[b]) for a in TREES} - {frozenset()}


def test_no_files_import_one_another_in_a_circle() -> None:
    assert not circles()


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
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


HELPED = """
import sys
from magkit.cli import run
for arguments in {asked}:
    assert run(arguments) == 0
    assert not set(sys.modules) & {heavy}, arguments
"""


def test_listing_and_helping_import_nothing_heavy() -> None:
    helped = [[*command, "--help"] for command in commands()]
    loaded_by(HELPED.format(asked=[["--help"], ["plugins"], *helped], heavy=HEAVY))
