"""Memory that was freed, given back to the system."""

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache


def give_back() -> None:
    """Return freed memory to the operating system, where its allocator has to be told to.

    The GNU C library keeps freed blocks of up to 32 MB for itself. Where long-lived blocks lie
    between short-lived ones of many sizes, few of them fit again, and a process grows to several
    times what it uses. Takes milliseconds.
    """
    if trim := _trim():
        trim(0)


@lru_cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
