"""A magnifier with the weights that ship with it, whether or not it is installed as a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.magnify.load import build_magnifier, find_weights
from magkit.protocols import Magnifier
from magkit.specs import MagnifierSpec
from magkit.testing.records import configured


def built(spec: MagnifierSpec[Any], options: Sequence[str]) -> Magnifier:
    """Build a magnifier, ready to be used; without weights of its own it has random ones."""
    configured(spec, options)  # says what is wrong with the options
    torch.manual_seed(0)
    if spec.weights is None:
        return build_magnifier(spec, None, options)
    try:
        return build_magnifier(spec, find_weights(spec, None), options)
    except MagkitError as error:
        raise AssertionError(
            f"{error.message}; package {spec.weights} with the weights of the torch.nn.Module that"
            f" build gives, and '{spec.name}' as the magnifier in its metadata"
        ) from error
