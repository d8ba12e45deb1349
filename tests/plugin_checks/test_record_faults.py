"""Specs that are broken in one way each, and the check that tells."""

import sys
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest
import torch

from magkit import MethodSpec
from magkit.testing import Check
from magkit.testing.spec_checks import spec_checks


def told(text: str) -> Any:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class Config:
    """As options should be."""

    width: int = field(default=4, metadata=told("channels"))
    scale: tuple[float, float] = field(default=(0.5, 1.0), metadata=told("range"))
    name: str = field(default="plain", metadata=told("of a thing"))
    limit: float | None = field(default=None, metadata=told("above which nothing counts"))

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width must be at least 1")


SPEC: MethodSpec[Any] = MethodSpec(
    name="toy",
    summary="a toy",
    config=Config,
    build=lambda _config, _maps: None,  # type: ignore[arg-type]
)


@dataclass(frozen=True)
class Silent:
    width: int = 4


@dataclass(frozen=True)
class Needed:
    width: int = field(metadata=told("channels"))


@dataclass(frozen=True)
class Divides:
    width: int = field(default=4, metadata=told("channels"))

    def __post_init__(self) -> None:
        if 8 % self.width:
            raise ValueError("width must divide 8")


@dataclass(frozen=True)
class Anything:
    width: Any = field(default=4, metadata=told("channels"))


@dataclass(frozen=True)
class Listed:
    widths: list[int] = field(default_factory=lambda: [4], metadata=told("channels"))


@dataclass(frozen=True)
class Doubled:
    width: int = field(default=4, metadata=told("channels"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", 2 * self.width)


def of(spec: MethodSpec[Any], name: str, *options: str) -> Check:
    return next(check for check in spec_checks(spec, options) if check.name == name)


CONFIGS = [
    (Silent, "options-have-defaults-and-help", "'width' says nothing"),
    (Needed, "options-have-defaults-and-help", "missing 1 required"),
    (Divides, "options-refuse-nonsense", r"width=0 raises ZeroDivisionError .*ValueError"),
    (Listed, "options-are-texts", "can't be of type"),
    (Doubled, "options-are-texts", "'width' is 8, and 16 once"),
]


@pytest.mark.parametrize(("config", "name", "sentence"), CONFIGS)
def test_options_that_are_wrong(config: Any, name: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        of(replace(SPEC, config=config), name)()


def test_a_field_of_no_type() -> None:
    """Whatever it is given, it takes, and leaves the method to fail later."""
    with pytest.raises(AssertionError, match="type"):
        of(replace(SPEC, config=Anything), "options-refuse-nonsense")()


def test_options_of_the_author_that_are_refused() -> None:
    with pytest.raises(AssertionError, match=r"no option of .* is named 'wide'.*did you mean"):
        of(SPEC, "options-are-texts", "wide=3")()


@pytest.mark.parametrize("summary", ["", " ", "one\ntwo"])
def test_a_summary_that_is_no_line(summary: str) -> None:
    with pytest.raises(AssertionError, match="write one"):
        of(replace(SPEC, summary=summary), "spec-is-told")()


def test_a_spec_of_another_version() -> None:
    with pytest.raises(AssertionError, match="written for version 7 of the plugin interface"):
        of(replace(SPEC, api=7), "spec-is-told")()


@pytest.mark.parametrize("name", ["spec-is-told", "options-are-texts", "options-refuse-nonsense"])
def test_what_is_right(name: str) -> None:
    of(SPEC, name, "width=8", "limit=3")()


CODE = """
from dataclasses import dataclass
{heavy}
@dataclass(frozen=True)
class Config:
    pass

def build(config, maps):
    import torch
"""


@pytest.mark.parametrize("heavy", ["", "import torch", "import numpy as np"])
def test_a_module_that_imports_what_is_heavy(site: Any, heavy: str) -> None:
    site.install("magkit-toy", CODE.format(heavy=heavy))
    module = import_module("magkit_toy")
    check = of(replace(SPEC, config=module.Config, build=module.build), "spec-is-light")
    if not heavy:
        check()
        return
    with pytest.raises(AssertionError, match=f"magkit_toy loads .*{heavy.split()[1]}"):
        check()


def test_a_module_that_is_not_installed(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("magkit-toy", CODE.format(heavy=""))
    module = import_module("magkit_toy")
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part != str(site.path)])
    check = of(replace(SPEC, config=module.Config, build=module.build), "spec-is-light")
    with pytest.raises(AssertionError, match=r"can't be imported by a new Python .*magkit_toy"):
        check()


def test_a_spec_in_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "__module__", "__main__")
    with pytest.raises(AssertionError, match="stands in a script"):
        of(SPEC, "spec-is-light")()


def test_what_a_check_is() -> None:
    def fails() -> None:
        raise KeyError("no such thing")

    check = Check("fails", fails)
    assert str(check) == check.name == "fails"
    with pytest.raises(AssertionError, match="KeyError: 'no such thing'") as caught:
        check()
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_check_leaves_the_draws_of_others_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)

    def draws() -> None:
        torch.manual_seed(5)

    Check("draws", draws)()
    assert torch.equal(torch.rand(3), expected)
