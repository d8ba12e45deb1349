"""Displacements of regions of a clip without any network: waveforms, spectra, floors and units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magkit.lazy import lazy_exports, make_callable

if TYPE_CHECKING:
    from magkit.measure.api import measure

__all__ = ["measure"]

__getattr__, __dir__ = lazy_exports(__name__, {"magkit.measure.api": "measure"})
make_callable(__name__)
