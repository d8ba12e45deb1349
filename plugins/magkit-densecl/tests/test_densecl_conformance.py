"""What magkit asks of every method."""

import pytest
from magkit_densecl.spec import SPEC

from magkit.testing import Check, method_checks


@pytest.mark.parametrize(
    "check", method_checks(SPEC, options=("hidden=16", "dim=8", "queue=16")), ids=str
)
def test_conformance(check: Check) -> None:
    check()
