"""When 16 bits are used: where the machine is faster with them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "full", "bf16"]


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies in bf16 faster than in single precision."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch has no other
    return False


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Return the context in which layers work with as many bits as asked for."""
    half = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
