"""Parses KEY=VALUE texts, TOML tables and JSON records into frozen dataclasses; makes help rows."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from magkit.errors import UsageError, did_you_mean, nearest

C = TypeVar("C")

_UNIONS = (Union, types.UnionType)
_BOOLS = dict.fromkeys(("true", "yes", "on", "1"), True)
_BOOLS |= dict.fromkeys(("false", "no", "off", "0"), False)


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One line of an options table: a field's name, its type, default and help as texts."""

    key: str
    type: str
    default: str
    help: str


def parse_options(config: type[C], pairs: Sequence[str], owner: str = "") -> C:
    """A `config` made of its defaults and KEY=VALUE texts, of which the last of a key counts.

    Types: int, finite float, bool, str, `Literal`, `tuple` (comma-separated), `X | None` ("none").

    Args:
        config: A frozen dataclass.
        pairs: Texts such as "queue_size=4096".
        owner: The owner of the options ("magnifier 'magnet'"), for messages.

    Raises:
        UsageError: An unknown key, a text that isn't of the field's type, or a value that the
            dataclass' own `__post_init__` refuses with a ValueError.
    """
    texts = key_values(pairs, [field.name for field in fields(config)])  # type: ignore[arg-type]
    hints = _checked_keys(config, texts, owner)
    values = {key: _value(_parse, key, text, hints[key], owner) for key, text in texts.items()}
    return _construct(config, values, owner)


def key_values(pairs: Iterable[str], known: Iterable[str] = ()) -> dict[str, str]:
    """The values of KEY=VALUE texts by their keys; the last of a key counts.

    Spaces around keys and values are dropped, and hyphens in keys become underscores. Whether a
    key exists is checked by what takes the values.

    Args:
        pairs: Texts such as "queue-size = 4096".
        known: Keys that the hint names where a text is of another form.

    Raises:
        UsageError: A text has no equals sign, or no key before it.
    """
    texts: dict[str, str] = {}
    for pair in pairs:
        text, equals, value = pair.partition("=")
        key = option_key(text)
        if not equals or not key:
            names = list(known)
            hint = did_you_mean(key, names) if names else ""
            raise UsageError(f"'{pair}' is not of the form KEY=VALUE", hint)
        texts[key] = value.strip()
    return texts


def option_key(text: str) -> str:
    """The field name of a key, which may be spelt with hyphens: "queue-size" -> "queue_size"."""
    return text.strip().replace("-", "_")


def from_mapping(config: type[C], mapping: Mapping[str, Any], owner: str = "") -> C:
    """A `config` made of its defaults and the values of a TOML table or a JSON record.

    Keys may be spelt with hyphens.

    What `dataclasses.asdict` gave, through JSON and back, gives an equal dataclass.

    Raises:
        UsageError: As `parse_options`.
    """
    table = {option_key(key): value for key, value in mapping.items()}
    hints = _checked_keys(config, table, owner)
    values = {key: _value(_convert, key, value, hints[key], owner) for key, value in table.items()}
    return _construct(config, values, owner)


def option_pairs(mapping: Mapping[str, Any]) -> list[str]:
    """A table of options as KEY=VALUE texts, the inverse of `parse_options`."""
    return [f"{key}={_text(value)}" for key, value in mapping.items()]


def option_rows(config: type[Any]) -> list[OptionRow]:
    """One row a field, its help from the field's metadata, `field(metadata={"help": "..."})`."""
    hints = get_type_hints(config)
    return [
        OptionRow(
            key=field.name,
            type=type_name(hints[field.name]),
            default=_default(field),
            help=str(field.metadata.get("help", "")),
        )
        for field in fields(config)
    ]


def type_name(hint: Any) -> str:
    """A type as help shows it: "int", "a|b", "float or none", "int,int", "float,..."."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "|".join(map(str, args))
    if origin in _UNIONS:
        return " or ".join(type_name(arg) for arg in args)
    if origin is tuple:
        return ",".join("..." if arg is Ellipsis else type_name(arg) for arg in args)
    return "none" if hint is types.NoneType else str(hint.__name__)


def _checked_keys(config: type[Any], keys: Mapping[str, Any], owner: str) -> dict[str, Any]:
    hints = get_type_hints(config)
    for key in keys:
        if key not in hints:
            of = f" of {owner}" if owner else ""
            known = did_you_mean(key, [field.name for field in fields(config)])
            raise UsageError(f"no option{of} is named '{key}'", known)
    return hints


def _construct(config: type[C], values: dict[str, Any], owner: str) -> C:
    for field in fields(config):  # type: ignore[arg-type]
        if field.name not in values and field.default is field.default_factory is MISSING:
            raise UsageError(f"{owner or config.__name__} needs the option '{field.name}'")
    try:
        return config(**values)
    except ValueError as error:
        raise UsageError(f"{owner}: {error}" if owner else str(error)) from error


def _default(field: Field[Any]) -> str:
    if field.default_factory is not MISSING:
        return _text(field.default_factory())
    return "" if field.default is MISSING else _text(field.default)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _value(read: Callable[[Any, Any], Any], key: str, value: Any, hint: Any, owner: str) -> Any:
    try:
        return read(value, hint)
    except (ValueError, OverflowError) as error:
        option, text = f"option '{key}'" + (f" of {owner}" if owner else ""), _text(value)
        if get_origin(hint) is Literal:
            raise invalid_choice(option, text, list(map(str, get_args(hint)))) from error
        raise UsageError(f"{option} must be {_expected(hint)}, not '{text}'") from error


def invalid_choice(option: str, text: str, choices: Sequence[str], hint: str = "") -> UsageError:
    """The error for a text that is none of an option's choices.

    Args:
        option: The option, such as "option 'norm'".
        text: The text.
        choices: The valid values.
        hint: The hint where no choice is close to the text.
    """
    message = f"{option}: {text!r} is none of {', '.join(choices)}"
    return UsageError(message, nearest(text, choices) or hint)


def _expected(hint: Any) -> str:
    if get_origin(hint) in _UNIONS:
        return " or ".join(map(_expected, get_args(hint)))
    if hint is types.NoneType:
        return "none"
    if hint is float:
        return "a number"
    if hint is int:
        return "a whole number"
    if hint is bool:
        return "true or false"
    return f"of the form {type_name(hint)}"


def _convert(value: Any, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    finite = not isinstance(value, float) or math.isfinite(value)
    if finite and (type(value) is hint or (type(value) in args and origin in _UNIONS)):
        return value
    if origin in _UNIONS:
        return _first_that_fits(_convert, value, args)
    if origin is tuple and isinstance(value, list | tuple):
        return _each(_convert, value, args)
    if hint is float and type(value) is int:
        return float(value)
    # A text says what it would say on the command line: TOML has no null, "none" stands for it.
    return _parse(value if isinstance(value, str) else _text(value), hint)


def _parse(text: str, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _one_of(text, args)
    if origin in _UNIONS:
        none = types.NoneType in args and text.lower() == "none"
        return None if none else _first_that_fits(_parse, text, args)
    if origin is tuple:
        return _each(_parse, [part.strip() for part in text.split(",")] if text else [], args)
    if hint not in _SCALARS:
        raise TypeError(f"an option can't be of type {hint!r}")
    return _SCALARS[hint](text)


def _one_of(text: str, choices: tuple[Any, ...]) -> Any:
    named = {str(choice): choice for choice in choices}
    if text not in named:
        raise ValueError(text)
    return named[text]


def _first_that_fits(read: Callable[[Any, Any], Any], value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        if hint is not types.NoneType:
            try:
                return read(value, hint)
            except ValueError:
                continue
    raise ValueError(value)


def _each(
    read: Callable[[Any, Any], Any], parts: Sequence[Any], hints: tuple[Any, ...]
) -> tuple[Any, ...]:
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(parts)
    return tuple(read(part, hint) for part, hint in zip(parts, hints, strict=True))


def _parse_bool(text: str) -> bool:
    if text.lower() not in _BOOLS:
        raise ValueError(text)
    return _BOOLS[text.lower()]


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # JSON, which records options, has no word for it
        raise ValueError(text)
    return value


_SCALARS: dict[Any, Callable[[str], Any]] = {
    bool: _parse_bool,
    float: _parse_float,
    int: int,
    str: str,
}
