"""A band on unevenly spaced frames steps by their true times."""

import runpy
from pathlib import Path

import pytest

from magkit import load_magnifier


def test_a_band_gives_uneven_clips_the_amplitude_of_their_even_twins(tmp_path: Path) -> None:
    bench = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "uneven.py"))
    bench["measure"].__globals__.update(HEIGHT=32, WIDTH=64)
    found = bench["measure"](tmp_path, load_magnifier(), (None,))
    assert found["even"] == pytest.approx(5 * bench["SWING"], rel=0.05)
    for name in ("10 then 60", "5 % missing"):
        assert found[name] == pytest.approx(found["even"], rel=0.05)
