"""Whatever a driver raises over a place that can't be read is one sentence."""

import pytest

from magkit.data.store import Store
from magkit.errors import MagkitError


class RefusedError(Exception):
    """What a driver's own library raises, of none of Python's types."""


def test_a_driver_raises_what_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("memory://nowhere")

    def refuse(*_: object, **__: object) -> None:
        raise RefusedError("403 Forbidden")

    for name in ("open", "ls", "isfile"):
        monkeypatch.setattr(type(store._files), name, refuse)
    for call in (
        lambda: store.has("x"),
        lambda: store.read("x", 9),
        lambda: store.read_range("x", 0, 3, 9),
        lambda: store.open("x"),
        lambda: store.list("x"),
        lambda: store.sizes("x"),
    ):
        with pytest.raises(MagkitError, match="403 Forbidden"):
            call()
