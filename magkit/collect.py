"""Asks one plugin's hooks for its specs, and checks each: what is wrong becomes a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pluggy

from magkit import hookspecs
from magkit.errors import MagkitError, did_you_mean
from magkit.options import option_rows
from magkit.specs import API, MagnifierSpec, MethodSpec, Preset, Spec, TargetSpec

HOOKS: dict[str, type[Spec]] = {
    "magkit_methods": MethodSpec,
    "magkit_targets": TargetSpec,
    "magkit_magnifiers": MagnifierSpec,
}

Key = tuple[str, str]
"""A spec's kind and name, which a distribution may use once."""


def collect(plugin: object, provided: Iterable[Key]) -> Iterator[Spec]:
    """Yields the specs of a module, or any object, that implements some of the hooks.

    Args:
        plugin: What the entry point names.
        provided: What the same distribution's other plugins provide.

    Raises:
        MagkitError: A hook is unknown, or gives something else than new specs for this magkit.
        Exception: Whatever a hook itself raises.
    """
    # A manager for each plugin: pluggy calls a hook of all its plugins together, and one that
    # raises would take the others' answers with it.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    _refuse_unknown(manager, plugin)
    seen = set(provided)
    for hook, kind in HOOKS.items():
        for answer in getattr(manager.hook, hook)():
            if not isinstance(answer, Iterable):
                raise MagkitError(
                    f"{hook} gives {_a(answer)} in place of a list of {kind.__name__}"
                )
            for spec in answer:
                _check(hook, kind, spec)
                if (spec.kind, spec.name) in seen:
                    raise MagkitError(f"it registers the {spec.kind} '{spec.name}' twice")
                seen.add((spec.kind, spec.name))
                yield spec


def _refuse_unknown(manager: pluggy.PluginManager, plugin: object) -> None:
    for caller in manager.get_hookcallers(plugin) or ():
        needed = any(not each.optionalhook for each in caller.get_hookimpls())
        if needed and not caller.has_spec():
            known = did_you_mean(caller.name, HOOKS)
            raise MagkitError(f"magkit has no hook '{caller.name}'; {known}")


def _check(hook: str, kind: type[Spec], spec: object) -> None:
    if not isinstance(spec, kind):
        raise MagkitError(f"{hook} gives {_a(spec)} in place of a {kind.__name__}")
    if spec.api != API:
        raise MagkitError(
            f"'{spec.name}' is written for version {spec.api} of the plugin interface, "
            f"and this magkit has version {API}"
        )
    _check_texts(spec)


def _check_texts(spec: Spec) -> None:
    """Refuses what lists, help and completion couldn't show, where it would stop all the others."""
    if not isinstance(spec.summary, str):
        raise MagkitError(f"the summary of '{spec.name}' is {_a(spec.summary)} in place of a str")
    try:
        option_rows(spec.config)
    except Exception as problem:
        said = f"{type(problem).__name__}: {problem}"
        raise MagkitError(f"the options of '{spec.name}' can't be shown: {said}") from problem
    for name, preset in getattr(spec, "presets", {}).items():
        if not isinstance(preset, Preset) or not isinstance(preset.why, str):
            raise MagkitError(f"'{name}' of '{spec.name}' is no Preset that says why in a str")


def _a(value: object) -> str:
    return f"a {type(value).__name__}"
