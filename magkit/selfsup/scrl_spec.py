"""Options, presets and registration of the method SCRL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from magkit.selfsup.byol_spec import ByolConfig
from magkit.selfsup.recipe import CPU_PRESET, CPU_PRESET_SETTINGS
from magkit.specs import MethodSpec, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrlConfig(ByolConfig):
    """Defaults are those of the code of Roh et al., CVPR 2021, for 1,000 epochs, less its flaws."""

    boxes: int = field(default=10, metadata={"help": "boxes where the views of a frame overlap"})
    min_size: int = field(
        default=32, metadata={"help": "least side of a box, in pixels of the view it is smaller in"}
    )
    max_iou: float = field(
        default=0.5, metadata={"help": "greatest overlap of a frame's boxes: shared over covered"}
    )
    candidates: int = field(
        default=100, metadata={"help": "boxes drawn to find so many; then max_iou is given up"}
    )
    sampling: int = field(
        default=-1,
        metadata={"help": "places a side of a box where features are read; -1: each cell"},
    )
    centre: float | None = field(
        default=None,
        metadata={
            "help": "pixels from a view's edge to what the first cell looks at; none: as the "
            "encoder says"
        },
    )
    aligned: bool = field(
        default=True, metadata={"help": "no: boxes half a cell off, as published"}
    )
    whole: bool = field(
        default=False, metadata={"help": "yes: boxes of whole pixels, as published"}
    )

    def __post_init__(self) -> None:
        if min(self.hidden, self.dim, self.boxes, self.min_size) < 1:
            raise ValueError("hidden, dim, boxes and min_size must be at least 1")
        if self.candidates < self.boxes:
            raise ValueError("candidates must be at least as many as boxes")
        if not 0 <= self.tau <= 1 or not 0 <= self.max_iou <= 1:
            raise ValueError("tau and max_iou must be in [0, 1]")
        if self.sampling < 1 and self.sampling != -1:
            raise ValueError("sampling must be at least 1, or -1")
        if self.centre is not None and not self.aligned:
            raise ValueError("centre has no meaning where aligned is false")


PAPER: dict[str, Any] = {
    "batch": 8192,
    "optimizer": "lars",
    "lr": 0.2,
    "momentum": 0.9,
    "weight_decay": 1.5e-6,
    "frame": 256,  # what views of 224 pixels are cut out of
    "size": 224,
    "scale": (0.2, 1.0),
    "flip": 0.5,
    "jitter": (0.8, 0.8),
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.2,
    "hue": 0.1,
    "grey": (0.2, 0.2),
    "blur": (1.0, 0.1),
    "sigma": (0.1, 2.0),
    "solarize": (0.0, 0.2),
}

SPEC = MethodSpec(
    name="scrl",
    summary="as BYOL, on boxes that both views of a frame show (SCRL)",
    config=ScrlConfig,
    build="magkit.selfsup.scrl:build",
    presets={
        "small": Preset(
            why=f"{CPU_PRESET}; boxes of 16 pixels and more, as 32 of 224 hardly fit into 96; "
            "features read at 4 x 4 places of a box, which takes a third of the time; tau from "
            "0.99, which lags 100 of 2,000 steps",
            settings=CPU_PRESET_SETTINGS,
            options={"hidden": 256, "dim": 64, "tau": 0.99, "min_size": 16, "sampling": 4},
        ),
        "paper": Preset(
            why="Roh et al. and their code: ImageNet, ResNet-50, 1,000 epochs of which 10 warm up; "
            "both are left to the number of frames (steps = epochs x frames / batch)",
            settings=PAPER,
        ),
        "compat": Preset(
            why="as 'paper', with the published code's flaws: boxes of whole pixels, and features "
            "read half a cell off, so that a mirrored view's boxes lie a cell from the other's",
            settings=PAPER,
            options={"aligned": False, "whole": True},
        ),
    },
    paper="Roh et al., CVPR 2021, arXiv 2103.06122",
)
