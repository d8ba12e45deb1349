"""The output folder of a clip or of classes; reading, writing and joining images.

CLIP/frames/00000.png       what was made, named as the mask is
CLIP/frames/magkit.json     rate and size, for the commands that read folders of frames
CLIP/records/00000.json     how it was made: steps, seconds, terms
CLIP/state-00000.pt         a frame that is being made

A finished frame is 8 bits a channel, and the frames that follow start from these bits: the pictures
are all that a job needs to go on with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from magkit.errors import MagkitError
from magkit.invert import priors
from magkit.invert.optimize import OptimState
from magkit.runtime.files import atomic_path
from magkit.runtime.text import read_json_object
from magkit.synth.pictures import decode_errors
from magkit.video.folder import SIDECAR, write_sidecar
from magkit.video.info import DEFAULT_RATE, plain_info
from magkit.video.pictures import read_picture


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """The output folder of one clip or of the class images.

    Attributes:
        path: the folder.
        frames: the name of its subfolder of finished frames.
    """

    path: Path
    frames: str = "frames"

    def frame(self, stem: str) -> Path:
        """Return the path of a finished frame."""
        return self.path / self.frames / f"{stem}.png"

    def record(self, stem: str) -> Path:
        """Return the path of a frame's record."""
        return self.path / "records" / f"{stem}.json"

    def has(self, stem: str) -> bool:
        """Return whether a frame is finished."""
        return self.frame(stem).is_file()

    def read(self, stem: str) -> Tensor:
        """Return a finished frame in normalised space, (3, H, W).

        Raises:
            MagkitError: it can't be read.
        """
        return priors.normalize(read_image(self.frame(stem))[None])[0]

    def write(self, stem: str, x_3HW: Tensor, record: Mapping[str, Any]) -> None:
        """Write a frame's record, then the frame; of several processes the last one wins."""
        with atomic_path(self.record(stem), overwrite=True) as path:
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        save_image(self.frame(stem), to_image(x_3HW))
        self.state(stem).unlink(missing_ok=True)

    def read_record(self, stem: str) -> dict[str, Any]:
        """Return the record of a frame; empty if it is missing or damaged."""
        try:
            return read_json_object(self.record(stem))
        except MagkitError:
            return {}

    def write_sidecar(self, size: tuple[int, int], rate: Fraction = DEFAULT_RATE) -> None:
        """Write the sidecar with the frames' size and rate, unless it exists."""
        final = self.path / self.frames / SIDECAR
        if not final.is_file():
            final.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".", dir=self.path) as folder:
                write_sidecar(Path(folder), plain_info(size[1], size[0], rate))
                (Path(folder) / SIDECAR).replace(final)

    def state(self, stem: str) -> Path:
        """Return the path of the saved state of an unfinished frame."""
        return self.path / f"state-{stem}.pt"

    def save_state(self, stem: str, position: OptimState) -> None:
        """Save the state of an unfinished frame."""
        content = {f.name: getattr(position, f.name) for f in fields(OptimState)}
        with atomic_path(self.state(stem), overwrite=True) as path:
            torch.save(content, path)

    def load_state(self, stem: str) -> OptimState | None:
        """Return the saved state of an unfinished frame; None if it is missing or damaged."""
        try:
            content = torch.load(self.state(stem), map_location="cpu", weights_only=True)
            return OptimState(**content)
        except Exception:  # torch raises many types for a truncated file
            return None


def to_image(x_3HW: Tensor) -> Tensor:
    """Return a picture in [0, 1] of one in normalised space."""
    return priors.denormalize(x_3HW).clamp(0, 1)


def read_image(path: Path) -> Tensor:
    """Read a picture as (3, H, W) in [0, 1].

    Raises:
        MagkitError: it can't be read.
    """
    return torch.from_numpy(read_picture(path)).permute(2, 0, 1).float() / 255


def check_image_size(path: Path, size: tuple[int, int]) -> None:
    """Refuse a picture of another height and width than a job's, by its header.

    Raises:
        MagkitError: it is one, or can't be read.
    """
    with decode_errors(str(path)), Image.open(path, formats=("PNG",)) as image:
        if (image.height, image.width) != size:
            found = f"{image.width}x{image.height}"
            raise MagkitError(f"it is {found}, but those of this job are {size[1]}x{size[0]}")


def save_image(path: Path, picture_3HW: Tensor) -> None:
    """Write a picture in [0, 1] as a PNG, in place of one that is there."""
    pixels = (picture_3HW.detach().cpu() * 255).round().byte().permute(1, 2, 0)
    with atomic_path(path, overwrite=True) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels.numpy())).save(temporary, compress_level=2)


def concat_padded(pictures: Sequence[Tensor], dim: int) -> Tensor:
    """Concatenate images (3, H, W) of any sizes, padded in white: dim 1 down, dim 2 across."""
    high, wide = (max(each.shape[d] for each in pictures) for d in (1, 2))
    padded = []
    for each in pictures:
        right = wide - each.shape[2] if dim == 1 else 0
        below = high - each.shape[1] if dim == 2 else 0
        padded.append(F.pad(each, (0, right, 0, below), value=1.0))
    return torch.cat(padded, dim)
