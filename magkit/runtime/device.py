"""Where tensors live, and how many processor threads work on them."""

import re

import torch

from magkit.errors import UsageError


def resolve_device(name: str = "auto") -> torch.device:
    """The device that `--device` names: "auto" takes CUDA, else MPS, else the CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UsageError: The name is none of these, or this machine has no such device.
    """
    if name == "auto":
        name = next((kind for kind in ("cuda", "mps") if _available(kind)), "cpu")
    match = re.fullmatch(r"cpu|mps|cuda(?::(\d+))?", name)
    if match is None:
        raise UsageError(f"no device is named '{name}'", "auto, cpu, cuda, cuda:N or mps")
    kind, index = name.partition(":")[0], int(match[1] or 0)
    if not _available(kind):
        built = "" if kind == "mps" or torch.version.cuda else ": this torch is built without CUDA"
        raise UsageError(f"no {kind.upper()} device is there{built}", "use --device auto or cpu")
    if kind == "cuda" and index >= torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise UsageError(f"there is no {name}: CUDA devices here: {there}", "they count from 0")
    return torch.device(name)


def set_threads(count: int | None) -> None:
    """Lets torch use `count` processor threads; None leaves its own choice.

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
