"""Plain state dicts of networks: safetensors, or what `torch.load(weights_only=True)` reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from magkit.errors import MagkitError
from magkit.export.networks import TrainedEncoder, TrainedMagnifier
from magkit.magnify.encoder import save_encoder
from magkit.magnify.load import save_weights
from magkit.runtime.files import atomic_path
from magkit.runtime.weights import to_storable
from magkit.version import __version__


def export_safetensors(
    found: TrainedEncoder | TrainedMagnifier, path: Path, *, overwrite: bool = False
) -> None:
    """Write a network's state dict as safetensors, with the metadata that magkit reads.

    Raises:
        MagkitError: the file exists or can't be written, or a weight is not finite.
    """
    if isinstance(found, TrainedEncoder):
        save_encoder(path, found.network.state_dict(), found.info, overwrite=overwrite)
        return
    metadata = {
        "magnifier": found.spec.name,
        "config": json.dumps(asdict(found.config), sort_keys=True),
        "magkit": __version__,
    }
    save_weights(path, found.network, metadata, overwrite=overwrite)


def export_torch(
    found: TrainedEncoder | TrainedMagnifier, path: Path, *, overwrite: bool = False
) -> None:
    """Write a network's state dict by `torch.save`: tensors by name, and nothing else.

    Raises:
        MagkitError: the file exists or can't be written, or a weight is not finite.
    """
    state = {key: to_storable(value) for key, value in found.network.state_dict().items()}
    for key, value in state.items():
        if not value.isfinite().all():
            raise MagkitError(f"{path} is not written: {key} holds non-finite values")
    with atomic_path(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        torch.save(state, file)  # not to a path, whose name it would record
