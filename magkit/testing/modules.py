"""What a torch.nn.Module holds, and where it keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


def differing(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors that are not the same to the bit, or that one side lacks."""
    names = dict.fromkeys([*ours, *theirs])
    return [n for n in names if n not in ours or n not in theirs or not same(ours[n], theirs[n])]


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same to the bit; values that are no numbers are like another."""
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def loose_tensors(module: nn.Module) -> list[str]:
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


def networks(target: object) -> list[nn.Module]:
    """Return an object if it is a module, or those of its attributes that are."""
    if isinstance(target, nn.Module):
        return [target]
    slots = (name for kind in type(target).__mro__ for name in getattr(kind, "__slots__", ()))
    names = [*getattr(target, "__dict__", {}), *slots]
    return [part for name in names if isinstance(part := getattr(target, name, None), nn.Module)]


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """By name, whatever the module's own `parameters` yields."""
    return dict(nn.Module.named_parameters(module))
