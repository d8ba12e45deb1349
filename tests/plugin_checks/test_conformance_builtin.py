"""What magkit ships keeps to what it asks of plugins."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from magkit import builtin
from magkit.testing import Check, magnifier_checks, method_checks, target_checks

SMALL: dict[str, Sequence[tuple[str, ...]]] = {
    "moco": [("hidden=16", "dim=8", "queue=32")],
    "byol": [("hidden=16", "dim=8")],
    "scrl": [("hidden=16", "dim=8", "min_size=8", "boxes=4", "candidates=20")],
    "maskrcnn-small": [(), ("rois=sampled", "proposals=yes", "boxes=yes")],
    "magnet": [("base=reference", "bias=yes")],
    "phase": [(), ("octaves=3", "colour=luma", "attenuate=yes")],
    "linear": [(), ("cutoff=0", "chroma=0.5")],
    "colour": [(), ("level=1",)],
}
PUBLISHED = ("maskrcnn", "maskrcnn-v2")
"""Targets whose weights don't ship: their specs alone are looked at."""


def checks() -> Iterator[Any]:
    for spec in builtin.magkit_methods():
        yield from named(spec.name, [method_checks(spec, options=o) for o in ways(spec.name)])
    for target in builtin.magkit_targets():
        found = [target_checks(target, options=o) for o in ways(target.name)]
        if target.name in PUBLISHED:
            found = [[c for c in found[0] if c.name.startswith(("spec-", "options-"))]]
        yield from named(target.name, found)
    for magnifier in builtin.magkit_magnifiers():
        found = [magnifier_checks(magnifier, options=o) for o in ways(magnifier.name)]
        yield from named(magnifier.name, found)


def ways(name: str) -> Sequence[tuple[str, ...]]:
    return SMALL.get(name, [()])


def named(name: str, found: Sequence[Sequence[Check]]) -> Iterator[Any]:
    """What does not depend on options is asked once."""
    for number, ways in enumerate(found):
        for check in ways:
            if number == 0 or not check.name.startswith(("spec-", "preset")):
                yield pytest.param(check, id=f"{name}{number or ''}-{check}")


@pytest.mark.parametrize("check", list(checks()))
def test_conformance(check: Check) -> None:
    check()
