"""Settings by name, out of defaults and of layers that outdo one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from magkit.errors import UsageError, did_you_mean
from magkit.options import from_mapping, option_key


def make_parts(
    parts: Sequence[type[Any]], layers: Sequence[Mapping[str, Any]], owner: str
) -> list[Any]:
    """Make a record of each class of its defaults and of settings, of which later layers win.

    Args:
        parts: frozen dataclasses; no two have a field of the same name.
        layers: values of their fields by name, or texts that say the same.
        owner: whose settings they are, for messages.

    Raises:
        UsageError: an unknown name, or a value that is refused.
    """
    settings = {option_key(key): value for layer in layers for key, value in layer.items()}
    known = [f.name for part in parts for f in fields(part)]
    for key in settings:
        if key not in known:
            raise UsageError(f"no setting of {owner} is named '{key}'", did_you_mean(key, known))
    return [
        from_mapping(
            part, {f.name: settings[f.name] for f in fields(part) if f.name in settings}, owner
        )
        for part in parts
    ]
