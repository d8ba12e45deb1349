"""What all tests share, those of the project's plugins included: processes that start at once."""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parent
SERVER = ROOT / "tests" / "preloaded_python.py"
PYTHON = "PRELOADED_PYTHON"
"""The variable that tells the processes of pytest-xdist which program stands in for `python`."""

if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests run side by side, as many as there are cores: threads beside them only wait.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Start the server of `preloaded_python`, which waits until it is asked for something."""
    if sys.platform == "linux" and not hasattr(config, "workerinput"):
        folder = TemporaryDirectory(prefix="magkit-python-")
        server = subprocess.Popen(
            [sys.executable, SERVER, folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert server.stdout
        assert server.stdout.readline()
        os.environ[PYTHON] = str(Path(folder.name, "python"))

        def end() -> None:
            server.communicate()
            folder.cleanup()

        config.add_cleanup(end)
    # Processes that tests start by `multiprocessing` as well.
    multiprocessing.set_executable(os.environ.get(PYTHON, sys.executable))


@pytest.fixture(scope="session")
def preloaded_python() -> str:
    """A program that does what `python` does, but has imported torch already, where that works.

    Not for tests of what is imported, of how much memory is taken, or of groups of processes.
    """
    return os.environ.get(PYTHON, sys.executable)


@pytest.fixture(scope="session")
def kept_textures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], "torch.Tensor"]:
    from magkit.synth import procedural

    shared = os.environ.get(PYTHON)
    folder = Path(shared).with_name("textures") if shared else tmp_path_factory.mktemp("textures")
    kept = runpy.run_path(str(ROOT / "tests" / "kept_textures.py"))["kept"]
    texture: Callable[[int], torch.Tensor] = kept(procedural.texture, folder)
    return texture


@pytest.fixture(scope="module", autouse=True)
def textures_are_drawn_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keeps procedural textures from test to test, except from tests of how they are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        if "torch" in sys.modules and request.path.name != "test_textures.py":
            texture = request.getfixturevalue("kept_textures")
            patch.setattr("magkit.synth.procedural.texture", texture)
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Has each test draw the same numbers every time, whatever ran before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
