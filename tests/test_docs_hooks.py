"""docs/hooks.md says exactly what the hooks, the specs and the protocols are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import magkit
from magkit.plugins import HOOKS

ROOT = Path(__file__).parents[1]
SOURCES = ("hookspecs", "specs", "protocols")
"""Modules whose public names are all documented, but for INTERNAL ones."""
INTERNAL = {"LazyCallable", "UnresolvedError", "import_callable", "is_reference"}
OTHERS = ("runtime/distributed", "testing/methods", "testing/targets", "testing/magnifiers")

Definition = ast.ClassDef | ast.FunctionDef


def definitions(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node.name, signature(node)


def signature(node: Definition) -> str:
    """A function without its body, or a class with its public fields and methods, as one text."""
    if isinstance(node, ast.FunctionDef):
        wrappers = [f"@{ast.unparse(each)} " for each in node.decorator_list]
        kept = [wrapper for wrapper in wrappers if wrapper == "@property "]
        returns = ast.unparse(node.returns) if node.returns else ""
        return f"{''.join(kept)}def {node.name}({ast.unparse(node.args)}) -> {returns}"
    bases = ", ".join(map(ast.unparse, node.bases))
    return "\n    ".join([f"class {node.name}({bases})", *filter(None, map(member, node.body))])


def member(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
        return signature(node)
    if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
        text = re.sub(r" = Reference\((.*)\)$", r" = \1", ast.unparse(node)).removesuffix(" = ")
        return re.sub(r" = field\((.*)\)$", lambda m: f" = {default(m[1])}", text)
    return ""


def default(arguments: str) -> str:
    """What a field is where nothing is given, out of the arguments of `field`."""
    return {"default_factory=dict": "{}", "default=None": "None"}[arguments.partition(",")[0]]


def documented() -> dict[str, str]:
    text = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return dict(found for block in blocks for found in definitions(ast.parse(block)))


def written(*modules: str) -> dict[str, str]:
    paths = [ROOT / "magkit" / f"{module}.py" for module in modules]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    return dict(found for tree in trees for found in definitions(tree))


def test_all_that_is_documented_is_as_it_is_written() -> None:
    code = written(*SOURCES, *OTHERS)
    for name, found in documented().items():
        assert found == code.get(name), name


def test_all_that_is_public_is_documented() -> None:
    assert set(written(*SOURCES)) - INTERNAL <= set(documented())
    assert set(HOOKS) == set(written("hookspecs"))


def test_all_that_plugins_import_has_a_word() -> None:
    pages = [ROOT / "docs" / name for name in ("hooks.md", "plugins.md")]
    words = " ".join(page.read_text(encoding="utf-8") for page in pages)
    library = {"load_magnifier", "magnify_file", "open_video", "__version__"}
    library |= {"magnify", "MagnifyResult", "measure", "MeasureResult"}
    for name in set(magkit.__all__) - library:
        assert re.search(rf"\b{name}\b", words), name


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook: str) -> None:
    tree = ast.parse((ROOT / "tests" / "test_plugins.py").read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert f"test_{hook}" in tests
