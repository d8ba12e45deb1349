"""KEY=VALUE texts, TOML tables and JSON records as frozen dataclasses."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.options import from_mapping, key_values, option_pairs, option_rows, parse_options


@dataclass(frozen=True)
class Config:
    """One field of every type that options have."""

    queue_size: int = field(default=4096, metadata={"help": "keys that are kept"})
    temperature: float = 0.2
    symmetric: bool = False
    name: str = ""
    norm: Literal["batch", "group"] = "batch"
    clip: float | None = None
    title: str | None = None
    grid: tuple[int, int] = (7, 7)
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.queue_size < 1:
            raise ValueError(f"queue_size must be at least 1, not {self.queue_size}")


finite = st.floats(allow_nan=False, allow_infinity=False)
configs = st.builds(
    Config,
    queue_size=st.integers(1),
    temperature=finite,
    symmetric=st.booleans(),
    name=st.text(),
    norm=st.sampled_from(["batch", "group"]),
    clip=st.none() | finite,
    title=st.none() | st.text(),
    grid=st.tuples(st.integers(), st.integers()),
    scales=st.lists(finite).map(tuple),
)


@given(configs)
def test_a_record_in_a_checkpoint_comes_back_equal(config: Config) -> None:
    record = json.loads(json.dumps(asdict(config)))
    assert from_mapping(Config, record) == config


@given(configs.filter(lambda c: c.name == c.name.strip() and c.title is None))
def test_what_is_written_as_flags_is_read_back_equal(config: Config) -> None:
    assert parse_options(Config, option_pairs(asdict(config))) == config


@given(st.text())
def test_no_text_gives_anything_but_a_config_or_a_usage_error(text: str) -> None:
    for key in asdict(Config()):
        with suppress(UsageError):
            assert isinstance(parse_options(Config, [f"{key}={text}"]), Config)


@pytest.mark.parametrize(
    ("pair", "key", "value"),
    [
        ("queue_size=8", "queue_size", 8),
        ("queue-size = 8", "queue_size", 8),
        ("temperature=1e-3", "temperature", 0.001),
        ("symmetric=yes", "symmetric", True),
        ("symmetric=off", "symmetric", False),
        ("norm=group", "norm", "group"),
        ("name=a=b", "name", "a=b"),
        ("clip=none", "clip", None),
        ("clip=0.5", "clip", 0.5),
        ("grid=2, 3", "grid", (2, 3)),
        ("scales=", "scales", ()),
        ("scales=1,0.5", "scales", (1.0, 0.5)),
    ],
)
def test_texts(pair: str, key: str, value: object) -> None:
    assert getattr(parse_options(Config, [pair]), key) == value


def test_keys_are_spelt_alike_in_texts_and_tables() -> None:
    assert key_values([" queue-size = 4 ", "name=a=b", "queue_size=5"]) == {
        "queue_size": "5",
        "name": "a=b",
    }
    assert from_mapping(Config, {"queue-size": 5}).queue_size == 5
    with pytest.raises(UsageError) as caught:
        from_mapping(Config, {"queue-sise": 5})
    assert "did you mean 'queue_size'?" in caught.value.hint


@pytest.mark.parametrize("text", ["a", "", "=", "=3", " = 3"])
def test_a_text_without_a_key_or_an_equals_sign(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        key_values([text], ["size"])
    assert caught.value.message.startswith(f"'{text}' is not of the form")
    assert "size" in caught.value.hint


def test_of_a_key_that_is_given_twice_the_last_counts() -> None:
    assert parse_options(Config, ["queue_size=8", "queue-size=9"]).queue_size == 9


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("queue_sise=8", "no option of method 'm' is named 'queue_sise'"),
        ("queue_size", "'queue_size' is not of the form KEY=VALUE"),
        ("queue_size=8.5", "option 'queue_size' of method 'm' must be a whole number, not '8.5'"),
        ("queue_size=0", "method 'm': queue_size must be at least 1, not 0"),
        ("temperature=nan", "option 'temperature' of method 'm' must be a number, not 'nan'"),
        ("symmetric=maybe", "option 'symmetric' of method 'm' must be true or false, not 'maybe'"),
        ("norm=layer", "option 'norm' of method 'm': 'layer' is none of batch, group"),
        ("clip=x", "option 'clip' of method 'm' must be a number or none, not 'x'"),
        ("grid=1,2,3", "option 'grid' of method 'm' must be of the form int,int, not '1,2,3'"),
    ],
)
def test_refusals(pair: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(Config, [pair], "method 'm'")
    assert caught.value.message == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("text", "hint"), [("grup", "did you mean 'group'?"), ("x", "")])
def test_a_wrong_choice_is_answered_with_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(Config, [f"norm={text}"])
    assert caught.value.message == f"option 'norm': '{text}' is none of batch, group"
    assert caught.value.hint == hint


def test_a_wrong_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(Config, ["queue_sise=8"])
    assert caught.value.hint.startswith("did you mean 'queue_size'? known: queue_size, temperature")


@pytest.mark.parametrize(
    ("mapping", "key"),
    [
        ({"queue_size": 8.0}, "queue_size"),
        ({"queue_size": True}, "queue_size"),
        ({"temperature": float("nan")}, "temperature"),
        ({"clip": float("nan")}, "clip"),
        ({"clip": float("-inf")}, "clip"),
        ({"temperature": "inf"}, "temperature"),
        ({"scales": [1.0, float("inf")]}, "scales"),
        ({"grid": [1, 2, 3]}, "grid"),
        ({"symmetric": 2}, "symmetric"),
    ],
)
def test_values_of_another_type_are_refused(mapping: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError, match=f"option '{key}' must be"):
        from_mapping(Config, mapping)


def test_a_choice_of_another_type_is_none() -> None:
    with pytest.raises(UsageError, match="option 'norm': '3' is none of batch, group"):
        from_mapping(Config, {"norm": 3})


def test_a_field_without_a_default_must_be_given() -> None:
    @dataclass(frozen=True)
    class Needy:
        size: int

    with pytest.raises(UsageError, match="Needy needs the option 'size'"):
        parse_options(Needy, [])
    assert parse_options(Needy, ["size=3"]) == Needy(3)


def test_rows() -> None:
    rows = {row.key: (row.type, row.default, row.help) for row in option_rows(Config)}
    assert rows["queue_size"] == ("int", "4096", "keys that are kept")
    assert rows["norm"] == ("batch|group", "batch", "")
    assert rows["clip"] == ("float or none", "none", "")
    assert rows["grid"] == ("int,int", "7,7", "")
    assert rows["scales"] == ("float,...", "", "")
