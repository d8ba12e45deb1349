"""Plugins: finds the installed ones, loads each in isolation, and resolves names to their specs."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from types import FrameType
from typing import Any, Literal

import pluggy

from magkit import hookspecs
from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.options import option_rows
from magkit.specs import API, LazyCallable, MagnifierSpec, MethodSpec, Preset, Spec, TargetSpec
from magkit.version import __version__

GROUP = "magkit"
"""The group of the entry points."""

BUILTIN = "magkit"
"""The distribution of the built-ins."""

HOOKS: dict[str, type[Spec]] = {
    "magkit_methods": MethodSpec,
    "magkit_targets": TargetSpec,
    "magkit_magnifiers": MagnifierSpec,
}

HEAVY = ("torch", "torchvision", "tensorflow", "jax", "transformers")
"""Packages that take seconds to import: listing and help must not load them."""

Kind = Literal["method", "target", "magnifier"]
_Key = tuple[str, str]  # a spec's kind and name


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of one distribution, loaded or not.

    Attributes:
        name: The entry point's name.
        distribution, version: The installed distribution.
        state: "ok", "broken" or "disabled".
        specs: What it provides.
        package: The Python package of its code.
        error: Why it is broken, in one line.
        printed: What it wrote to standard output while it was loaded; it is not shown there.
        heavy: Those of `HEAVY` that it was the first to import.
        seconds: How long it took to load.
    """

    name: str
    distribution: str
    version: str
    state: Literal["ok", "broken", "disabled"]
    specs: tuple[Spec, ...] = ()
    package: str = ""
    error: str = ""
    printed: str = ""
    heavy: tuple[str, ...] = ()
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def builtin(self) -> bool:
        return self.distribution == BUILTIN

    @property
    def hooks(self) -> list[str]:
        """The hooks that returned a spec."""
        kinds = {type(spec) for spec in self.specs}
        return [hook for hook, kind in HOOKS.items() if kind in kinds]

    @property
    def disable_hint(self) -> str:
        """How to switch it off: by its distribution, as entry points may share a name."""
        return f"MAGKIT_DISABLE_PLUGINS={self.distribution} switches it off"


@dataclass(frozen=True, slots=True)
class Registry:
    """The plugins that were found, the built-ins first, and their specs by name."""

    plugins: tuple[Plugin, ...]

    def magnifier(self, name: str) -> MagnifierSpec[Any]:
        """The magnifier called `name` or `distribution/name`; UsageError if there is none."""
        spec = self._find("magnifier", name)
        assert isinstance(spec, MagnifierSpec)
        return spec

    def method(self, name: str) -> MethodSpec[Any]:
        """The method called `name` or `distribution/name`; UsageError if there is none."""
        spec = self._find("method", name)
        assert isinstance(spec, MethodSpec)
        return spec

    def target(self, name: str) -> TargetSpec[Any]:
        """The target called `name` or `distribution/name`; UsageError if there is none."""
        spec = self._find("target", name)
        assert isinstance(spec, TargetSpec)
        return spec

    def names(self, kind: Kind) -> dict[str, Spec]:
        """All specs of a kind by their shortest unambiguous names."""
        return {
            spec.name
            if self._providers(kind, spec.name) == [(plugin, spec)]
            else f"{plugin.distribution}/{spec.name}": spec
            for plugin, spec in self._provided(kind)
        }

    def raised_by(self, error: BaseException) -> Plugin | None:
        """The plugin whose code raised an exception: the innermost one in its traceback."""
        found, entry = None, error.__traceback__
        while entry is not None:
            module = f"{_module(entry.tb_frame)}."
            inside = (p for p in self.plugins if p.package and module.startswith(f"{p.package}."))
            found = next((p for p in inside if not p.builtin), found)
            entry = entry.tb_next
        return found

    def name_conflicts(self, plugin: Plugin) -> Iterator[str]:
        """Sentences about specs whose bare names mean another plugin's, or several plugins'."""
        for spec in plugin.specs:
            providers = self._providers(spec.kind, spec.name)
            others = [other for other, _ in providers if other != plugin]
            if others and not plugin.builtin:
                owners = "magkit itself" if others[0].builtin else " and ".join(map(str, others))
                full = f"{plugin.distribution}/{spec.name}"
                yield f"{owners} has a {spec.kind} '{spec.name}' too: ask for '{full}'"

    def _provided(self, kind: str) -> Iterator[tuple[Plugin, Spec]]:
        return ((p, spec) for p in self.plugins for spec in p.specs if spec.kind == kind)

    def _providers(self, kind: str, name: str) -> list[tuple[Plugin, Spec]]:
        """What a bare name may mean; a built-in can't be shadowed."""
        found = [(plugin, spec) for plugin, spec in self._provided(kind) if spec.name == name]
        return [(plugin, spec) for plugin, spec in found if plugin.builtin] or found

    def _find(self, kind: Kind, name: str) -> Spec:
        distribution, slash, bare = name.rpartition("/")
        if slash:
            found = [
                (plugin, spec)
                for plugin, spec in self._provided(kind)
                if spec.name == bare and same_distribution(plugin.distribution, distribution)
            ]
        else:
            found = self._providers(kind, name)
        if len(found) == 1:
            return found[0][1]
        raise _ambiguous(kind, name, found) if found else self._unknown(kind, name)

    def _unknown(self, kind: Kind, name: str) -> UsageError:
        distribution = name.rpartition("/")[0]
        for plugin in self.plugins:
            # An entry point usually has the name of what it provides.
            named = same_distribution(plugin.distribution, distribution) or plugin.name == name
            if plugin.state != "ok" and named:
                return _unavailable(plugin, kind, name)
        hint = did_you_mean(name, self.names(kind))
        broken = [str(plugin) for plugin in self.plugins if plugin.state == "broken"]
        if broken:
            hint += f"; broken, see 'magkit plugins': {', '.join(broken)}"
        return UsageError(f"no {kind} is named '{name}'", hint)


def _module(frame: FrameType) -> str:
    """The module that a frame's function belongs to; of a lazy callable, that of its code."""
    called = frame.f_locals.get("self")
    if isinstance(called, LazyCallable):
        return called.module
    return str(frame.f_globals.get("__name__", ""))


def _ambiguous(kind: Kind, name: str, found: list[tuple[Plugin, Spec]]) -> UsageError:
    providers = " and ".join(str(plugin) for plugin, _ in found)
    full = " or ".join(f"'{plugin.distribution}/{name}'" for plugin, _ in found)
    return UsageError(
        f"the {kind} '{name}' is provided by {providers}",
        f"ask for {full}; {found[-1][0].disable_hint}",
    )


def _unavailable(plugin: Plugin, kind: Kind, name: str) -> UsageError:
    if plugin.state == "disabled":
        problem = f"no {kind} '{name}': the plugin {plugin} is switched off"
        return UsageError(problem, "see MAGKIT_PLUGINS and MAGKIT_DISABLE_PLUGINS")
    problem = f"no {kind} '{name}': the plugin {plugin} is broken: {plugin.error}"
    return UsageError(problem, plugin.disable_hint)


@cache
def registry() -> Registry:
    """The plugins of this process, found and loaded on the first call."""
    return Registry(tuple(discover()))


def discover() -> Iterator[Plugin]:
    """Load the built-ins, then each entry point of the group `magkit`.

    Environment variables: MAGKIT_PLUGINS names the only plugins to load (empty: none),
    MAGKIT_DISABLE_PLUGINS those not to load, by entry point or distribution, separated by commas;
    with MAGKIT_STRICT_PLUGINS=1 the exceptions of a broken plugin are raised.
    """
    builtins = metadata.EntryPoint("builtin", "magkit.builtin", GROUP)
    yield _load(builtins, (BUILTIN, __version__), set())
    found = set()
    for distribution in metadata.distributions():
        # Python imports the first of a name on the path.
        if _declares_plugins(distribution) and (who := _identity(distribution))[0] not in found:
            found.add(who[0])
            yield from _load_all(distribution, who)


def same_distribution(one: str, other: str) -> bool:
    """Whether two spellings, "magkit_Mine" and "magkit-mine", name one distribution."""
    return _normalized(one) == _normalized(other)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _declares_plugins(distribution: metadata.Distribution) -> bool:
    # importlib.metadata.entry_points() parses every distribution's file at once: a malformed one
    # of an unrelated package would stop everything.
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeError):
        return False
    return f"[{GROUP}]" in re.sub(r"[ \t]", "", text)


def _identity(distribution: metadata.Distribution) -> tuple[str, str]:
    try:
        return _normalized(distribution.metadata["Name"]), distribution.version
    except Exception:
        return "unnamed", "without metadata"


def _load_all(distribution: metadata.Distribution, who: tuple[str, str]) -> Iterator[Plugin]:
    try:
        entries = list(distribution.entry_points.select(group=GROUP))
    except Exception as problem:
        error = f"its entry_points.txt can't be read: {_one_line(problem)}"
        yield Plugin(GROUP, *who, "broken", error=error)
        return
    provided: set[_Key] = set()
    for entry in entries:
        if _is_enabled(entry.name, who[0]):
            yield _load(entry, who, provided)
        else:
            yield Plugin(entry.name, *who, "disabled")


def _is_enabled(*names: str) -> bool:
    def listed(variable: str) -> bool:
        texts = os.environ.get(variable, "").split(",")
        return bool({_normalized(t) for t in texts if t.strip()} & set(map(_normalized, names)))

    allowed = "MAGKIT_PLUGINS" not in os.environ or listed("MAGKIT_PLUGINS")
    return allowed and not listed("MAGKIT_DISABLE_PLUGINS")


def _load(entry: metadata.EntryPoint, who: tuple[str, str], provided: set[_Key]) -> Plugin:
    """Import one plugin and call its hooks; any error is kept in the record.

    Args:
        entry: The entry point.
        who: Its distribution's name and version.
        provided: What the distribution's other plugins provide; this one's specs are added.
    """
    printed, before, start = io.StringIO(), _heavy(), time.perf_counter()
    specs: tuple[Spec, ...] = ()
    error = ""
    try:
        with redirect_stdout(printed):
            specs = tuple(_specs(entry.load(), provided))
    except BaseException as problem:
        strict = os.environ.get("MAGKIT_STRICT_PLUGINS", "0") not in ("", "0")
        if _is_interrupt(problem) or (strict and isinstance(problem, Exception)):
            raise
        error = _one_line(problem)
        if strict:
            raise MagkitError(f"the plugin {entry.name}: {error}") from problem
    provided.update((spec.kind, spec.name) for spec in specs)
    module = entry.value.partition(":")[0].strip()
    return Plugin(
        entry.name,
        *who,
        state="broken" if error else "ok",
        specs=specs,
        package=module.rpartition(".")[0] or module,
        error=error,
        printed=printed.getvalue(),
        heavy=tuple(package for package in _heavy() if package not in before),
        seconds=time.perf_counter() - start,
    )


def _heavy() -> list[str]:
    return [package for package in HEAVY if package in sys.modules]


def _is_interrupt(problem: BaseException) -> bool:
    """Whether an exception comes from the user, by Ctrl-C or SIGTERM, and not from a plugin."""
    terminated = isinstance(problem, SystemExit) and problem.code == 128 + signal.SIGTERM
    return terminated or isinstance(problem, KeyboardInterrupt)


def _one_line(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    kind = type(problem).__name__
    if isinstance(problem, MagkitError):
        return text
    return f"{kind}: {text}" if text else kind


def _specs(plugin: object, provided: Iterable[_Key]) -> Iterator[Spec]:
    """Yield the specs that a plugin's hooks return, each checked.

    Raises:
        MagkitError: A hook is unknown, or returns something else than new specs for this magkit.
        Exception: Whatever a hook raises.
    """
    # A manager for each plugin: pluggy calls a hook of all its plugins together, and one that
    # raises would take the others' answers with it.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    _refuse_unknown_hooks(manager, plugin)
    seen = set(provided)
    for hook, kind in HOOKS.items():
        for answer in getattr(manager.hook, hook)():
            if not isinstance(answer, Iterable):
                raise MagkitError(
                    f"{hook} gives a {_type(answer)} in place of a list of {kind.__name__}"
                )
            for spec in answer:
                _check_spec(hook, kind, spec)
                if (spec.kind, spec.name) in seen:
                    raise MagkitError(f"it registers the {spec.kind} '{spec.name}' twice")
                seen.add((spec.kind, spec.name))
                yield spec


def _refuse_unknown_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    for caller in manager.get_hookcallers(plugin) or ():
        required = any(not each.optionalhook for each in caller.get_hookimpls())
        if required and not caller.has_spec():
            known = did_you_mean(caller.name, HOOKS)
            raise MagkitError(f"magkit has no hook '{caller.name}'; {known}")


def _check_spec(hook: str, kind: type[Spec], spec: object) -> None:
    if not isinstance(spec, kind):
        raise MagkitError(f"{hook} gives a {_type(spec)} in place of a {kind.__name__}")
    name = spec.name
    if spec.api != API:
        raise MagkitError(
            f"'{name}' is written for version {spec.api} of the plugin interface, "
            f"and this magkit has version {API}"
        )
    # What lists, help and completion can't show would stop them for all plugins.
    if not isinstance(spec.summary, str):
        raise MagkitError(f"the summary of '{name}' is a {_type(spec.summary)} in place of a str")
    try:
        option_rows(spec.config)
    except Exception as problem:
        told = _one_line(problem)
        raise MagkitError(f"the options of '{name}' can't be shown: {told}") from problem
    for key, preset in getattr(spec, "presets", {}).items():
        if not isinstance(preset, Preset) or not isinstance(preset.why, str):
            raise MagkitError(f"'{key}' of '{name}' is no Preset that says why in a str")


def _type(value: object) -> str:
    return type(value).__name__
