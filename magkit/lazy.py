"""Names that a module exports without importing their modules, and packages that are functions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_exports(
    module: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a module that imports a name on first access.

    Args:
        module: The module that exports the names.
        names: The names that a module defines, separated by spaces, by that module's name. A
            submodule is exported under its own name.
    """
    sources = {name: source for source, listed in names.items() for name in listed.split()}

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in sources:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        source = import_module(sources[name])
        return source if sources[name] == f"{module}.{name}" else getattr(source, name)

    def __dir__() -> list[str]:  # noqa: N807
        return sorted(sources)

    return __getattr__, __dir__


class CallablePackage(ModuleType):
    """A package that is called like the function of its name, which its module `api` defines.

    Importing a submodule sets the package as an attribute of its parent, whatever was there before.
    So `magkit.measure` is a package for those who import from it, and a function for those who call
    it. The function is imported when it is called, or when its documentation is read.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return _function(self.__name__)(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        # Processes are sent functions by pickle: a pool may map the package to clips.
        return import_module, (self.__name__,)

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        return signature(_function(self.__name__))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return _function(self.__name__).__doc__


def _function(package: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(
        import_module(f"{package}.api"), package.rpartition(".")[2]
    )
    return function


def make_callable(package: str) -> None:
    """Make a package, by its name, a `CallablePackage`."""
    sys.modules[package].__class__ = CallablePackage
