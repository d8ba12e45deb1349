"""Clips made by plain ffmpeg command lines: what the package under test must agree with."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

Ffmpeg = Callable[..., str]


def run_ffmpeg(*args: str | Path) -> str:
    """Run ffmpeg, and return what it says."""
    line = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *map(str, args)]
    return subprocess.run(line, capture_output=True, check=True, text=True).stderr


@pytest.fixture
def ffmpeg() -> Ffmpeg:
    return run_ffmpeg


@pytest.fixture
def describe() -> Callable[[Path], str]:
    """What ffmpeg lists of a file, and of every decoded frame."""

    def listing(path: Path) -> str:
        return run_ffmpeg("-i", path, "-map", "0:v", "-vf", "showinfo", "-f", "null", "-")

    return listing


@pytest.fixture
def count() -> Callable[[Path], int]:
    """How many frames ffmpeg decodes."""

    def frames(path: Path) -> int:
        said = run_ffmpeg("-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "null", "-")
        return int(re.findall(r"frame= *(\d+)", said)[-1])

    return frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two seconds, 64x48, 25 frames a second, with B-frames, key frames far apart, and a sound."""
    path = tmp_path / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2"]
    sound = ["-f", "lavfi", "-i", "sine=440:d=2", "-c:a", "aac"]
    run_ffmpeg(*picture, *sound, "-pix_fmt", "yuv420p", "-g", "20", "-bf", "3", path)
    return path


@pytest.fixture
def colourful() -> list[NDArray[np.uint8]]:
    """Six frames 96x64 of smooth colours, well inside what any YCbCr matrix holds."""
    rows, columns = np.mgrid[0:64, 0:96] / 96
    frames = []
    for step in range(6):
        waves = [np.sin(4 * rows + a * columns + step / 4) for a in (1.0, 2.0, 3.0)]
        frames.append((128 + 60 * np.stack(waves, -1)).round().astype(np.uint8))
    return frames
