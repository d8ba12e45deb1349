"""Whether a network shows where things are: a classifier doesn't, and its J and F are 0."""

from __future__ import annotations

import torch

from magkit.invert.maker import Chosen

GREY = 0.5  # a classifier names a class even of grey; others find nothing there, or masks


def shows_no_masks(each: Chosen, size: tuple[int, int], device: torch.device) -> bool:
    """Return whether a network names classes alone, by what it says of an even grey of a size."""
    grey = torch.full((1, 3, *size), GREY, device=device)
    found = each.target.predict(grey)[0]
    return bool(found) and all(seen.mask_HW is None for seen in found)
