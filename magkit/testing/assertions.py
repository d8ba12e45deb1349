"""Checks, their failure messages, and comparisons of loss terms, tensors and modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from magkit.errors import MagkitError


@dataclass(frozen=True, slots=True)
class Check:
    """One conformance check of a plugin.

    Attributes:
        name: In lower-case letters and hyphens; `str` gives it.
        run: Raises AssertionError where the plugin fails.
    """

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Run it; torch's global generator is left as it was.

        Raises:
            AssertionError: One sentence that says what is wrong and what to do. An exception of
                the plugin's own code is its cause.
        """
        try:
            with torch.random.fork_rng(devices=[]):
                self.run()
        except MagkitError as error:
            raise AssertionError(_sentence(error)) from error
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"{type(error).__name__}: {error}; the traceback says where"
            ) from error

    def __str__(self) -> str:
        return self.name


def require(condition: object, sentence: str) -> None:
    """Raise AssertionError with a sentence unless a condition holds."""
    if not condition:
        raise AssertionError(sentence)


def _sentence(error: MagkitError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


ROUNDING = 1e-4  # of losses, whose sums are added up in another order


def finite_terms(terms: Mapping[Any, Any], how: str = "") -> None:
    """Require named finite scalars; `how` they were computed ends the message."""
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


def format_terms(terms: Mapping[str, Tensor]) -> str:
    """Return loss terms as text."""
    return ", ".join(f"{name} {term.item():.5f}" for name, term in terms.items())


def require_stride(model: object) -> None:
    """Require that `model.stride` is a whole number of pixels."""
    stride = getattr(model, "stride", None)
    require(
        isinstance(stride, int) and stride > 0,
        f"stride is {stride!r}: say of how many pixels heights and widths must be multiples, 1 if"
        " of any",
    )


def require_equal_losses(
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    message: str,
    tolerance: float = ROUNDING,
) -> None:
    """Require that two sets of terms agree but for rounding; `message` has two {} for them."""
    equal = set(ours) == set(theirs) and all(
        bool((ours[n] - theirs[n]).abs() <= tolerance * (1 + theirs[n].abs())) for n in ours
    )
    require(equal, message.format(format_terms(ours), format_terms(theirs)))


def require_refusal(ask: Callable[[], object], problem: str, remedy: str) -> None:
    """Require that a call raises MagkitError."""
    try:
        ask()
    except MagkitError:
        return
    except Exception as error:
        sentence = f"{problem} for {type(error).__name__} ({error}): {remedy}"
        raise AssertionError(sentence) from error
    raise AssertionError(f"{problem} without a word: {remedy}")


def listed(names: Sequence[object]) -> str:
    """Return the first three names as text."""
    shown = ", ".join(map(str, names[:3]))
    return shown + (", ..." if len(names) > 3 else "")


def differing_tensors(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors that are not the same to the bit, or that one side lacks."""
    names = dict.fromkeys([*ours, *theirs])
    return [n for n in names if n not in ours or n not in theirs or not same(ours[n], theirs[n])]


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same to the bit; NaNs are equal."""
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def cloned_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's state dict."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def unregistered_tensors(module: nn.Module) -> list[str]:
    """Return the names of a module's attributes that are tensors, or hold some, unregistered."""
    return [
        f"{prefix}.{name}".lstrip(".")
        for prefix, part in module.named_modules()
        for name, value in vars(part).items()
        if name not in _REGISTERED and any(_tensors(value))
    ]


_REGISTERED = ("_parameters", "_buffers", "_modules")


def _tensors(value: object) -> Iterator[bool]:
    if isinstance(value, Tensor):
        yield True
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _tensors(each)


def modules_of(target: object) -> list[nn.Module]:
    """Return an object if it is a module, or those of its attributes that are."""
    if isinstance(target, nn.Module):
        return [target]
    slots = (name for kind in type(target).__mro__ for name in getattr(kind, "__slots__", ()))
    names = [*getattr(target, "__dict__", {}), *slots]
    return [part for name in names if isinstance(part := getattr(target, name, None), nn.Module)]


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """By name, whatever the module's own `parameters` yields."""
    return dict(nn.Module.named_parameters(module))
