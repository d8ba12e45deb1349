"""Objects that somebody cut out already: pictures with transparency, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt

from magkit.errors import MagkitError
from magkit.synth.cache import TensorCache
from magkit.synth.files import ListedFiles
from magkit.synth.listing import find_files
from magkit.synth.pictures import decoding, open_picture
from magkit.synth.sources import MIN_AREA, fit_longest

SUFFIXES = {".png", ".webp", ".tif", ".tiff"}
LONGEST = 1024  # pixels: larger cut-outs are shrunk to this when they are read
FAINT = 16  # of 255: where alpha is lower, a colour means nothing


def decode_rgba(data: bytes, place: str) -> torch.Tensor:
    """Decode a cut-out as uint8 RGBA (4, h, w), cut to its object and a pixel around it.

    Where it is transparent its colours are those of the nearest place where it isn't, so that
    none bleeds in at the edge when it is resized.

    Raises:
        MagkitError: it is no picture or a broken one, transparent nowhere or everywhere, or tiny.
    """
    image = open_picture(data, place)
    with decoding(place):
        if not image.has_transparency_data:
            raise MagkitError("it has no transparency")
        layer = image.convert("RGBA")
        layer.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        pixels = np.pad(np.asarray(layer), ((1, 1), (1, 1), (0, 0)))
    alpha = pixels[..., 3]
    if alpha[1:-1, 1:-1].min() == 255:
        raise MagkitError(f"{place} is transparent nowhere")
    if alpha.sum(dtype=np.int64) < 255 * MIN_AREA:
        raise MagkitError(f"{place} is transparent everywhere, or shows a tiny object")
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    pixels = pixels[rows[0] - 1 : rows[-1] + 2, columns[0] - 1 : columns[-1] + 2]
    faint = pixels[..., 3] < FAINT
    if not faint.all():
        nearest = distance_transform_edt(faint, return_distances=False, return_indices=True)
        pixels = np.dstack([pixels[..., :3][tuple(nearest)], pixels[..., 3]])
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


class FileCutouts(ListedFiles):
    """The cut-outs of a place: PNG, WebP or TIFF with transparency.

    One that is broken, tiny, opaque or wholly transparent is replaced by the next that isn't, and
    listed in `unreadable`.

    Raises:
        MagkitError: there is nothing at the place.
    """

    def __init__(self, location: str | Path, cache: TensorCache | None = None) -> None:
        listing = find_files(str(location), SUFFIXES)
        if not len(listing):
            raise MagkitError(f"{location} holds no cut-outs", "PNG, WebP or TIFF, or a COCO .json")
        super().__init__(listing, decode_rgba, "holds no cut-out that can be used", cache)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side at most `longest`.

        Raises:
            MagkitError: none can be read.
        """
        return fit_longest(self.readable(index)[1], longest)
