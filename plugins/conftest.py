"""A plugin's tests see that plugin, whatever else is installed, and none of the user's settings."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def this_plugin_alone(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for name in [name for name in os.environ if name.startswith("MAGKIT_")]:
        if name != "MAGKIT_TEST_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("MAGKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    monkeypatch.setenv("MAGKIT_PLUGINS", folder)


@pytest.fixture
def magkit(preloaded_python: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs `magkit ARGUMENTS` as a process of its own; `launcher` stands before `-m magkit`."""

    def run(*arguments: str, launcher: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [preloaded_python, *launcher, "-m", "magkit", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
