"""Specs whose callables are given by name."""

import pickle
import sys
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import pytest

from magkit import EncoderSpec, MagkitError, MagnifierSpec, MethodSpec
from magkit.plugins import HOOKS, registry
from magkit.specs import LazyCallable


@dataclass(frozen=True)
class Config:
    size: int = 3


def made(config: Config) -> Any:
    return config.size


def spec(build: Any, **fields: Any) -> MagnifierSpec[Config]:
    return MagnifierSpec(name="mine", summary="", config=Config, build=build, **fields)


def test_a_callable_is_kept() -> None:
    assert spec(made).build is made
    assert (spec(made).losses, spec(made).encoder) == (None, None)
    losses: Any = made
    assert spec(made, losses=losses).losses is losses


def test_a_name_is_imported_when_it_is_called() -> None:
    sys.modules.pop("fractions", None)
    found = spec("fractions:Fraction.from_float")
    assert "fractions" not in sys.modules
    build: Any = found.build
    assert build(0.5).denominator == 2
    assert "fractions" in sys.modules


def test_specs_are_compared_hashed_copied_and_pickled() -> None:
    one = spec("json:dumps", losses="json:loads")
    assert one == spec("json:dumps", losses="json:loads") != spec("json:dumps")
    assert hash(one) == hash(replace(one))
    assert pickle.loads(pickle.dumps(one)) == replace(one) == one
    with pytest.raises(FrozenInstanceError):
        one.build = made  # type: ignore[misc]


def test_a_required_field_must_be_given() -> None:
    arguments: Any = {"name": "mine", "summary": "", "config": Config}
    with pytest.raises(TypeError, match="build"):
        MagnifierSpec(**arguments)
    with pytest.raises(TypeError, match="build"):
        EncoderSpec(strides={}, groups={})


@pytest.mark.parametrize(
    "name", ["", "json", "json:", ":dumps", "json:a b", "json:dumps()", "a:b:c"]
)
def test_a_text_that_is_no_name_is_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match="build of MethodSpec 'mine'"):
        MethodSpec(name="mine", summary="", config=Config, build=name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no_such_package.method:Mine", "there is no module 'no_such_package'"),
        ("json.gone:Mine", "there is no module 'json.gone'"),
        ("json:gone", "there is no 'gone' in it"),
        ("json:JSONEncoder.gone", "there is no 'gone' in it"),
        ("json:__name__", "it is a str"),
    ],
)
def test_a_name_that_leads_nowhere_names_its_plugin(name: str, problem: str) -> None:
    build: Any = spec(name).build
    with pytest.raises(MagkitError) as caught:
        build(Config())
    package = name.partition(":")[0].partition(".")[0]
    for part in (f"the plugin {package} ", "build of MagnifierSpec 'mine'", f"'{name}'", problem):
        assert part in caught.value.message


def test_an_import_that_fails_inside_the_module_is_raised(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_module_of_mine.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    build: Any = spec("a_module_of_mine:build").build
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        build(Config())


def test_every_name_of_the_built_ins_leads_to_a_callable() -> None:
    specs = [spec for plugin in registry().plugins if plugin.builtin for spec in plugin.specs]
    assert {type(each) for each in specs} == set(HOOKS.values())
    for each in specs:
        holders: list[Any] = [each, getattr(each, "encoder", None)]
        for value in (value for holder in holders if holder for value in vars(holder).values()):
            if isinstance(value, LazyCallable):
                assert callable(value.resolve())
