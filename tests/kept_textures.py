"""Procedural textures that are drawn once for all tests and for the processes that they start."""

import os
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch


def kept(draw: Callable[[int], torch.Tensor], folder: Path) -> Callable[[int], torch.Tensor]:
    """`magkit.synth.procedural.texture`, given as `draw`, that keeps its results in a folder."""
    from magkit.synth.procedural import SIDE

    folder.mkdir(exist_ok=True)

    @lru_cache(maxsize=200)  # 0.8 MB each
    def texture(number: int) -> torch.Tensor:
        path = folder / str(number)
        if path.is_file():
            stored = bytearray(path.read_bytes())
            return torch.frombuffer(stored, dtype=torch.uint8).view(3, SIDE, SIDE)
        drawn = draw(number)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        part.write_bytes(drawn.numpy().tobytes())
        part.replace(path)
        return drawn

    return texture
