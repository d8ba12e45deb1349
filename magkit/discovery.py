"""Finds the installed plugins and loads them one by one, so that a broken one hurts no other."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Literal

import pluggy

from magkit import __version__, hookspecs
from magkit.errors import MagkitError
from magkit.specs import API, MagnifierSpec, MethodSpec, Spec, TargetSpec

GROUP = "magkit"
BUILTIN = "magkit"
"""The distribution that the built-ins come from."""

HOOKS: dict[str, type[Spec]] = {
    "magkit_methods": MethodSpec,
    "magkit_targets": TargetSpec,
    "magkit_magnifiers": MagnifierSpec,
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of one distribution, and what became of it.

    Attributes:
        name: The entry point's name.
        distribution, version: What was installed.
        state: "ok", "broken" or "disabled".
        specs: What it provides.
        error: Why it is broken, in one line.
        printed: What it wrote to standard output while it was loaded, which is kept from there.
        seconds: How long it took to load.
    """

    name: str
    distribution: str
    version: str
    state: Literal["ok", "broken", "disabled"]
    specs: tuple[Spec, ...] = ()
    error: str = ""
    printed: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def builtin(self) -> bool:
        return self.distribution == BUILTIN

    @property
    def hooks(self) -> list[str]:
        """The hooks that gave something."""
        kinds = {type(spec) for spec in self.specs}
        return [hook for hook, kind in HOOKS.items() if kind in kinds]


def discover() -> Iterator[Plugin]:
    """Loads the built-ins and then each entry point of the group `magkit`.

    The environment decides: MAGKIT_PLUGINS names the only ones to load (empty: none),
    MAGKIT_DISABLE_PLUGINS those not to, by entry point or distribution, separated by commas;
    with MAGKIT_STRICT_PLUGINS=1 whatever a broken plugin raises is raised.
    """
    builtins: set[Key] = set()
    yield _load(
        "builtin", (BUILTIN, __version__), lambda: import_module("magkit.builtin"), builtins
    )
    found = set()
    for distribution in metadata.distributions():
        # The first of a name on the path is the one that Python imports.
        if _declares_plugins(distribution) and (who := _identity(distribution))[0] not in found:
            found.add(who[0])
            yield from _load_all(distribution, who)


def same_distribution(one: str, other: str) -> bool:
    """Whether two spellings, "magkit_Mine" and "magkit-mine", name one distribution."""
    return _normal(one) == _normal(other)


Key = tuple[str, str]


def _declares_plugins(distribution: metadata.Distribution) -> bool:
    # importlib.metadata.entry_points() parses every distribution's file at once: a malformed one
    # of a package that has nothing to do with magkit would stop everything.
    return f"[{GROUP}]" in re.sub(r"[ \t]", "", distribution.read_text("entry_points.txt") or "")


def _identity(distribution: metadata.Distribution) -> tuple[str, str]:
    try:
        return _normal(distribution.metadata["Name"]), distribution.version
    except Exception:
        return "unnamed", "without metadata"


def _load_all(distribution: metadata.Distribution, who: tuple[str, str]) -> Iterator[Plugin]:
    try:
        entries = list(distribution.entry_points.select(group=GROUP))
    except Exception as problem:
        error = f"its entry_points.txt can't be read: {_one_line(problem)}"
        yield Plugin(GROUP, *who, "broken", error=error)
        return
    provided: set[Key] = set()
    for entry in entries:
        if _wanted(entry.name, who[0]):
            yield _load(entry.name, who, entry.load, provided)
        else:
            yield Plugin(entry.name, *who, "disabled")


def _wanted(*names: str) -> bool:
    def listed(variable: str) -> bool:
        texts = os.environ.get(variable, "").split(",")
        return bool({_normal(text) for text in texts if text.strip()} & set(map(_normal, names)))

    allowed = "MAGKIT_PLUGINS" not in os.environ or listed("MAGKIT_PLUGINS")
    return allowed and not listed("MAGKIT_DISABLE_PLUGINS")


def _load(
    name: str, who: tuple[str, str], load: Callable[[], object], provided: set[Key]
) -> Plugin:
    """Imports and asks one plugin; whatever it does wrong ends up in the record."""
    printed = io.StringIO()
    start = time.perf_counter()
    specs: tuple[Spec, ...] = ()
    error = ""
    try:
        with redirect_stdout(printed):
            specs = tuple(_collect(load(), provided))
    except (Exception, SystemExit) as problem:
        if _strict():
            raise
        error = _one_line(problem)
    provided.update((spec.kind, spec.name) for spec in specs)
    return Plugin(
        name,
        *who,
        state="broken" if error else "ok",
        specs=specs,
        error=error,
        printed=printed.getvalue(),
        seconds=time.perf_counter() - start,
    )


def _collect(plugin: object, provided: set[Key]) -> Iterator[Spec]:
    """The specs that one plugin's hooks return, each checked."""
    # A manager for each plugin: pluggy calls a hook of all its plugins together, and one that
    # raises would take the others' answers with it.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    seen = set(provided)
    for hook, kind in HOOKS.items():
        for answer in getattr(manager.hook, hook)():
            for spec in answer:
                _check(hook, kind, spec)
                if (spec.kind, spec.name) in seen:
                    raise MagkitError(f"it registers the {spec.kind} '{spec.name}' twice")
                seen.add((spec.kind, spec.name))
                yield spec


def _check(hook: str, kind: type[Spec], spec: object) -> None:
    if not isinstance(spec, kind):
        raise MagkitError(f"{hook} gives a {type(spec).__name__} in place of a {kind.__name__}")
    if spec.api != API:
        raise MagkitError(
            f"'{spec.name}' is written for version {spec.api} of the plugin interface, "
            f"and this magkit has version {API}"
        )


def _strict() -> bool:
    return os.environ.get("MAGKIT_STRICT_PLUGINS", "0") not in ("", "0")


def _one_line(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    kind = type(problem).__name__
    if isinstance(problem, MagkitError):
        return text
    return f"{kind}: {text}" if text else kind


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
