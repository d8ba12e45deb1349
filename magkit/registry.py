"""Resolves names to the specs that the built-ins and the plugins provide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from magkit.discovery import Plugin, discover, same_distribution
from magkit.errors import UsageError, did_you_mean
from magkit.specs import MagnifierSpec, MethodSpec, Spec, TargetSpec

Kind = Literal["method", "target", "magnifier"]


@dataclass(frozen=True, slots=True)
class Registry:
    """The plugins that were found, the built-ins first, and what they provide."""

    plugins: tuple[Plugin, ...]

    def magnifier(self, name: str) -> MagnifierSpec[Any]:
        """The magnifier of this name, or `distribution/name`; UsageError where it isn't one."""
        spec = self._find("magnifier", name)
        assert isinstance(spec, MagnifierSpec)
        return spec

    def method(self, name: str) -> MethodSpec[Any]:
        """The method of this name, or `distribution/name`; UsageError where it isn't one."""
        spec = self._find("method", name)
        assert isinstance(spec, MethodSpec)
        return spec

    def target(self, name: str) -> TargetSpec[Any]:
        """The target of this name, or `distribution/name`; UsageError where it isn't one."""
        spec = self._find("target", name)
        assert isinstance(spec, TargetSpec)
        return spec

    def names(self, kind: Kind) -> dict[str, Spec]:
        """What can be asked for, by the shortest name that means one thing only."""
        shortest: dict[str, Spec] = {}
        for plugin, spec in self._provided(kind):
            alone = self._meant(kind, spec.name) == [(plugin, spec)]
            shortest[spec.name if alone else f"{plugin.distribution}/{spec.name}"] = spec
        return shortest

    def owner(self, error: BaseException) -> Plugin | None:
        """The plugin that an exception came from: the innermost whose code it went through."""
        found, place = None, error.__traceback__
        while place is not None:
            module = f"{place.tb_frame.f_globals.get('__name__', '')}."
            inside = (p for p in self.plugins if p.package and module.startswith(f"{p.package}."))
            found = next((p for p in inside if not p.builtin), found)
            place = place.tb_next
        return found

    def clashes(self, plugin: Plugin) -> Iterator[str]:
        """What of a plugin its bare name doesn't mean, because others use it, in words."""
        for spec in plugin.specs:
            others = [other for other, _ in self._meant(spec.kind, spec.name) if other != plugin]
            if others and not plugin.builtin:
                owners = "magkit itself" if others[0].builtin else " and ".join(map(str, others))
                full = f"{plugin.distribution}/{spec.name}"
                yield f"{owners} has a {spec.kind} '{spec.name}' too: ask for '{full}'"

    def _provided(self, kind: str) -> Iterator[tuple[Plugin, Spec]]:
        for plugin in self.plugins:
            for spec in plugin.specs:
                if spec.kind == kind:
                    yield plugin, spec

    def _meant(self, kind: str, name: str) -> list[tuple[Plugin, Spec]]:
        found = [(plugin, spec) for plugin, spec in self._provided(kind) if spec.name == name]
        return [(plugin, spec) for plugin, spec in found if plugin.builtin] or found

    def _find(self, kind: Kind, name: str) -> Spec:
        distribution, slash, bare = name.rpartition("/")
        if slash:
            meant = [
                (plugin, spec)
                for plugin, spec in self._provided(kind)
                if spec.name == bare and same_distribution(plugin.distribution, distribution)
            ]
        else:
            meant = self._meant(kind, name)
        if len(meant) == 1:
            return meant[0][1]
        raise _ambiguous(kind, name, meant) if meant else self._unknown(kind, name)

    def _unknown(self, kind: Kind, name: str) -> UsageError:
        distribution = name.rpartition("/")[0]
        for plugin in self.plugins:
            # An entry point is usually called as what it provides.
            meant = same_distribution(plugin.distribution, distribution) or plugin.name == name
            if plugin.state != "ok" and meant:
                return _unavailable(plugin, kind, name)
        hint = did_you_mean(name, self.names(kind))
        broken = [str(plugin) for plugin in self.plugins if plugin.state == "broken"]
        if broken:
            hint += f"; broken, see 'magkit plugins': {', '.join(broken)}"
        return UsageError(f"no {kind} is named '{name}'", hint)


def _ambiguous(kind: Kind, name: str, meant: list[tuple[Plugin, Spec]]) -> UsageError:
    providers = " and ".join(str(plugin) for plugin, _ in meant)
    ways = " or ".join(f"'{plugin.distribution}/{name}'" for plugin, _ in meant)
    return UsageError(
        f"the {kind} '{name}' is provided by {providers}",
        f"ask for {ways}; {meant[-1][0].way_out}",
    )


def _unavailable(plugin: Plugin, kind: Kind, name: str) -> UsageError:
    if plugin.state == "disabled":
        asked = f"no {kind} '{name}': the plugin {plugin} is switched off"
        return UsageError(asked, "see MAGKIT_PLUGINS and MAGKIT_DISABLE_PLUGINS")
    asked = f"no {kind} '{name}': the plugin {plugin} is broken: {plugin.error}"
    return UsageError(asked, plugin.way_out)


@cache
def registry() -> Registry:
    """The plugins of this process, found and loaded when first asked for."""
    return Registry(tuple(discover()))
