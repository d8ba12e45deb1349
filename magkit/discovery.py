"""Finds the installed plugins and loads them one by one, so that a broken one hurts no other."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from magkit import __version__
from magkit.collect import HOOKS, Key, collect
from magkit.errors import MagkitError
from magkit.specs import Spec

GROUP = "magkit"
BUILTIN = "magkit"
"""The distribution that the built-ins come from."""

HEAVY = ("torch", "torchvision", "tensorflow", "jax", "transformers")
"""Packages that take seconds to import, which to list and to help must not cost."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of one distribution, and what became of it.

    Attributes:
        name: The entry point's name.
        distribution, version: What was installed.
        state: "ok", "broken" or "disabled".
        specs: What it provides.
        package: The Python package that its code stands in.
        error: Why it is broken, in one line.
        printed: What it wrote to standard output while it was loaded, which is kept from there.
        heavy: Which of `HEAVY` it was the first to import.
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
        """The hooks that gave something."""
        kinds = {type(spec) for spec in self.specs}
        return [hook for hook, kind in HOOKS.items() if kind in kinds]

    @property
    def way_out(self) -> str:
        """How to do without it, in words."""
        # By its distribution: two of them may well call their entry points alike.
        return f"MAGKIT_DISABLE_PLUGINS={self.distribution} switches it off"


def discover() -> Iterator[Plugin]:
    """Loads the built-ins and then each entry point of the group `magkit`.

    The environment decides: MAGKIT_PLUGINS names the only ones to load (empty: none),
    MAGKIT_DISABLE_PLUGINS those not to, by entry point or distribution, separated by commas;
    with MAGKIT_STRICT_PLUGINS=1 whatever a broken plugin raises is raised.
    """
    builtins: set[Key] = set()
    start = metadata.EntryPoint("builtin", "magkit.builtin", GROUP)
    yield _load(start, (BUILTIN, __version__), builtins)
    found = set()
    for distribution in metadata.distributions():
        # The first of a name on the path is the one that Python imports.
        if _declares_plugins(distribution) and (who := _identity(distribution))[0] not in found:
            found.add(who[0])
            yield from _load_all(distribution, who)


def same_distribution(one: str, other: str) -> bool:
    """Whether two spellings, "magkit_Mine" and "magkit-mine", name one distribution."""
    return _normal(one) == _normal(other)


def _declares_plugins(distribution: metadata.Distribution) -> bool:
    # importlib.metadata.entry_points() parses every distribution's file at once: a malformed one
    # of a package that has nothing to do with magkit would stop everything.
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeError):
        return False
    return f"[{GROUP}]" in re.sub(r"[ \t]", "", text)


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
            yield _load(entry, who, provided)
        else:
            yield Plugin(entry.name, *who, "disabled")


def _wanted(*names: str) -> bool:
    def listed(variable: str) -> bool:
        texts = os.environ.get(variable, "").split(",")
        return bool({_normal(text) for text in texts if text.strip()} & set(map(_normal, names)))

    allowed = "MAGKIT_PLUGINS" not in os.environ or listed("MAGKIT_PLUGINS")
    return allowed and not listed("MAGKIT_DISABLE_PLUGINS")


def _load(entry: metadata.EntryPoint, who: tuple[str, str], provided: set[Key]) -> Plugin:
    """Imports and asks one plugin; whatever it does wrong ends up in the record."""
    printed, before, start = io.StringIO(), _heavy(), time.perf_counter()
    specs: tuple[Spec, ...] = ()
    error = ""
    try:
        with redirect_stdout(printed):
            specs = tuple(collect(entry.load(), provided))
    except BaseException as problem:
        if _ends_magkit(problem) or (_strict() and isinstance(problem, Exception)):
            raise
        if _strict():
            raise MagkitError(f"the plugin {entry.name}: {_one_line(problem)}") from problem
        error = _one_line(problem)
    provided.update((spec.kind, spec.name) for spec in specs)
    return Plugin(
        entry.name,
        *who,
        state="broken" if error else "ok",
        specs=specs,
        package=_package(entry.value),
        error=error,
        printed=printed.getvalue(),
        heavy=tuple(package for package in _heavy() if package not in before),
        seconds=time.perf_counter() - start,
    )


def _package(entry: str) -> str:
    """Of "magkit_mine.spec:plugin" the "magkit_mine"; a module that stands alone is its own."""
    module = entry.partition(":")[0].strip()
    return module.rpartition(".")[0] or module


def _heavy() -> list[str]:
    return [package for package in HEAVY if package in sys.modules]


def _ends_magkit(problem: BaseException) -> bool:
    """Whether an exception comes from the user, by Ctrl-C or SIGTERM, and not from a plugin."""
    terminated = isinstance(problem, SystemExit) and problem.code == 128 + signal.SIGTERM
    return terminated or isinstance(problem, KeyboardInterrupt)


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
