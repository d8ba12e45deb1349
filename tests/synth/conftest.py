"""Sources and scenes made by hand."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from magkit.synth.render import Sources
from magkit.synth.scene import Kind, Layer, Scene
from magkit.synth.shapes import ProceduralCutouts
from magkit.synth.textures import ProceduralPictures


class Given:
    """Tensors as pictures and as objects, handed out as they are."""

    unreadable: tuple[str, ...] = ()

    def __init__(self, items: Sequence[torch.Tensor]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def picture(self, index: int) -> torch.Tensor:
        return self.items[index]

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        assert longest >= max(self.items[index].shape[1:])
        return self.items[index]

    def name(self, index: int) -> str:
        return f"given {index}"

    def prepare(self, indices: Iterable[int]) -> None:
        pass

    def describe(self) -> list[dict[str, Any]]:
        return [{"kind": "given", "count": len(self.items)}]


@pytest.fixture
def given() -> Callable[..., Sources]:
    """Makes sources of pictures (uint8) and objects (float RGBA)."""

    def make(
        pictures: Sequence[torch.Tensor], cutouts: Sequence[torch.Tensor] = (torch.zeros(4, 4, 4),)
    ) -> Sources:
        return Sources(Given(pictures), Given(cutouts))

    return make


@pytest.fixture(scope="session")
def procedural() -> Sources:
    """A few procedural pictures and objects."""
    return Sources(ProceduralPictures(12), ProceduralCutouts(12))


@pytest.fixture
def a_scene() -> Callable[..., Scene]:
    """Makes a scene whose background is the picture as it is, in its own colours."""

    def make(
        layers: Sequence[Layer] = (),
        *,
        kind: Kind = "normal",
        motion: tuple[float, float] = (0.0, 0.0),
        factor: float = 1.0,
        gain: tuple[float, float, float] = (1.0, 1.0, 1.0),
        offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
        noise_seed: int = 0,
    ) -> Scene:
        return Scene(
            index=0,
            kind=kind,
            factor=factor,
            background=0,
            zoom=1.0,
            corner=(0.0, 0.0),
            flip=False,
            motion=motion,
            layers=tuple(layers),
            gain=gain,
            offset=offset,
            noise_seed=noise_seed,
        )

    return make


@pytest.fixture
def a_layer() -> Callable[..., Layer]:
    """Makes object `number` at a place, given in pixels of a frame of a size."""

    def make(
        number: int,
        origin: tuple[float, float],
        motion: tuple[float, float] = (0.0, 0.0),
        *,
        size: int,
        flip: bool = False,
    ) -> Layer:
        x, y = origin
        return Layer(
            number=number, extent=10_000, origin=(x / size, y / size), motion=motion, flip=flip
        )

    return make


@pytest.fixture
def noise_picture() -> Callable[..., torch.Tensor]:
    """Makes a picture of rough noise, grey levels 40 to 215, as uint8 (3, side, side)."""

    def make(side: int, seed: int = 0) -> torch.Tensor:
        levels = np.random.default_rng(seed).integers(40, 216, (3, side, side), dtype=np.uint8)
        return torch.from_numpy(levels)

    return make
