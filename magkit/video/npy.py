"""Clips as arrays in NumPy's format (.npy), mapped into memory."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.video.depth import Depth, find_depth, require_8_bit
from magkit.video.info import FrameRangeReader, ReadOptions, VideoInfo, plain_info
from magkit.video.pictures import decode_errors
from magkit.video.raw_frames import rate_or_default, scaled

_FULL = 65535
_SAMPLED = 16
_SCALE = "floats run from 0, black, to 1, white: scale them"


def open_npy(
    path: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
) -> tuple[VideoInfo, FrameRangeReader]:
    """Open an array (T, H, W) or (T, H, W, 3) of uint8, uint16, or floats from 0 to 1.

    A warning tells that no rate is stated. Floats are rounded to 16 bits.

    Returns:
        The record, and a function that streams frames first <= n < last, (H, W, 3) RGB.

    Raises:
        UsageError: The stated depth is impossible.
        MagkitError: It is damaged or truncated, or an array of another kind.
    """
    with decode_errors(path):
        array = _map(path)
        _check(array)
    depth = _find_depth(path, array, options.bits)
    count, height, width = array.shape[:3]
    info = plain_info(width, height, rate_or_default(path, options.rate, None), count)
    stream = partial(scaled, path, partial(_values, path), depth, options.deep and depth.bits > 8)
    return replace(info, bits=depth.bits, grey=array.ndim == 3), stream


def _map(path: Path) -> NDArray[Any]:
    # It refuses objects, which would be pickled, and shapes that the file is too small for.
    return np.lib.format.open_memmap(path, mode="r")


def _check(array: NDArray[Any]) -> None:
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32, np.float64):
        raise MagkitError(
            f"its values are {array.dtype}", hint="uint8, uint16, and floats from 0 to 1 are read"
        )
    if not array.size or not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)):
        raise MagkitError(
            f"its shape is {array.shape}",
            hint="(T, H, W) of greys and (T, H, W, 3) of RGB are read",
        )


def _find_depth(path: Path, array: NDArray[Any], bits: int | None) -> Depth:
    if array.dtype == np.uint8:
        return require_8_bit(path, bits)
    if array.dtype.kind == "f":
        return Depth(16)
    places = np.linspace(0, len(array) - 1, min(len(array), _SAMPLED)).astype(int)
    return find_depth(path, [None] * len(places), bits, lambda n: np.asarray(array[places[n]]))


def _values(path: Path, first: int, last: int) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
    with decode_errors(path):
        for number in range(first, last):
            # A map for each frame: pages of one that is kept open would add up in memory.
            yield as_integers(np.array(_map(path)[number]), number)


def as_integers(values: NDArray[Any], number: int) -> NDArray[np.unsignedinteger[Any]]:
    """Return values of bytes, 16 bits or floats as native integers; floats are rounded to 16 bits.

    Args:
        values: of a frame.
        number: of the frame, from 0, for errors.

    Raises:
        MagkitError: a float isn't from 0 to 1.
    """
    if values.dtype.kind != "f":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    low, high = float(values.min()), float(values.max())
    if math.isnan(low):  # as the greatest is, if any value is
        raise MagkitError(f"frame {number + 1} holds values that are no numbers (NaN)", _SCALE)
    if not (low >= 0 and high <= 1):
        raise MagkitError(
            f"frame {number + 1} holds values from {low:g} to {high:g}",
            _SCALE,
        )
    return np.rint(values.astype(np.float64) * _FULL).astype(np.uint16)
