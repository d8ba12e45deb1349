"""magkit: see motions that are too small to see, and what a network remembers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magkit.errors import MagkitError, UsageError
    from magkit.hookspecs import hookimpl
    from magkit.magnify.load import load_magnifier
    from magkit.magnify.pipeline import magnify_file
    from magkit.progress import shows_progress
    from magkit.protocols import Annotation, Labels, Magnifier, Method, Statistic, Target, View
    from magkit.specs import EncoderSpec, MagnifierSpec, MapInfo, MethodSpec, Preset, TargetSpec
    from magkit.video.read import open_video

__version__ = "0.1.0"

__all__ = [
    "Annotation",
    "EncoderSpec",
    "Labels",
    "MagkitError",
    "Magnifier",
    "MagnifierSpec",
    "MapInfo",
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
    "magnify_file",
    "open_video",
    "shows_progress",
]

_HOMES = {
    "Annotation": "magkit.protocols",
    "EncoderSpec": "magkit.specs",
    "Labels": "magkit.protocols",
    "MagkitError": "magkit.errors",
    "Magnifier": "magkit.protocols",
    "MagnifierSpec": "magkit.specs",
    "MapInfo": "magkit.specs",
    "Method": "magkit.protocols",
    "MethodSpec": "magkit.specs",
    "Preset": "magkit.specs",
    "Statistic": "magkit.protocols",
    "Target": "magkit.protocols",
    "TargetSpec": "magkit.specs",
    "UsageError": "magkit.errors",
    "View": "magkit.protocols",
    "hookimpl": "magkit.hookspecs",
    "load_magnifier": "magkit.magnify.load",
    "magnify_file": "magkit.magnify.pipeline",
    "open_video": "magkit.video.read",
    "shows_progress": "magkit.progress",
}


def __getattr__(name: str) -> Any:
    # Resolved when asked for, so that `import magkit` costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module 'magkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
