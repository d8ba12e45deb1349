"""Video motion magnification, self-supervised pretraining of its networks, and model inversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magkit.lazy import lazy_exports
from magkit.version import __version__

if TYPE_CHECKING:
    from magkit.errors import MagkitError, UsageError
    from magkit.hookspecs import hookimpl
    from magkit.magnify.api import magnify
    from magkit.magnify.load import load_magnifier
    from magkit.magnify.pipeline import magnify_file
    from magkit.magnify.result import MagnifyResult
    from magkit.measure.api import measure
    from magkit.measure.result import MeasureResult
    from magkit.progress import shows_progress
    from magkit.protocols import (
        Annotation,
        Labels,
        Magnifier,
        MagnifierMethod,
        Method,
        Statistic,
        Target,
        View,
    )
    from magkit.specs import EncoderSpec, MagnifierSpec, MapInfo, MethodSpec, Preset, TargetSpec
    from magkit.video.read import open_video

__all__ = [
    "Annotation",
    "EncoderSpec",
    "Labels",
    "MagkitError",
    "Magnifier",
    "MagnifierMethod",
    "MagnifierSpec",
    "MagnifyResult",
    "MapInfo",
    "MeasureResult",
    "Method",
    "MethodSpec",
    "Preset",
    "Statistic",
    "Target",
    "TargetSpec",
    "UsageError",
    "View",
    "__version__",
    "hookimpl",
    "load_magnifier",
    "magnify",
    "magnify_file",
    "measure",
    "open_video",
    "shows_progress",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "magkit.errors": "MagkitError UsageError",
        "magkit.hookspecs": "hookimpl",
        "magkit.magnify": "magnify",
        "magkit.magnify.load": "load_magnifier",
        "magkit.magnify.pipeline": "magnify_file",
        "magkit.magnify.result": "MagnifyResult",
        "magkit.measure": "measure",
        "magkit.measure.result": "MeasureResult",
        "magkit.progress": "shows_progress",
        "magkit.protocols": (
            "Annotation Labels Magnifier MagnifierMethod Method Statistic Target View"
        ),
        "magkit.specs": "EncoderSpec MagnifierSpec MapInfo MethodSpec Preset TargetSpec",
        "magkit.video.read": "open_video",
    },
)
