"""`maskrcnn-small` with its weights."""

from __future__ import annotations

from pathlib import Path

import torch

from magkit.invert.classes import CLASSES
from magkit.invert.targets.files import class_names, fill, read_target
from magkit.invert.targets.maskrcnn.small import maskrcnn_small
from magkit.invert.targets.maskrcnn.spec import MaskRCNNConfig
from magkit.invert.targets.maskrcnn.target import MaskRCNNTarget

NAME = "maskrcnn-small"


def shipped(config: MaskRCNNConfig, path: Path, device: torch.device) -> MaskRCNNTarget:
    """Build the small network with the weights of a file.

    Raises:
        MagkitError: they can't be read, or are another network's.
    """
    found = read_target(path, NAME)
    names = ["background", *class_names(found, path, CLASSES)]
    model = maskrcnn_small(len(names))
    fill(model, found.tensors, path, NAME)
    return MaskRCNNTarget(model, names, config, device)
