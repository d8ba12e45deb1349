"""Packages that are really installed: by pip, from their sources, into a folder of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

PROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "{name}"
    version = "{version}"

    [project.entry-points.magkit]
    {plugin} = "{module}"

    [tool.hatch.build.targets.wheel]
    include = ["{module}.py"]
"""


@pytest.fixture(scope="session")
def pip_install() -> Callable[[Sequence[Path], Path], None]:
    """Installs projects into a folder, without a network and with what builds them at hand."""
    for needed in ("pip", "hatchling"):
        pytest.importorskip(needed)

    def install(projects: Sequence[Path], site: Path) -> None:
        offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *offline, "--target", site, *projects],
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull},
            check=True,
            timeout=600,
        )

    return install


@pytest.fixture(scope="session")
def write_project() -> Callable[..., Path]:
    """Writes a project of one module that is a plugin."""

    def write(folder: Path, name: str, code: str, version: str) -> Path:
        project, module = folder / name, name.replace("-", "_")
        project.mkdir(parents=True)
        filled = dedent(PROJECT).format(
            name=name, version=version, module=module, plugin=name.removeprefix("magkit-")
        )
        (project / "pyproject.toml").write_text(filled, encoding="utf-8")
        (project / f"{module}.py").write_text(dedent(code), encoding="utf-8")
        return project

    return write


@pytest.fixture(scope="session")
def python() -> Run:
    """Runs Python in another process, in which the distributions of a folder are installed."""

    def run(
        site: Path,
        *arguments: str,
        cwd: Path,
        interpreter: str = sys.executable,
        **env: str,
    ) -> "subprocess.CompletedProcess[str]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MAGKIT_")}
        return subprocess.run(
            [interpreter, *arguments],
            cwd=cwd,
            env={**kept, "PYTHONPATH": str(site), "MAGKIT_CACHE": str(site / "cache"), **env},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


PYTEST = "import pytest, sys; sys.executable = {!r}; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.fixture(scope="session")
def run_tests(python: Run, preloaded_python: str) -> Run:
    """Runs pytest where the distributions of a folder are installed."""

    def run(site: Path, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        # The processes that these tests start are real ones: some ask what has been imported.
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:hydra_pytest"]
        command = ["-c", PYTEST.format(sys.executable), *options]
        return python(site, *command, *arguments, cwd=cwd, interpreter=preloaded_python)

    return run
