"""The scenes of a data set as frames, stored or rendered as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from magkit.data.dataset import DataSet
from magkit.data.plan import make_plan
from magkit.data.recipe import RenderedScenes
from magkit.selfsup.frames.source import MEMORY, SINGLE, TRIPLET, squared, to_bytes, to_floats
from magkit.synth.build import build_sources
from magkit.synth.cache import TensorCache
from magkit.synth.scene import SceneConfig

TEXTURES = 160  # 126 MB


class SceneFrames:
    """A data set, as a `FrameSource`: single frames, or A, B and C of every scene.

    Scenes of another size are scaled; the frames of one scene all alike. Frames are remembered up
    to `MEMORY`: a triplet once its B or C was asked for, else A alone.

    Args:
        data: single frames or triplets.
        size: S.
        name: what they are, for a sentence.
    """

    unreadable: tuple[str, ...] = ()

    def __init__(self, data: DataSet, size: int, name: str) -> None:
        self._data, self._size, self._name = data, size, name
        self._kept = TensorCache(MEMORY)
        self.roles = TRIPLET if data.kind == "triplets" else SINGLE

    def __len__(self) -> int:
        return len(self._data)

    def __str__(self) -> str:
        return f"{len(self)} {self._name}"

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        return to_floats([self._frame(index, role) for index in indices])

    def described(self) -> dict[str, Any]:
        """Return what tells data sets apart, wherever they stand, and the size."""
        return {"scenes": len(self), "fingerprint": self._data.fingerprint, "size": self._size}

    def _frame(self, index: int, role: str) -> Tensor:
        if role == "a" and (index, "abc") not in self._kept:
            return self._kept.get((index, "a"), lambda: self._squared(index, self._first(index)))
        triplet = self._kept.get((index, "abc"), lambda: self._triplet(index))
        return triplet[TRIPLET.index(role)]

    def _first(self, index: int) -> Tensor:
        return self._data.frames([index])[0]

    def _triplet(self, index: int) -> Tensor:
        scene = self._data.triplets([index])
        return torch.stack([self._squared(index, getattr(scene, role)[0]) for role in TRIPLET])

    def _squared(self, index: int, frame: Tensor) -> Tensor:
        return squared(to_bytes(frame), self._size, index)


def procedural_scenes(count: int, size: int, seed: int) -> SceneFrames:
    """Return scenes made of procedural textures and objects, which need no file.

    Each is rendered when it is first asked for and remembered: at 192 x 192 pixels, 1,000 scenes
    take 111 MB where A alone is asked for, and else 332 MB. There are as many textures and objects
    as a process remembers, since drawing them takes longer than all the rest.
    """
    sources = build_sources((), None, None, TEXTURES)
    plan = make_plan("triplets", "recipe", count, seed, SceneConfig(size=size), sources)
    return SceneFrames(
        RenderedScenes(plan, sources, "procedural scenes"), size, "procedural scenes"
    )
