"""Options, presets and registration of the method BYOL."""

from __future__ import annotations

from dataclasses import dataclass, field

from magkit.selfsup.recipe import CPU_PRESET, CPU_PRESET_SETTINGS
from magkit.specs import MethodSpec, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class ByolConfig:
    """Defaults are those of Grill et al., NeurIPS 2020, for 1,000 epochs."""

    hidden: int = field(default=4096, metadata={"help": "width of projector and predictor"})
    dim: int = field(default=256, metadata={"help": "length of a projection"})
    tau: float = field(
        default=0.996, metadata={"help": "first decay of the target's average; rises to 1"}
    )

    def __post_init__(self) -> None:
        if min(self.hidden, self.dim) < 1:
            raise ValueError("hidden and dim must be at least 1")
        if not 0 <= self.tau <= 1:
            raise ValueError("tau must be in [0, 1]")


SPEC = MethodSpec(
    name="byol",
    summary="predict a slower network's view of the frame, without negatives (BYOL)",
    config=ByolConfig,
    build="magkit.selfsup.byol:build",
    presets={
        "small": Preset(
            why=f"{CPU_PRESET}; tau from 0.99, which lags 100 of 2,000 steps, as the paper's "
            "0.996 for 300,000 would lag an eighth of them",
            settings=CPU_PRESET_SETTINGS,
            options={"hidden": 256, "dim": 64, "tau": 0.99},
        ),
        "paper": Preset(
            why="Grill et al., appendix A: ImageNet, ResNet-50, 1,000 epochs of which 10 warm up; "
            "both are left to the number of frames (steps = epochs x frames / batch)",
            settings={
                "batch": 4096,
                "optimizer": "lars",
                "lr": 0.2,
                "momentum": 0.9,
                "weight_decay": 1.5e-6,
                "frame": 256,  # what views of 224 pixels are cut out of
                "size": 224,
                "scale": (0.08, 1.0),
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
            },
        ),
    },
    paper="Grill et al., NeurIPS 2020, arXiv 2006.07733",
)
