"""The hooks that a plugin may implement; its entry point is in the group `magkit`."""

from collections.abc import Iterable
from typing import Any

import pluggy

from magkit.specs import MagnifierSpec, MethodSpec, TargetSpec

PROJECT = "magkit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def magkit_methods() -> Iterable[MethodSpec[Any]]:  # type: ignore[empty-body]
    """The self-supervised methods that the plugin provides."""


@hookspec
def magkit_targets() -> Iterable[TargetSpec[Any]]:  # type: ignore[empty-body]
    """The models to invert that the plugin provides."""


@hookspec
def magkit_magnifiers() -> Iterable[MagnifierSpec[Any]]:  # type: ignore[empty-body]
    """The magnifiers that the plugin provides."""
