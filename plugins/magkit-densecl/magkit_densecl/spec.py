"""What DenseCL is, without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from magkit import MapInfo, MethodSpec, Preset, UsageError, hookimpl
from magkit.toolkit import CPU_PRESET_SETTINGS

if TYPE_CHECKING:
    from magkit_densecl.method import DenseCL


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseClConfig:
    """Defaults are those of Wang et al., CVPR 2021."""

    hidden: int = field(default=2048, metadata={"help": "width of both projectors"})
    dim: int = field(default=128, metadata={"help": "length of a key"})
    queue: int = field(
        default=65536, metadata={"help": "frames whose keys are kept as negatives, in both queues"}
    )
    temperature: float = field(default=0.2, metadata={"help": "of the softmax over similarities"})
    tau: float = field(default=0.999, metadata={"help": "decay of the key networks' average"})
    grid: int = field(
        default=7, metadata={"help": "places a side of a map that are compared one by one"}
    )
    dense: float = field(
        default=0.5,
        metadata={"help": "weight of places in the loss; what is left: of whole frames"},
    )

    def __post_init__(self) -> None:
        if min(self.hidden, self.dim, self.queue, self.grid) < 1:
            raise ValueError("hidden, dim, queue and grid must be at least 1")
        if not self.temperature > 0:
            raise ValueError("temperature must be above 0")
        if not 0 <= self.tau <= 1 or not 0 <= self.dense <= 1:
            raise ValueError("tau and dense must be in [0, 1]")


def build(config: DenseClConfig, maps: MapInfo) -> DenseCL:
    """Build the method for such feature maps, with random weights."""
    from magkit_densecl.method import DenseCL

    return DenseCL(config, maps.channels)


def check(config: DenseClConfig, frames: int, batch: int) -> None:
    """Refuse queues that hold a frame's own earlier keys, or less than a step's.

    Raises:
        UsageError: they do.
    """
    if config.queue > frames:
        fitting = max(batch, frames // 2)
        raise UsageError(
            f"queues of {config.queue:,} keys are larger than the data, {frames:,} frames: a frame"
            " would be told from itself",
            f"--opt queue={fitting}" if fitting <= frames else "more frames, or a smaller --batch",
        )
    if config.queue < batch:
        raise UsageError(
            f"a step's {batch} keys don't fit queues of {config.queue}", f"--opt queue={batch}"
        )


SPEC = MethodSpec(
    name="densecl",
    summary="as moco, of whole frames and of places that look alike in both views (DenseCL)",
    config=DenseClConfig,
    build=build,
    check=check,
    presets={
        "small": Preset(
            why="for 1,000 to 20,000 frames on a CPU: 64 views of 96 pixels a step; AdamW at 0.001,"
            " since a small encoder without normalisation has gradients of very different sizes;"
            " colour changes and blur half as strong as published, so that textures keep the"
            " colours and the detail that a magnifier draws with; projectors an eighth as wide, for"
            " an encoder with tens of channels and not 2,048; queues of 512, half of 1,000 frames,"
            " since most negatives would else be the query's own frame or its neighbours (at 20,000"
            " frames: --opt queue=4096); tau 0.99, which lags 100 steps, about as old as the oldest"
            " key of such queues; the grid and both weights as published",
            settings=CPU_PRESET_SETTINGS,
            options={"hidden": 256, "dim": 64, "queue": 512, "tau": 0.99},
        ),
        "paper": Preset(
            why="Wang et al., CVPR 2021, who train as Chen et al. 2020 (MoCo v2) do: ImageNet,"
            " ResNet-50, 200 epochs without warm-up (on COCO: --lr 0.3, 800 epochs); the steps are"
            " left to the number of frames (steps = epochs x frames / batch)",
            settings={
                "batch": 256,
                "optimizer": "sgd",
                "lr": 0.03,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "warmup": 0,
                "frame": 256,  # what views of 224 pixels are cut out of
                "size": 224,
                "scale": (0.2, 1.0),
                "flip": 0.5,
                "jitter": (0.8, 0.8),
                "brightness": 0.4,
                "contrast": 0.4,
                "saturation": 0.4,
                "hue": 0.1,
                "grey": (0.2, 0.2),
                "blur": (0.5, 0.5),
                "sigma": (0.1, 2.0),
                "solarize": (0.0, 0.0),
            },
        ),
    },
    paper="Wang et al., CVPR 2021, arXiv 2011.09157",
)


@hookimpl
def magkit_methods() -> Iterable[MethodSpec[Any]]:
    """Contrast of whole frames and of places."""
    return [SPEC]
