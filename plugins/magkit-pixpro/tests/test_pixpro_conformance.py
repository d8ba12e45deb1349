"""What magkit asks of every method."""

import pytest
from magkit_pixpro.spec import SPEC

from magkit.testing import Check, method_checks


@pytest.mark.parametrize("check", method_checks(SPEC, options=("hidden=32", "dim=16")), ids=str)
def test_conformance(check: Check) -> None:
    check()
