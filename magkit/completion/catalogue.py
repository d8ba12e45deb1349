"""What plugins and built-ins provide, as tables of texts that are made once and remembered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magkit.completion.memory import BRIEF, LONGEST, recalled, remember

if TYPE_CHECKING:
    from magkit.plugins import Registry
    from magkit.specs import Spec

Table = dict[str, Any]
Row = tuple[str, str, list[str]]
"""A key, its help, and the values that it can have, where they are few."""


def provided() -> Table:
    """What can be asked for by name: kind -> name -> what is known of it.

    Kinds are "method", "magnifier" and "target", of which each name has a "summary", "options"
    (rows) and, of methods, "presets" (name -> why); "weights" are the names of magnifiers' weights
    that ship.
    """
    table = recalled("plugins")
    if table is None:
        from magkit.plugins import registry

        found = registry()
        table = {
            kind: {name: _record(spec) for name, spec in found.names(kind).items()}
            for kind in ("method", "magnifier", "target")
        }
        table["weights"] = sorted(_weights(found))
        # A broken plugin may be mended without anything changing that could be watched.
        broken = any(plugin.state == "broken" for plugin in found.plugins)
        remember("plugins", table, BRIEF if broken else LONGEST)
    return table


def settings() -> Table:
    """The settings (rows) that `--train` and `--set` take, by their command."""
    table = recalled("settings")
    if table is None:
        from magkit.invert.settings import InvertSettings
        from magkit.selfsup.recipe import PARTS
        from magkit.training.config import TrainConfig

        parts = {"pretrain": PARTS, "finetune": (TrainConfig,), "invert": (InvertSettings,)}
        table = {
            command: [row for part in found for row in _rows(part)]
            for command, found in parts.items()
        }
        remember("settings", table)
    return table


def _record(spec: Spec) -> dict[str, Any]:
    presets = getattr(spec, "presets", {})
    return {
        "summary": spec.summary,
        "options": list(_rows(spec.config)),
        "presets": {name: preset.why for name, preset in presets.items()},
    }


def _weights(found: Registry) -> Iterator[str]:
    from magkit.specs import MagnifierSpec

    for spec in found.plugins[0].specs:  # those of built-ins alone go by a name
        if isinstance(spec, MagnifierSpec) and spec.weights is not None:
            yield spec.weights.stem


def _rows(config: type[Any]) -> Iterator[Row]:
    from magkit.options import option_rows

    for row in option_rows(config):
        default = f" [{row.default}]" if row.default else ""
        yield row.key, f"{row.help}{default}", list(_choices(row.type))


def _choices(named: str) -> Iterator[str]:
    """The values that a type as help names it allows: "a|b", "bool", "int or none"."""
    for part in named.split(" or "):
        if part == "bool":
            yield from ("true", "false")
        elif part == "none" or ("|" in part and "," not in part):
            yield from part.split("|")
