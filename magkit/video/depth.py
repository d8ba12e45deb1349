"""The depth of greys and colours in 16 bits: which value is white, and values on scales of it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.video.depth_tags import Declared

_FULL = 65535

_SAMPLED = 16  # pictures that are looked at to find the range of a clip's values
_DARK = 4  # a clip whose values lie below 1/4 of full scale may have two bits fewer
_COMMON = (8, 10, 12, 14, 16)


@dataclass(frozen=True, slots=True)
class Depth:
    """How the values of a clip are read.

    Args:
        bits: Significant bits of a value.
        white: Of 16-bit values, the one that stands for full scale.
    """

    bits: int = 8
    white: int = _FULL

    def frame(self, values: NDArray[Any], *, deep: bool) -> NDArray[Any]:
        """Values as a frame (H, W, 3): uint16 up to 65535 if `deep`, else uint8; rounded.

        Args:
            values: 8-bit or 16-bit, (H, W, 3) or greys (H, W).

        Raises:
            MagkitError: A value is above full scale.
        """
        if values.dtype != np.uint8 and self.white < _FULL and (peak := values.max()) > self.white:
            raise MagkitError(
                f"it holds the value {peak:,}, above the {self.white:,} of {self.bits} bits",
                hint=f"state a greater depth: --bits {_bits_of(int(peak))}",
            )
        scaled = scale(values, self.white, deep=deep)
        return scaled if scaled.ndim == 3 else np.repeat(scaled[:, :, None], 3, axis=2)


def scale(values: NDArray[Any], white: int, *, deep: bool) -> NDArray[Any]:
    """8-bit values, and 16-bit ones of which `white` is the largest, as uint16 or uint8."""
    if values.dtype == np.uint8:
        return values.astype(np.uint16) * 257 if deep else values
    if deep and white == _FULL:
        return values
    full, kind = (_FULL, np.uint16) if deep else (255, np.uint8)
    # 65535 * 65535 and the half that rounds fit into 32 bits.
    return ((values.astype(np.uint32) * full + white // 2) // white).astype(kind)


def eight_bits(name: object, stated: int | None) -> Depth:
    """The depth of a clip without 16-bit pictures.

    Raises:
        UsageError: Another depth is stated.
    """
    if stated not in {None, 8}:
        raise UsageError(
            f"{name} has 8 bits a value, not {stated}",
            hint="--bits states how many of 16 bits are used",
        )
    return Depth(8)


def find_depth(
    name: object,
    declared: Sequence[Declared | None],
    stated: int | None,
    read: Callable[[int], NDArray[Any]],
) -> Depth:
    """The depth of a clip: as stated, as its 16-bit pictures say, else 16 bits; 8 without such.

    A few of the pictures are read where no depth is stated. A warning names the range of their
    values where it leaves most of 16 bits unused.

    Args:
        name: The clip.
        declared: What each 16-bit picture says of its depth.
        stated: Bits that the user states for these, 8 to 16; None: none.
        read: Gives the values of one of them, by its place in `declared`.

    Raises:
        UsageError: The stated depth is not from 8 to 16, or there are only 8-bit pictures.
        MagkitError: A picture can't be read.
    """
    if not declared:
        return eight_bits(name, stated)
    if stated is not None:
        if not 8 <= stated <= 16:
            raise UsageError(f"a depth is 8 to 16 bits, not {stated}", hint="such as 10, 12 or 14")
        return Depth(stated, 2**stated - 1)
    told = max((one for one in declared if one is not None), key=lambda one: one.bits, default=None)
    if told is None or None in declared:
        told = None
    places = sorted({int(n) for n in np.linspace(0, len(declared) - 1, _SAMPLED)})
    low, high, used = _range(read(place) for place in places)
    if told is not None and high < 2**told.bits:
        # What was scaled up has its lower bits empty, or filled with the upper ones: 0 or 1 here.
        unscaled = not told.scaled or used & (2 ** (16 - told.bits) - 1) > 1
        if unscaled:
            return Depth(told.bits, 2**told.bits - 1)
    if 0 < high < (_FULL + 1) // _DARK:
        logging.getLogger(__name__).warning(
            "%s: values run from %s to %s of 65,535 in %d of %d pictures: state the depth with "
            "--bits %d, or the clip comes out dark",
            *(name, f"{low:,}", f"{high:,}", len(places), len(declared), _bits_of(high)),
        )
    return Depth(told.bits if told is not None and told.scaled else 16)


def _range(pictures: Iterable[NDArray[Any]]) -> tuple[int, int, int]:
    """The lowest and the highest value, and all bits that are set in any."""
    low, high, used = _FULL, 0, 0
    for values in pictures:
        low, high = min(low, int(values.min())), max(high, int(values.max()))
        used |= int(np.bitwise_or.reduce(values, axis=None))
    return low, high, used


def _bits_of(value: int) -> int:
    """The least depth in use that holds a value."""
    return next(bits for bits in _COMMON if value < 2**bits)
