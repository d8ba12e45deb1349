"""Encoders that `magkit pretrain` wrote, loaded into the network that they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from magkit.errors import UsageError
from magkit.magnify.encoder import (
    EncoderInfo,
    encoder_config,
    encoder_file,
    encoder_spec,
    read_info,
    read_state,
)
from magkit.magnify.load import build_magnifier, read_configuration
from magkit.plugins import registry
from magkit.selfsup.backbones import BACKBONES, build_backbone
from magkit.specs import MagnifierSpec, is_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFile:
    """An encoder's file, and how its network is built.

    Attributes:
        path: of the file.
        info: its metadata.
        build: returns the network, with the weights that it starts from.
        strides: pixels of the frame to a cell, by branch.
        spec: of the magnifier; None: a backbone's encoder.
    """

    path: Path
    info: EncoderInfo
    build: Callable[[], nn.Module]
    strides: Mapping[str, int]
    spec: MagnifierSpec[Any] | None

    def load(self) -> nn.Module:
        """Return the network with the weights of the file.

        Raises:
            MagkitError: they don't fit, or aren't finite.
        """
        network = self.build()
        network.load_state_dict(read_state(self.path, network.state_dict()))
        return network


def open_encoder_file(
    path: Path, magnifier: str | None = None, backbone: str | None = None
) -> EncoderFile:
    """Open an encoder.

    Args:
        path: its file, or the folder of its run.
        magnifier: whose it must be; None: anyone's.
        backbone: of an own network its reference, "package.module:factory", whose code is
            imported. What the file says is not enough: files may come from anyone.

    Raises:
        MagkitError: it is no encoder, or is damaged.
        UsageError: it is another network's, or that of a magnifier that isn't installed.
    """
    path = encoder_file(path)
    info = read_info(path)
    if magnifier is None and (info.magnifier in BACKBONES or is_reference(info.magnifier)):
        name = _backbone(path, info.magnifier, backbone)
        return EncoderFile(
            path=path,
            info=info,
            build=lambda: build_backbone(name).encoder,
            strides=build_backbone(name).strides,
            spec=None,
        )
    if backbone is not None:
        raise UsageError(
            f"{path} holds an encoder of the magnifier '{info.magnifier}', not of a backbone",
            "leave out --backbone",
        )
    spec = registry().magnifier(magnifier or info.magnifier)
    config, encoder = encoder_config(spec, path), encoder_spec(spec)
    return EncoderFile(
        path=path,
        info=info,
        build=lambda: encoder.build(config),
        strides=encoder.strides,
        spec=spec,
    )


def magnifier_encoder(spec: MagnifierSpec[Any], path: Path) -> tuple[nn.Module, Any]:
    """Return the encoder of a magnifier's weights, and the magnifier's configuration.

    Raises:
        UsageError: the magnifier has no encoder that is trained by itself.
        MagkitError: the weights are damaged, not weights, or don't fit.
    """
    part = encoder_spec(spec)
    model: Any = build_magnifier(spec, path)
    config = read_configuration(spec, path, ())
    encoder, state = part.build(config), model.state_dict()
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    return encoder, config


def _backbone(path: Path, recorded: str, given: str | None) -> str:
    if is_reference(recorded):
        if given is None:
            raise UsageError(
                f"{path} holds an encoder of '{recorded}', which is code outside of magkit",
                f"--backbone {recorded} imports it: add that if you trust it",
            )
        return given
    if given not in (None, recorded):
        raise UsageError(
            f"{path} holds an encoder of '{recorded}', not of '{given}'",
            f"add --backbone {recorded}",
        )
    return recorded
