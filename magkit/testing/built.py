"""A magnifier with the weights that ship with it, whether or not it is installed as a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from magkit.magnify.load import build_magnifier, find_weights
from magkit.protocols import Magnifier
from magkit.specs import MagnifierSpec
from magkit.testing.records import configured


def built(spec: MagnifierSpec[Any], options: Sequence[str]) -> Magnifier:
    """Build a magnifier, ready to be used; without weights of its own it has random ones."""
    configured(spec, options)  # says what is wrong with them
    torch.manual_seed(0)
    return build_magnifier(spec, find_weights(spec, None) if spec.weights else None, options)
