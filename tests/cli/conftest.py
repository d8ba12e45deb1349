"""Commands in this process, small clips, and a network small enough for them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Clip = Callable[..., Path]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small magnet-fast with random weights."""
    import torch

    from magkit.magnify import fast_spec
    from magkit.magnify.fast import MagnetFast
    from magkit.magnify.load import save_weights

    config = fast_spec.FastConfig(stem=4, width=8, guide=4, hidden=4)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    metadata = {"magnifier": "magnet-fast", "config": json.dumps(asdict(config))}
    save_weights(path, MagnetFast(config), metadata)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def waves(count: int, height: int, width: int) -> Iterator[Frame]:
    """Smooth colours that swing to and fro once in twelve frames."""
    y, x = np.mgrid[:height, :width].astype(float)
    for index in range(count):
        shift = 0.3 * np.sin(2 * np.pi * index / 12)
        tones = [np.sin((x - shift) / 3 + tone) * np.sin(y / 4 + tone) for tone in range(3)]
        yield (128 + 90 * np.stack(tones, -1)).round().astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """Writes a clip outside the working directory."""
    from magkit.video import plain_info, write_video

    def write(
        name: str = "clip.mp4",
        count: int = 8,
        size: tuple[int, int] = (40, 24),
        rate: Fraction = Fraction(30000, 1001),
    ) -> Path:
        width, height = size
        path = tmp_path / "clips" / name
        write_video(path, waves(count, height, width), plain_info(width, height, rate, count))
        return path

    return write


SLOW_TRAINING = """
import os, time
from magkit.cli import main
from magkit.training import train
print(os.getpid(), flush=True)
step = train._step
train._step = lambda *given: (time.sleep(0.1), step(*given))[1]
main()
"""


@pytest.fixture
def slow_training() -> list[str]:
    """A command as `magkit` that says its process number and waits before each training step."""
    # Not by the fork server, whose process would outlive a kill for a while.
    return [sys.executable, "-c", SLOW_TRAINING]


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool], "subprocess.Popen[Any]"], None]:
    """Waits until something happened while a process is at work."""

    def wait(happened: Callable[[], bool], process: "subprocess.Popen[Any]") -> None:
        deadline = time.monotonic() + 300
        while not happened():
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait
