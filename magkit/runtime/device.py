"""Device, autocast precision and threads of torch, and memory returned to the system."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Literal

import torch

from magkit.errors import UsageError


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device that `--device` names: "auto" takes CUDA, else MPS, else the CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UsageError: the name is none of these, or this machine has no such device.
    """
    if name == "auto":
        name = next((kind for kind in ("cuda", "mps") if _available(kind)), "cpu")
    match = re.fullmatch(r"cpu|mps|cuda(?::(\d+))?", name)
    if match is None:
        raise UsageError(f"no device is named '{name}'", "auto, cpu, cuda, cuda:N or mps")
    kind, index = name.partition(":")[0], int(match[1] or 0)
    if not _available(kind):
        build = "" if kind == "mps" or torch.version.cuda else ": this torch is built without CUDA"
        raise UsageError(f"no {kind.upper()} device is there{build}", "use --device auto or cpu")
    if kind == "cuda" and index >= torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise UsageError(f"there is no {name}: CUDA devices here: {there}", "they count from 0")
    return torch.device(name)


def set_threads(count: int | None) -> None:
    """Let torch use `count` processor threads; None leaves its own choice.

    Raises:
        UsageError: `count` is below 1.
    """
    if count is None:
        return
    if count < 1:
        raise UsageError(f"the number of threads must be at least 1, not {count}")
    torch.set_num_threads(count)


def _available(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()


Precision = Literal["auto", "full", "bf16"]


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 faster than single precision."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without AMX, x86 processors take up to five times as long as for single precision.
        known, amx = torch.ops.mkldnn._is_mkldnn_bf16_supported, torch.cpu._is_amx_tile_supported  # noqa: SLF001 - torch has no other
        return bool(known()) and (amx() or platform.machine() in {"aarch64", "arm64"})
    return False


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Return an autocast context to bfloat16, disabled for "full"; "auto": where that is fast."""
    half = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def trim_memory() -> None:
    """Return freed memory to the operating system (malloc_trim); takes milliseconds.

    The GNU C library keeps freed blocks of up to 32 MB. Where long-lived blocks lie between
    short-lived ones of many sizes, few of them fit again, and a process grows to several times
    what it uses.
    """
    if trim := _malloc_trim():
        trim(0)


@lru_cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
