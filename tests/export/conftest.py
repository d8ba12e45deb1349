"""Small trained networks in files, and pictures and clips to embed."""

import json
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.magnify.encoder import EncoderInfo, save_encoder
from magkit.magnify.fast import FastEncoder, MagnetFast
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.load import save_weights
from magkit.video import plain_info, write_video

CONFIG = FastConfig(stem=4, width=8, guide=4, hidden=4)


@pytest.fixture(scope="session")
def encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, as `magkit pretrain` writes it."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    torch.manual_seed(0)
    info = EncoderInfo(
        magnifier="magnet-fast",
        config=asdict(CONFIG),
        branches=("motion",),
        method="byol",
        steps=3,
    )
    save_encoder(path, FastEncoder(CONFIG).state_dict(), info)
    return path


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole magnifier, as `magkit finetune` writes it."""
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    torch.manual_seed(1)
    metadata = {"magnifier": "magnet-fast", "config": json.dumps(asdict(CONFIG))}
    save_weights(path, MagnetFast(CONFIG), metadata)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five pictures of different sizes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(256, size=(40 + number, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Writes a clip of so many frames."""

    def write(count: int = 6, name: str = "clip.mkv") -> Path:
        rng = np.random.default_rng(1)
        frames = (rng.integers(256, size=(32, 48, 3), dtype=np.uint8) for _ in range(count))
        path = tmp_path / "clips" / name
        write_video(path, frames, plain_info(48, 32, Fraction(25), count))
        return path

    return write
