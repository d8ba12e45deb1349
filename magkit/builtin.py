"""The built-ins, registered through the hooks of every plugin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from magkit.hookspecs import hookimpl
from magkit.invert.targets import maskrcnn_spec, segmenter_spec
from magkit.magnify import fast_spec, magnet_spec
from magkit.magnify.classical_spec import COLOUR_SPEC, LINEAR_SPEC, PHASE_SPEC
from magkit.selfsup import byol_spec, moco_spec, photometric_spec, scrl_spec, warp_spec
from magkit.specs import MagnifierSpec, MethodSpec, TargetSpec


@hookimpl
def magkit_magnifiers() -> Iterable[MagnifierSpec[Any]]:
    """The networks, then the classical magnifiers."""
    return [fast_spec.SPEC, magnet_spec.SPEC, LINEAR_SPEC, PHASE_SPEC, COLOUR_SPEC]


@hookimpl
def magkit_methods() -> Iterable[MethodSpec[Any]]:
    """MoCo v2, BYOL and SCRL, which train encoders; two that train whole magnifiers."""
    encoders: list[MethodSpec[Any]] = [moco_spec.SPEC, byol_spec.SPEC, scrl_spec.SPEC]
    return [*encoders, warp_spec.SPEC, photometric_spec.SPEC]


@hookimpl
def magkit_targets() -> Iterable[TargetSpec[Any]]:
    """The Mask R-CNNs, and the networks of per-pixel classes."""
    masks, pixels = maskrcnn_spec, segmenter_spec
    return [
        *(masks.SMALL_SPEC, masks.V1_SPEC, masks.V2_SPEC),
        *(pixels.SPEC, pixels.RESNET_SPEC, pixels.CONVNEXT_SPEC, pixels.SHUFFLE_SPEC),
    ]
