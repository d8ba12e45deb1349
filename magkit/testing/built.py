"""A magnifier with the weights that ship with it, whether or not it is installed as a plugin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from magkit.options import from_mapping, option_texts
from magkit.protocols import Magnifier
from magkit.runtime.weights_file import misfit, read_weights
from magkit.specs import MagnifierSpec
from magkit.testing.check import require
from magkit.testing.records import configured


def built(spec: MagnifierSpec[Any], options: Sequence[str]) -> Magnifier:
    """Build a magnifier, ready to be used; without weights of its own it has random ones."""
    torch.manual_seed(0)
    magnifier = _filled(spec, options) if spec.weights else spec.build(configured(spec, options))
    if isinstance(magnifier, nn.Module):
        magnifier.eval().requires_grad_(False)
    return magnifier


def _filled(spec: MagnifierSpec[Any], options: Sequence[str]) -> Magnifier:
    assert spec.weights is not None
    require(
        spec.weights.is_file(),
        f"the spec says that it ships {spec.weights}, and there is no such file: package it",
    )
    found = read_weights(spec.weights)
    owner = found.metadata.get("magnifier", spec.name)
    require(
        owner == spec.name,
        f"{spec.weights} says that it is of the magnifier '{owner}': write '{spec.name}' into it",
    )
    configured(spec, options)  # says what is wrong with them
    given = option_texts(spec.config, options)
    there = json.loads(found.metadata.get("config", "{}"))
    magnifier = spec.build(from_mapping(spec.config, {**there, **given}, spec.name))
    require(
        isinstance(magnifier, nn.Module),
        f"build gives a {type(magnifier).__name__}, which can't be filled with weights: make it a"
        " torch.nn.Module, or leave weights out of the spec",
    )
    assert isinstance(magnifier, nn.Module)
    problem = misfit(magnifier.state_dict(), found.tensors)
    require(
        not problem, f"{spec.weights} does not fit: {problem}; ship the weights of what is built"
    )
    magnifier.load_state_dict(found.tensors)
    return magnifier
