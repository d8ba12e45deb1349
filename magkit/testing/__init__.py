"""Conformance checks of plugins against magkit's protocols, for their authors' tests.

    import pytest
    from magkit.testing import Check, method_checks
    from magkit_mine.spec import SPEC

    @pytest.mark.parametrize("check", method_checks(SPEC, options=("hidden=16",)), ids=str)
    def test_conformance(check: Check) -> None:
        check()

The built-ins pass them too. They take a few seconds on a CPU; options for small networks make them
faster. A check is a function that raises AssertionError: pytest isn't needed.
"""

from magkit.testing.assertions import Check
from magkit.testing.magnifiers import magnifier_checks
from magkit.testing.methods import method_checks
from magkit.testing.targets import target_checks

__all__ = ["Check", "magnifier_checks", "method_checks", "target_checks"]
