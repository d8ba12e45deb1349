"""Whether a plugin keeps to what magkit's protocols promise: checks for its author's tests.

    import pytest
    from magkit.testing import Check, method_checks
    from magkit_mine.spec import SPEC

    @pytest.mark.parametrize("check", method_checks(SPEC, options=("hidden=16",)), ids=str)
    def test_conformance(check: Check) -> None:
        check()

What magkit ships passes them too. They take a few seconds on a CPU; options that make networks
small make them faster. pytest isn't needed: a check is a function that raises AssertionError.
"""

from magkit.testing.assertions import Check
from magkit.testing.magnifiers import magnifier_checks
from magkit.testing.methods import method_checks
from magkit.testing.targets import target_checks

__all__ = ["Check", "magnifier_checks", "method_checks", "target_checks"]
