"""Tensors as a safetensors file, whole or not at all; the same ones always give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from magkit.runtime.atomic import atomic_path


def stored(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a tensor as a file takes it."""
    return tensor.detach().cpu().contiguous().clone()


def write_tensors(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    texts: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> None:
    """Write tensors by their names, with texts beside them.

    Raises:
        MagkitError: the file exists and is not to be replaced, or can't be written.
    """
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(_ordered(save(dict(tensors), dict(texts))))


def _ordered(content: bytes) -> bytes:
    """Sort the metadata of a safetensors file, which the library writes in an order of chance.

    The header is JSON, padded with spaces; its length in 8 bytes goes before it.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return content[:8] + text.ljust(end - 8) + content[end:]
