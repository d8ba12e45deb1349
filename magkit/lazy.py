"""Names that a module exports without importing the modules that define them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(
    module: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a module that imports a name on first access.

    Args:
        module: The module that exports the names.
        names: The names that a module defines, separated by spaces, by that module's name.
    """
    sources = {name: source for source, listed in names.items() for name in listed.split()}

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in sources:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(import_module(sources[name]), name)

    def __dir__() -> list[str]:  # noqa: N807
        return sorted(sources)

    return __getattr__, __dir__
