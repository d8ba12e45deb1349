"""Random views of frames, a batch at a time: one warp, one blur, one map of colours."""

from __future__ import annotations

import torch
from torch import Tensor

from magkit.protocols import View
from magkit.selfsup.blur import blurred
from magkit.selfsup.colour import coloured, solarized
from magkit.selfsup.crops import crop_boxes
from magkit.selfsup.draws import Draws
from magkit.selfsup.view_config import ViewConfig
from magkit.selfsup.warp import taps, warp


@torch.no_grad()
def make_views(frames_NCHW: Tensor, draws_NU: Tensor, config: ViewConfig, which: int) -> View:
    """Make one view of each frame: a pure function of its arguments, on the frames' device.

    Blur comes before colour, for the two commute but for what is clipped.

    Args:
        frames_NCHW: RGB, uint8 or floats in [0, 1].
        draws_NU: as `draw_views` returns them.
        config: kinds and ranges of the changes.
        which: 0 or 1, the first or the second view, whose probabilities may differ.
    """
    frames, size = frames_NCHW, config.size
    draws = Draws(*draws_NU.to(frames.device).unbind(1))
    boxes = crop_boxes(draws, frames.shape[2], frames.shape[3], config)
    flipped = draws.flip < config.flip
    left, top, right, bottom = boxes.unbind(1)
    rows = taps(top, bottom, torch.zeros_like(flipped), size, frames.shape[2])
    columns = taps(left, right, flipped, size, frames.shape[3])
    if not frames.is_floating_point():
        rows = rows._replace(weights=rows.weights / 255)
    # Half precision, in which a training may run, would move what the boxes promise.
    with torch.autocast(frames.device.type, enabled=False):
        views = blurred(warp(frames, rows, columns), draws, config, which)
        views = solarized(coloured(views, draws, config, which), draws, config, which)
    return View(views, boxes, flipped)
