"""Clips made by plain ffmpeg command lines: what the package under test must agree with."""

import re
import shutil
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


@pytest.fixture(scope="session")
def ffmpeg(tmp_path_factory: pytest.TempPathFactory) -> Ffmpeg:
    """Runs ffmpeg, whose last argument is the output; what no file goes into is made once."""
    folder = tmp_path_factory.mktemp("made")
    made: dict[tuple[str, ...], tuple[Path, str]] = {}

    def run(*args: str | Path) -> str:
        given, path = tuple(map(str, args[:-1])), Path(args[-1])
        key = (*given, path.suffix)
        if key in made:
            kept, said = made[key]
            shutil.copyfile(kept, path)
            return said
        said = run_ffmpeg(*args)
        if path.is_file() and not any(Path(each).exists() for each in given):
            kept = folder / f"{len(made)}{path.suffix}"
            shutil.copyfile(path, kept)
            made[key] = (kept, said)
        return said

    return run


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
def clip(tmp_path: Path, ffmpeg: Ffmpeg) -> Path:
    """Two seconds, 64x48, 25 frames a second, with B-frames, key frames far apart, and a sound."""
    path = tmp_path / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2"]
    sound = ["-f", "lavfi", "-i", "sine=440:d=2", "-c:a", "aac"]
    ffmpeg(*picture, *sound, "-pix_fmt", "yuv420p", "-g", "20", "-bf", "3", path)
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


FieldCoded = Callable[[NDArray[np.uint8]], bytes]


@pytest.fixture(scope="session")
def field_coded() -> FieldCoded:
    """Makes bare H.264 in which every picture is a field: no encoder at hand makes such ones."""
    made: dict[bytes, bytes] = {}

    def code(frames: NDArray[np.uint8]) -> bytes:
        key = frames.tobytes()
        if key not in made:
            made[key] = _field_coded(frames)
        return made[key]

    return code


class _Bits:
    """A string of bits in the codes of H.264 (ITU-T H.264, 7.2 and 9.1)."""

    def __init__(self) -> None:
        self.text = ""

    def fixed(self, value: int, length: int) -> "_Bits":
        self.text += f"{value:0{length}b}"
        return self

    def golomb(self, *values: int) -> "_Bits":
        for value in values:
            code = f"{value + 1:b}"
            self.text += "0" * (len(code) - 1) + code
        return self

    def aligned(self) -> "_Bits":
        self.text += "0" * (-len(self.text) % 8)
        return self

    def unit(self, head: int) -> bytes:
        """The NAL unit: with its stop bit, start code and emulation prevention."""
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        payload = int(text, 2).to_bytes(len(text) // 8, "big")
        return b"\0\0\0\1" + bytes([head]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


def _field_coded(frames: NDArray[np.uint8]) -> bytes:
    """Each of the grey frames (T, H, W) as a top and a bottom field of uncompressed macroblocks.

    Sides are multiples of 16 and 32; levels lie from 16 on.
    """
    _, height, width = frames.shape
    sequence = _Bits().fixed(77, 8).fixed(0, 8).fixed(40, 8)
    # Output in the order of decoding, one reference; sizes in macroblocks of a field.
    sequence.golomb(0, 0, 2, 1).fixed(0, 1).golomb(width // 16 - 1, height // 32 - 1)
    sequence.fixed(0b0010, 4).fixed(0, 1)  # frames of fields, no cropping, no VUI
    picture = _Bits().golomb(0, 0).fixed(0, 2).golomb(0, 0, 0).fixed(0, 3).golomb(0, 0, 0)
    picture.fixed(0b100, 3)
    stream = [sequence.unit(0x67), picture.unit(0x68)]
    for number, frame in enumerate(frames):
        stream += [_field(frame[parity::2], parity, number % 2) for parity in (0, 1)]
    return b"".join(stream)


def _field(rows: NDArray[np.uint8], parity: int, identifier: int) -> bytes:
    key = parity == 0
    slice_ = _Bits().golomb(0, 7, 0).fixed(0, 4).fixed(1, 1).fixed(parity, 1)
    slice_ = slice_.golomb(identifier).fixed(0, 2) if key else slice_.fixed(0, 1)
    slice_.golomb(0, 1)  # the quantiser's change, no deblocking
    for top in range(0, rows.shape[0], 16):
        for left in range(0, rows.shape[1], 16):
            slice_.golomb(25).aligned()  # I_PCM
            block = rows[top : top + 16, left : left + 16].tobytes() + bytes([128]) * 128
            slice_.fixed(int.from_bytes(block, "big"), 8 * len(block))
    return slice_.unit(0x65 if key else 0x61)
