"""The sources of values that a completion lists by kind: plugins, settings, videos, runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magkit.completion.cache import MAX_AGE, load_table, save_table

if TYPE_CHECKING:
    from magkit.plugins import Registry
    from magkit.specs import Spec

Row = tuple[str, str]
"""A value and its description, which may be empty."""

Table = dict[str, Any]

MAX_AGE_BROKEN = 60.0
"""Seconds that a table stays valid while a plugin is broken, which may be mended any time."""

FIRST_COUNTS = frozenset({"--target"})
"""Repeatable flags whose first value `--opt` belongs to; of others it is the last."""

RUNS = "runs"
RUN_RESULTS = {"pretrain": "model.safetensors", "invert": "report.json"}
"""A file that a finished run has, by its kind."""

MAX_RECORD = 1 << 20
"""Bytes of a run's config.json at most; larger ones aren't magkit's."""


def plugin_table() -> Table:
    """Returns the names that plugins and built-ins provide: kind -> name -> description.

    Kinds are "method", "magnifier" and "target"; each name has a "summary", "options" (key, help,
    choices) and, of methods, "presets" (name -> why). "weights" are the magnifiers whose weights
    ship.
    """
    table = load_table("plugins")
    if table is None:
        from magkit.plugins import registry

        found = registry()
        table = {
            kind: {name: _described(spec) for name, spec in found.names(kind).items()}
            for kind in ("method", "magnifier", "target")
        }
        table["weights"] = sorted(_shipped_weights(found))
        broken = any(plugin.state == "broken" for plugin in found.plugins)
        save_table("plugins", table, MAX_AGE_BROKEN if broken else MAX_AGE)
    return table


def settings_table() -> Table:
    """Returns the settings (key, help, choices) that `--train` and `--set` take, by command."""
    table = load_table("settings")
    if table is None:
        from magkit.invert.settings import InvertSettings
        from magkit.selfsup.recipe import PARTS
        from magkit.training.config import TrainConfig

        parts = {"pretrain": PARTS, "finetune": (TrainConfig,), "invert": (InvertSettings,)}
        table = {
            command: [row for part in found for row in _option_rows(part)]
            for command, found in parts.items()
        }
        save_table("settings", table)
    return table


def _described(spec: Spec) -> Table:
    presets = getattr(spec, "presets", {})
    return {
        "summary": spec.summary,
        "options": list(_option_rows(spec.config)),
        "presets": {name: preset.why for name, preset in presets.items()},
    }


def _shipped_weights(found: Registry) -> Iterator[str]:
    for spec in found.plugins[0].specs:  # the built-ins
        weights = getattr(spec, "weights", None) if spec.kind == "magnifier" else None
        if weights is not None:
            yield weights.stem


def _option_rows(config: type[Any]) -> Iterator[tuple[str, str, list[str]]]:
    from magkit.options import option_rows

    for row in option_rows(config):
        default = f" [{row.default}]" if row.default else ""
        yield row.key, f"{row.help}{default}", list(_choices(row.type))


def _choices(named: str) -> Iterator[str]:
    """The values of a type as help names it: "a|b", "bool", "int or none"."""
    for part in named.split(" or "):
        if part == "bool":
            yield from ("true", "false")
        elif part == "none" or ("|" in part and "," not in part):
            yield from part.split("|")


def chosen(words: Sequence[str], flag: str, unset: str = "") -> str:
    """Returns the value of a flag on the line, else of MAGKIT_<FLAG>, else `unset`."""
    given = list(_given(words, flag))
    if given:
        return given[0 if flag in FIRST_COUNTS else -1]
    return os.environ.get(f"MAGKIT_{flag.strip('-').replace('-', '_').upper()}") or unset


def _given(words: Sequence[str], flag: str) -> Iterator[str]:
    for number, word in enumerate(words[:-1]):
        if word == flag and number + 2 < len(words):
            yield words[number + 1]
        elif word.startswith(f"{flag}="):
            yield word.partition("=")[2]


def _names(kind: str) -> Iterator[Row]:
    yield from ((name, spec["summary"]) for name, spec in plugin_table()[kind].items())


def _weights(*_: object) -> Iterator[Row]:
    yield from ((name, "") for name in plugin_table()["weights"])


def _presets(given: Sequence[str], words: Sequence[str]) -> Iterator[Row]:
    methods = plugin_table()["method"]
    name = chosen(words, *given)
    of_any = {preset: "" for method in methods.values() for preset in method["presets"]}
    yield from (methods[name]["presets"] if name else of_any).items()


def _options(given: Sequence[str], words: Sequence[str]) -> Iterator[Row]:
    kind, *flag = given
    # A target may have a weight, `NAME=WEIGHT`.
    name = chosen(words, *flag).partition("=")[0]
    yield from _pairs(plugin_table()[kind][name]["options"], words)


def _settings(given: Sequence[str], words: Sequence[str]) -> Iterator[Row]:
    yield from _pairs(settings_table()[given[0]], words)


def _pairs(rows: Iterable[Any], words: Sequence[str]) -> Iterator[Row]:
    """`KEY=`, or `KEY=CHOICE` where a key has been typed already."""
    typed = words[-1] if words else ""
    if typed.startswith("--"):  # --opt=KEY
        typed = typed.partition("=")[2]
    key, equals, _ = typed.partition("=")
    for name, said, choices in rows:
        if not equals:
            yield f"{name}=", said
        elif key.replace("-", "_") == name:
            yield from ((f"{key}={choice}", "") for choice in choices)


def _videos(_: object, words: Sequence[str]) -> Iterator[Row]:
    from magkit.invert.davis_root import find_davis, video_folders

    given = chosen(words, "--davis")
    root = find_davis(Path(os.path.expandvars(given)).expanduser() if given else None)
    yield from ((path.name, "") for path in video_folders(root))


def _runs(given: Sequence[str], _: object) -> Iterator[Row]:
    for folder in sorted(Path(RUNS).iterdir()):
        if (folder / RUN_RESULTS[given[0]]).is_file() and _kind_of_run(folder) == given[0]:
            yield folder.as_posix(), ""


def _kind_of_run(folder: Path) -> object:
    try:
        with (folder / "config.json").open("rb") as file:
            text = file.read(MAX_RECORD + 1)
        return None if len(text) > MAX_RECORD else json.loads(text)["kind"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


SOURCES: dict[str, Callable[[Sequence[str], Sequence[str]], Iterable[Row]]] = {
    "magnifiers": lambda *_: _names("magnifier"),
    "methods": lambda *_: _names("method"),
    "options": _options,
    "presets": _presets,
    "runs": _runs,
    "settings": _settings,
    "targets": lambda *_: _names("target"),
    "videos": _videos,
    "weights": _weights,
}
"""The values of each kind, given its arguments and the words of the line."""
