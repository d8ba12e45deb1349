"""What `magkit plugins` shows: no name is broken, however narrow the terminal."""

import re
from typing import Any

import pytest

from magkit.cli import run
from magkit.plugins import registry

LONG = "magkit-a-plugin-with-a-name-longer-than-most"
NAMES = [f"cifar-resnet{depth}" for depth in (20, 32, 44, 56, 110)]
NAMES += [f"{'long-' * 10}target-{number}" for number in range(3)]
TARGETS = f"""
    from dataclasses import dataclass
    from magkit import TargetSpec, hookimpl

    @dataclass(frozen=True)
    class Config:
        pass

    @hookimpl
    def magkit_targets():
        names = {NAMES}
        return [TargetSpec(name=n, summary="Mine.", config=Config, build=None) for n in names]
"""


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    registry.cache_clear()
    try:
        assert run(["plugins"]) == 0
    finally:
        registry.cache_clear()
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [0, 80, 100, 120])
def test_names_kinds_and_distributions_are_whole(
    site: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    site.install(LONG, TARGETS, version="10.20.30")
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = listed(capsys)
    assert f"{LONG} 10.20.30 (a-plugin-with-a-name-longer-than-most)  ok" in lines
    widest = max(len(line) for line in lines if LONG not in line)
    assert widest <= (columns or 80)
    words = re.split(r"[ ,\n]+", "\n".join(lines))
    for name in (*NAMES, "maskrcnn-small", "magnet-fast", "moco", "magkit_magnifiers"):
        assert words.count(name) == 1
    # A kind, and then the names of that kind alone.
    shown = " ".join(words)
    assert f"target {' '.join(NAMES)} hooks magkit_targets" in shown
    assert "magnifier magnet-fast magnet linear phase colour hooks" in shown


def test_state_without_anything(
    site: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("magkit-bad", "import no_such_module", version="0.3")
    site.install("magkit-off", "")
    monkeypatch.setenv("MAGKIT_DISABLE_PLUGINS", "off")
    lines = listed(capsys)
    assert {"magkit-bad 0.3 (bad)  broken", "magkit-off 1.0 (off)  disabled"} <= set(lines)


def test_a_listing_that_is_interrupted(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("magkit-slow", "raise KeyboardInterrupt")
    registry.cache_clear()
    assert run(["plugins"]) == 130
    assert "interrupted" in capsys.readouterr().err
