"""Motion magnification: networks, temporal filters, the streaming pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magkit.lazy import lazy_exports, make_callable

if TYPE_CHECKING:
    from magkit.magnify.api import magnify

__all__ = ["magnify"]

__getattr__, __dir__ = lazy_exports(__name__, {"magkit.magnify.api": "magnify"})
make_callable(__name__)
