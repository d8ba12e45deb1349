"""Packages that are called like functions, whatever is imported first."""

import inspect
import pickle
import pydoc
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import magkit

ORDERS = (
    "import magkit; f = magkit.measure",
    "import magkit.measure; f = magkit.measure",
    "from magkit.measure.clip import Measurement; import magkit; f = magkit.measure",
    "import magkit.measure.api, magkit; f = magkit.measure",
    "from magkit import measure as f; from magkit.measure.clip import Measurement",
    "from magkit.measure import measure as f",
    "import magkit; magkit.measure.measure; f = magkit.measure",
)


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_imports_makes_no_difference(order: str) -> None:
    code = f"""{order}
from magkit.errors import UsageError
try:
    f(3)
except UsageError as error:
    assert "a int is no clip" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_name_alone_imports_nothing_heavy() -> None:
    code = """
import sys, magkit
magkit.measure, magkit.magnify, callable(magkit.measure)
assert not {"numpy", "torch", "scipy", "PIL"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", ["measure", "magnify"])
def test_the_function_is_documented(name: str) -> None:
    package: Any = getattr(magkit, name)
    from magkit.magnify import magnify
    from magkit.measure import measure

    functions: dict[str, Callable[..., Any]] = {"measure": measure, "magnify": magnify}
    function = functions[name]
    assert package.__doc__ == function.__doc__
    assert inspect.signature(package) == inspect.signature(function)
    text = pydoc.render_doc(package, renderer=pydoc.TextDoc())
    text = re.sub(".\b", "", text)  # what is bold is struck twice
    assert re.search(rf"{name}\(\s*source", text)
    assert "capture_fps: frames per second of filming" in text
    assert package is sys.modules[f"magkit.{name}"]


def test_pools_of_processes_are_sent_the_packages() -> None:
    assert pickle.loads(pickle.dumps(magkit.measure)) is magkit.measure


def test_what_is_not_in_a_package_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        magkit.measure.no_such_name  # type: ignore[attr-defined]  # noqa: B018
