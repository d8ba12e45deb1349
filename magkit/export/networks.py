"""Trained networks by what users call them: encoders and magnifiers, to export or embed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.magnify.encoder import EncoderInfo, encoder_file, encoder_spec, is_encoder
from magkit.magnify.load import (
    DEFAULT_MAGNIFIER,
    build_magnifier,
    read_configuration,
    weights_file,
)
from magkit.plugins import registry
from magkit.runtime.weights import read_weights
from magkit.selfsup.backbones import build_backbone
from magkit.selfsup.encoder_file import magnifier_encoder, open_encoder_file
from magkit.specs import MagnifierSpec, is_reference
from magkit.training.run import Run, read_config

FINETUNE = "finetune"  # the kind of run whose result is a magnifier
NO_METHOD = "none"  # of an encoder whose weights are its factory's


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedEncoder:
    """An encoder with its weights.

    Attributes:
        network: maps frames (N, 3, H, W) in [0, 1] to a dict of maps, in evaluation mode.
        strides: pixels of the frame to a cell, by branch.
        info: whose encoder it is, and how it was trained.
        path: where its weights come from; None: from its factory.
    """

    network: nn.Module
    strides: Mapping[str, int]
    info: EncoderInfo
    path: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedMagnifier:
    """A magnifier with its weights.

    Attributes:
        network: a `protocols.Magnifier`, in evaluation mode.
        spec: of the magnifier.
        config: its configuration.
        path: where its weights come from.
    """

    network: nn.Module
    spec: MagnifierSpec[Any]
    config: Any
    path: Path


def open_encoder(
    place: str, *, magnifier: str | None = None, backbone: str | None = None
) -> TrainedEncoder:
    """Open an encoder, or the encoder of a magnifier.

    Args:
        place: a run of `magkit pretrain` or `magkit finetune`, a file, the name of weights that
            ship, or the reference of an own encoder, "package.module:factory".
        magnifier: whose weights they are, for files that don't say so.
        backbone: of an own encoder's file, the reference of its code.

    Raises:
        MagkitError: there is no such thing, or it is damaged.
        UsageError: it is another network's, or one without an encoder.
    """
    if is_reference(place) and not Path(place).exists():
        return _of_factory(place)
    path = result_file(place)
    if is_encoder(path):
        found = open_encoder_file(path, magnifier, backbone)
        network, strides, info = found.load(), found.strides, found.info
    else:
        if backbone is not None:
            raise UsageError(f"{path} holds no encoder of a backbone", "leave out --backbone")
        spec = _spec(path, magnifier)
        network, config = magnifier_encoder(spec, path)
        strides = encoder_spec(spec).strides
        info = EncoderInfo(
            magnifier=spec.name,
            config=asdict(config),
            branches=tuple(strides),
            method=FINETUNE,
            steps=0,
        )
    return TrainedEncoder(network=_still(network), strides=strides, info=info, path=path)


def _of_factory(name: str) -> TrainedEncoder:
    built = build_backbone(name)
    info = EncoderInfo(
        magnifier=name, config={}, branches=tuple(built.strides), method=NO_METHOD, steps=0
    )
    return TrainedEncoder(
        network=_still(built.encoder), strides=built.strides, info=info, path=None
    )


def open_network(
    place: str, *, magnifier: str | None = None, backbone: str | None = None
) -> TrainedEncoder | TrainedMagnifier:
    """Open an encoder or a whole magnifier; see `open_encoder`.

    Raises:
        MagkitError: there is no such thing, or it is damaged.
        UsageError: it is another network's.
    """
    own = is_reference(place) and not Path(place).exists()
    if own or backbone is not None or is_encoder(result_file(place)):
        return open_encoder(place, magnifier=magnifier, backbone=backbone)
    path = result_file(place)
    spec = _spec(path, magnifier)
    network: Any = build_magnifier(spec, path)
    config = read_configuration(spec, path, ())
    return TrainedMagnifier(network=_still(network), spec=spec, config=config, path=path)


def result_file(place: str) -> Path:
    """Return a weights file: `place` itself, the result of the run there, or a shipped one.

    Raises:
        MagkitError: there is none, or the run is of another kind or not finished.
    """
    path = Path(place)
    if not path.is_dir():
        return weights_file(place)
    try:
        run = Run(path, read_config(FINETUNE, path))
    except MagkitError:
        return encoder_file(path)
    if not run.finished:
        raise MagkitError(f"the run {path} isn't finished", "the same command resumes it")
    return run.model


def _spec(path: Path, magnifier: str | None) -> MagnifierSpec[Any]:
    recorded = read_weights(path).metadata.get("magnifier")
    return registry().magnifier(magnifier or recorded or DEFAULT_MAGNIFIER)


def _still(network: nn.Module) -> nn.Module:
    # Exporters and other programs expect the channels of a picture one after another.
    network.to(memory_format=torch.contiguous_format)
    return network.eval().requires_grad_(False)
