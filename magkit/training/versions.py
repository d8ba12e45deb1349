"""What a run was made with: for the record, compared with nothing."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import torch

from magkit import __version__
from magkit.runtime import ranks

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pycocotools", "safetensors")


def made_with(device: torch.device | str, **more: Any) -> dict[str, Any]:
    """Return versions, machine, device, threads and processes, and what else is said."""
    return {
        "magkit": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "processes": ranks.world(),
        **more,
    }
