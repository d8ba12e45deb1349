"""What tests share: real data where there is some, installed plugins, the command line."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real clips and pictures: MAGKIT_TEST_DATA, or ../shared/data."""
    path = Path(os.environ.get("MAGKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data: MAGKIT_TEST_DATA names their folder, and {path} isn't one")
    return path


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps MAGKIT_* variables of whoever runs the tests out of them, and their cache as it is."""
    for name in [name for name in os.environ if name.startswith("MAGKIT_")]:
        if name != "MAGKIT_TEST_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("MAGKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    # What else is installed where the tests run must change nothing.
    monkeypatch.setenv("MAGKIT_PLUGINS", "")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What magkit's loggers say, notes included."""
    caplog.set_level(logging.INFO, logger="magkit")
    return caplog


@pytest.fixture
def magkit(
    tmp_path: Path, preloaded_python: str
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs `magkit ARGUMENTS` as a process of its own, in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()

    def run(
        *arguments: str, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [preloaded_python, "-m", "magkit", *arguments],
            cwd=folder,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


class Site:
    """A folder of installed distributions, as an installer leaves them."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch

    def install(
        self, distribution: str, code: str, *, version: str = "1.0", entry_points: str = ""
    ) -> None:
        """Installs a distribution with one module and, unless told otherwise, one plugin."""
        module = distribution.replace("-", "_")
        (self.path / f"{module}.py").write_text(dedent(code), encoding="utf-8")
        info = self.path / f"{module}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        plugin = distribution.removeprefix("magkit-")
        text = entry_points or f"[magkit]\n{plugin} = {module}\n"
        (info / "entry_points.txt").write_text(text, encoding="utf-8")
        self._monkeypatch.setenv("MAGKIT_PLUGINS", distribution, prepend=",")

    @property
    def env(self) -> dict[str, str]:
        """The variable with which another process finds what is installed here."""
        return {"PYTHONPATH": str(self.path)}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder for distributions, on the path of this process for as long as the test."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    before = set(sys.modules)
    yield Site(path, monkeypatch)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(path)):
            del sys.modules[name]
