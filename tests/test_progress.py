"""Whether somebody looks."""

import sys

import pytest

from magkit.progress import shows_progress


@pytest.mark.parametrize(
    ("terminal", "quiet", "looks"),
    [
        (True, "", True),
        (True, "0", True),
        (True, "1", False),
        (False, "0", False),
    ],
)
def test_who_looks(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: str, looks: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("MAGKIT_QUIET", quiet)
    assert shows_progress() == looks
