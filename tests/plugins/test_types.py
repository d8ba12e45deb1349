"""mypy --strict accepts plugins as they are written, and refuses a `build` of the wrong type."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from magkit.scaffold import Kind, Names, write_package

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"
KINDS: tuple[Kind, ...] = ("method", "target", "magnifier")
BUILDS = re.compile(r"^def build\((.*)\) -> \w+:\n(?:.*\n)*?    return .*\n", re.MULTILINE)


def tutorial(folder: Path, name: str) -> Path:
    """The package of the guide, called otherwise."""
    text = GUIDE.read_text(encoding="utf-8").replace("twins", name)
    for place, code in re.findall(
        r"^<!-- file: (\S+\.py) -->\n```python\n(.*?\n)```$", text, re.MULTILINE | re.DOTALL
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(code, encoding="utf-8")
    package = folder / f"magkit-{name}" / f"magkit_{name}"
    (package / "__init__.py").touch()
    return package


def spoilt(package: Path) -> str:
    """Has `build` return a number, and says where mypy should say so: in the spec."""
    path = package / "spec.py"
    code, count = BUILDS.subn(r"def build(\1) -> int:\n    return 3\n", path.read_text("utf-8"))
    assert count == 1
    path.write_text(code, encoding="utf-8")
    (line,) = [n for n, text in enumerate(code.splitlines(), 1) if text == "    build=build,"]
    return f"{package.name}/spec.py:{line}: error: [arg-type]"


@pytest.mark.slow
def test_mypy(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    sound, expected = [], []
    for kind in KINDS:
        for how in ("good", "bad"):
            names = Names(f"{how}-{kind}")
            package = write_package(names, kind, tmp_path / names.distribution) / names.module
            sound.append(package)
            if how == "bad":
                expected.append(spoilt(package))
    sound.append(tutorial(tmp_path, "twins"))
    sound.append(tutorial(tmp_path, "twons"))
    expected.append(spoilt(sound[-1]))
    sound.append(tmp_path / "magkit-good-method" / "tests" / "test_conformance.py")
    # Most of the time goes into reading torch: with the project's own options and cache, it is
    # read once for this test and for the project.
    root = pytestconfig.rootpath
    options = ["--strict", "--no-error-summary", "--config-file", str(root / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *map(str, sound)],
        cwd=tmp_path,
        env={
            **os.environ,
            "MYPY_CACHE_DIR": str(root / ".mypy_cache"),
            "MYPYPATH": os.pathsep.join(str(path.parent) for path in sound),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.stderr == ""
    found = re.findall(
        r"(magkit_\w+/\w+\.py:\d+: error:).*(\[[\w-]+\])$", done.stdout, re.MULTILINE
    )
    assert sorted(map(" ".join, found)) == sorted(expected), done.stdout
    assert done.stdout.count(" error:") == len(expected), done.stdout
