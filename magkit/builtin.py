"""What ships with magkit, registered through the hooks that every plugin uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from magkit.hookspecs import hookimpl
from magkit.invert.targets import maskrcnn_spec as maskrcnn
from magkit.invert.targets import segmenter_spec as segmenter
from magkit.magnify import fast_spec, linear_spec, magnet_spec, phase_spec
from magkit.selfsup import byol_spec as byol
from magkit.selfsup import moco_spec as moco
from magkit.selfsup import scrl_spec as scrl
from magkit.specs import MagnifierSpec, MethodSpec, TargetSpec


@hookimpl
def magkit_magnifiers() -> Iterable[MagnifierSpec[Any]]:
    """The paper's network and the fast one, and the classical ones."""
    return [fast_spec.SPEC, magnet_spec.SPEC, linear_spec.SPEC, phase_spec.SPEC]


@hookimpl
def magkit_methods() -> Iterable[MethodSpec[Any]]:
    """Contrast, regression, and regression place by place."""
    return [moco.SPEC, byol.SPEC, scrl.SPEC]


@hookimpl
def magkit_targets() -> Iterable[TargetSpec[Any]]:
    """Mask R-CNNs, and the network that looks at what they were made to see."""
    return [maskrcnn.SMALL_SPEC, maskrcnn.V1_SPEC, maskrcnn.V2_SPEC, segmenter.SPEC]
