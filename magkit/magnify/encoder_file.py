"""An encoder as a file: safetensors, with what it is and how it was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from magkit import __version__
from magkit.errors import MagkitError
from magkit.runtime.tensor_file import stored, write_tensors
from magkit.training.run import Run, read_config

KIND = "encoder"  # what a file says that it holds
RUN = "pretrain"  # the kind of run whose result is an encoder
_HINT = "magkit pretrain writes encoders: name its run, or the model.safetensors in it"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInfo:
    """What is written beside an encoder's weights.

    Attributes:
        magnifier: whose encoder it is; a backbone's name, if no magnifier's.
        config: the magnifier's configuration, of JSON's types.
        branches: those that were trained.
        method: that trained them.
        steps: how long.
        magkit: the version that wrote it.
    """

    magnifier: str
    config: Mapping[str, Any]
    branches: tuple[str, ...]
    method: str
    steps: int
    magkit: str = __version__


def save_encoder(
    path: Path, state: Mapping[str, torch.Tensor], info: EncoderInfo, *, overwrite: bool = False
) -> None:
    """Write an encoder's weights, whole or not at all; equal ones give equal bytes.

    Args:
        path: where they go.
        state: the state dict of what `EncoderSpec.build` makes.
        info: what to write beside them.
        overwrite: whether an existing file is replaced.

    Raises:
        MagkitError: the file exists or can't be written, or a weight is no number.
    """
    tensors = {key: stored(value) for key, value in state.items()}
    _check_finite(path, tensors)
    texts = {
        "kind": KIND,
        "magnifier": info.magnifier,
        "config": json.dumps(info.config, sort_keys=True),
        "branches": json.dumps(sorted(info.branches)),
        "method": info.method,
        "steps": str(info.steps),
        "magkit": info.magkit,
    }
    write_tensors(path, tensors, texts, overwrite=overwrite)


def encoder_file(path: Path) -> Path:
    """Return the file of an encoder: `path` itself, or the result of the run in that folder.

    Raises:
        MagkitError: nothing is there, or another kind of run, or one that is not finished.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise MagkitError(f"there is no encoder {path}", _HINT)
    run = Run(path, read_config(RUN, path))
    if not run.finished:
        raise MagkitError(f"the run {path} isn't finished", "the command that began it goes on")
    return run.model


def read_info(path: Path) -> EncoderInfo:
    """Read what is written beside an encoder's weights; of these, nothing.

    Raises:
        MagkitError: the file can't be read, is cut or damaged, or holds no encoder.
    """
    texts = _header(path)[0]
    if texts.get("kind") != KIND:
        of = f" but weights of '{texts['magnifier']}'" if "magnifier" in texts else ""
        raise MagkitError(f"{path} holds no encoder{of}", _HINT)
    try:
        config, branches = json.loads(texts["config"]), json.loads(texts["branches"])
        if not isinstance(config, dict) or not isinstance(branches, list):
            raise TypeError
        return EncoderInfo(
            magnifier=texts["magnifier"],
            config=config,
            branches=tuple(map(str, branches)),
            method=texts["method"],
            steps=int(texts["steps"]),
            magkit=texts["magkit"],
        )
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise MagkitError(f"{path} does not say what encoder it holds", _HINT) from error


def read_state(path: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read an encoder's weights, which must be those that are wanted, by names and shapes.

    Nothing is read of a file that holds others, however large.

    Raises:
        MagkitError: they are others, or no numbers; or the file can't be read.
    """
    check_fit(path, wanted)
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key).to(wanted[key].dtype) for key in wanted}
    _check_finite(path, tensors)
    return tensors


def _header(path: Path) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Read a safetensors file's texts, and its tensors' shapes by their names."""
    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            return file.metadata() or {}, shapes
    except SafetensorError as error:
        raise MagkitError(f"{path} is no safetensors file, or is cut or damaged", _HINT) from error
    except RuntimeError as error:  # it is mapped into memory, unread
        raise MagkitError(f"{path} is too large for an encoder: {error}", _HINT) from error
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror or error}") from error


def check_fit(path: Path, wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuse a file whose tensors are not those that are wanted, by names and shapes.

    Raises:
        MagkitError: they are others, or the file can't be read.
    """
    shapes = _header(path)[1]
    problems = [f"{name} is missing" for name in wanted if name not in shapes]
    problems += [f"{name} is unknown" for name in shapes if name not in wanted]
    problems += [
        f"{name} is {_size(shapes[name])}, not {_size(tuple(value.shape))}"
        for name, value in wanted.items()
        if shapes.get(name, tuple(value.shape)) != tuple(value.shape)
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise MagkitError(
            f"the encoder {path} does not fit: {problems[0]}{more}",
            "--opt must say what it said when the encoder was trained",
        )


def _check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise MagkitError(f"the encoder {path} holds values that are no numbers, in {name}")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"
