"""What comes out of a plugin, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from magkit.errors import MagkitError
from magkit.testing.check import require

ROUNDING = 1e-4  # of losses, whose sums are added up in another order


def finite_terms(terms: Mapping[Any, Any], how: str = "") -> None:
    """Ask that loss terms are named finite scalars; `how` they came about ends the sentence."""
    require(terms, "there is no loss term: return a dict of at least one")
    for name, term in terms.items():
        require(
            isinstance(name, str) and name and isinstance(term, Tensor) and term.ndim == 0,
            f"the loss term {name!r} is no scalar tensor with a name: return a dict of names and"
            " means",
        )
        require(
            bool(term.isfinite()),
            f"the loss term '{name}' is {term.item()}{how}: keep it finite, whatever is shown",
        )


def told(terms: Mapping[str, Tensor]) -> str:
    """Return loss terms as a text."""
    return ", ".join(f"{name} {term.item():.5f}" for name, term in terms.items())


def near(one: Tensor, other: Tensor, tolerance: float = ROUNDING) -> bool:
    """Whether two losses are the same but for rounding."""
    return bool((one - other).abs() <= tolerance * (1 + other.abs()))


def refuses(ask: Callable[[], object], problem: str, remedy: str) -> None:
    """Ask that something is refused with a MagkitError."""
    try:
        ask()
    except MagkitError:
        return
    except Exception as error:
        sentence = f"{problem} for {type(error).__name__} ({error}): {remedy}"
        raise AssertionError(sentence) from error
    raise AssertionError(f"{problem} without a word: {remedy}")


def listed(names: Sequence[object]) -> str:
    """Return the first three of some names as a text."""
    shown = ", ".join(map(str, names[:3]))
    return shown + (", ..." if len(names) > 3 else "")
