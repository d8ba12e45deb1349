"""Small pictures, clips and data sets to take frames from."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from magkit.data.plan import Format, Kind, make_plan
from magkit.data.write import write_dataset
from magkit.synth.build import build_sources
from magkit.synth.scene import SceneConfig
from magkit.video import plain_info, write_video

Made = Callable[..., Path]


class Numbers:
    """Frames that are nothing but their number and role, as a `FrameSource`."""

    unreadable: tuple[str, ...] = ()

    def __init__(self, count: int, roles: tuple[str, ...] = ("a",)) -> None:
        self.count, self.roles = count, roles

    def __len__(self) -> int:
        return self.count

    def __str__(self) -> str:
        return f"{self.count} numbers"

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        values = torch.tensor(indices, dtype=torch.float32) + 100 * self.roles.index(role)
        return (values / 255)[:, None, None, None].expand(-1, 3, 8, 8)

    def describe(self) -> dict[str, Any]:
        return {"numbers": self.count}


@pytest.fixture(scope="session")
def numbers() -> type[Numbers]:
    return Numbers


def picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return (height, width, 3): red grows with x, green with y, blue tells pictures apart."""
    y, x = np.mgrid[:height, :width]
    blue = np.full_like(x, 40 * seed % 256)
    return np.stack([x * 255 // width, y * 255 // height, blue], -1).astype(np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of pictures of the given sizes (width, height)."""

    def make(*sizes: tuple[int, int], name: str = "pictures") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for number, size in enumerate(sizes):
            Image.fromarray(picture(*size, number)).save(folder / f"{number}.png")
        return folder

    return make


@pytest.fixture
def clip(tmp_path: Path) -> Made:
    """Makes a nearly lossless clip; its frames' grey level is 5 times their number."""

    def make(frames: int, name: str = "clip.mkv", folder: str = "clips") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        levels = (np.full((64, 64, 3), 5 * n % 256, np.uint8) for n in range(frames))
        write_video(path, levels, plain_info(64, 64, Fraction(25)))
        return path

    return make


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Writes six scenes of 32 pixels in a format, once; nobody changes them."""
    made: dict[tuple[Format, Kind], Path] = {}
    sources = build_sources((), None, None, 6)

    def make(layout: Format, kind: Kind = "triplets") -> Path:
        if (layout, kind) not in made:
            config = SceneConfig(size=32, objects=(1, 2))
            place = tmp_path_factory.mktemp("sets") / "set"
            write_dataset(place, make_plan(kind, layout, 6, 3, config, sources), sources)
            made[layout, kind] = place
        return made[layout, kind]

    return make
