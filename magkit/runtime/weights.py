"""Weights files: safetensors and PyTorch state dicts, read without running code."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from magkit.errors import MagkitError
from magkit.progress import shows_progress
from magkit.runtime.files import atomic_path
from magkit.runtime.text import json_object

# Keys under which training programs nest the weights in a checkpoint.
_NESTS = ("state_dict", "model_state_dict", "model")
WEIGHTS_HINT = "give a safetensors file, or the state_dict that torch.save wrote"


@dataclass(frozen=True, slots=True)
class Weights:
    """Contents of a weights file.

    Attributes:
        tensors: by their names in the network.
        metadata: texts; magkit writes "magnifier" (a name) and "config" (a JSON object).
    """

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]


def read_weights(path: Path) -> Weights:
    """Read a safetensors file or a PyTorch state dict, never running code that a file holds.

    A state dict may be nested in a checkpoint, and its keys may start with "module.". Half
    precision becomes single.

    Raises:
        MagkitError: it can't be read, or holds something else.
    """
    try:
        tensors, metadata = _read(path)
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror or error}") from error
    tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    for key, value in tensors.items():
        if value.is_floating_point():
            tensors[key] = value.float()
            if not value.isfinite().all():
                raise MagkitError(f"{path} holds non-finite values, in {key}", WEIGHTS_HINT)
    return Weights(tensors, metadata)


def recorded_config(found: Weights, path: Path) -> dict[str, Any]:
    """Return the configuration recorded in a weights file's metadata; empty without one.

    Raises:
        MagkitError: it is no JSON object.
    """
    return json_object(found.metadata.get("config", "{}"), f"{path}: its configuration")


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        if not (is_zipfile(path) or _is_pickle(path)):
            raise MagkitError(f"{path} is not a weights file", WEIGHTS_HINT) from error
    return _state_dict(_unpickle(path), path), {}


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def _unpickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of others' pickles, but reads them
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise MagkitError(
            f"{path} holds a pickled Python object, which could run code when it is loaded",
            "save the model's state_dict() where it comes from, and load that",
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise MagkitError(f"{path} is damaged, or not a weights file", WEIGHTS_HINT) from error


def _state_dict(content: Any, path: Path) -> dict[str, torch.Tensor]:
    for nest in _NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    if not isinstance(content, Mapping) or not content:
        raise MagkitError(f"{path} holds no state_dict", WEIGHTS_HINT)
    tensors = {str(key): value for key, value in content.items() if torch.is_tensor(value)}
    if len(tensors) < len(content):
        stray = next(str(key) for key, value in content.items() if not torch.is_tensor(value))
        raise MagkitError(f"{path} is no state_dict: '{stray}' is not a tensor", WEIGHTS_HINT)
    return tensors


def mismatch(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """Describe missing, unknown and misshapen tensors, each with an example; "" if none is."""
    missing = [key for key in wanted if key not in given]
    stray = [key for key in given if key not in wanted]
    other = [key for key in wanted if key in given and wanted[key].shape != given[key].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of its {len(wanted)} tensors are missing ({missing[0]})")
    if stray:
        problems.append(f"{len(stray)} are unknown ({stray[0]})")
    if other:
        shapes = f"{other[0]} is {_shape(given[other[0]])}, not {_shape(wanted[other[0]])}"
        problems.append(f"{len(other)} are of another shape ({shapes})")
    return ", ".join(problems)


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def to_storable(tensor: torch.Tensor) -> torch.Tensor:
    """Return a contiguous copy of a tensor on the CPU, without gradient."""
    return tensor.detach().cpu().contiguous().clone()


def write_tensors(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> None:
    """Write a safetensors file, atomically and reproducibly.

    Raises:
        MagkitError: the file exists and `overwrite` is False, or it can't be written.
    """
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(_sorted_metadata(save(dict(tensors), dict(metadata))))


def _sorted_metadata(content: bytes) -> bytes:
    """Sort the metadata of a safetensors file, which the library writes in random order.

    The header is JSON, padded with spaces; its length in 8 bytes goes before it.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return content[:8] + text.ljust(end - 8) + content[end:]


def download_weights(url: str, name: str, hint: str = "") -> Path:
    """Return a published weights file in torch's cache, downloaded into it unless it is there.

    Args:
        url: Of the file, whose name ends in the start of its SHA-256, "resnet18-f37072fd.pth",
            which is checked.
        name: The network, for messages.
        hint: What else the user can do, a clause for messages.

    Raises:
        MagkitError: It is not there and can't be downloaded.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    if shows_progress():
        sys.stderr.write(f"downloading {url} to {path}\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(url, str(path), prefix, progress=shows_progress())
    except (URLError, OSError, RuntimeError) as error:
        raise MagkitError(
            f"the weights of '{name}' are not in {path.parent}, nor to be downloaded: {error}",
            f"--weights FILE, or fetch {url} where there is a network and put it there"
            + (f"; {hint}" if hint else ""),
        ) from error
    return path
