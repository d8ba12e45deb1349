"""Options, presets and registration of the method MoCo v2."""

from __future__ import annotations

from dataclasses import dataclass, field

from magkit.errors import UsageError
from magkit.selfsup.recipe import CPU_PRESET, CPU_PRESET_SETTINGS
from magkit.specs import MethodSpec, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class MocoConfig:
    """Defaults are those of Chen et al. 2020 (MoCo v2)."""

    hidden: int = field(default=2048, metadata={"help": "width of the projector"})
    dim: int = field(default=128, metadata={"help": "length of a key"})
    queue: int = field(default=65536, metadata={"help": "keys that are kept as negatives"})
    temperature: float = field(default=0.2, metadata={"help": "of the softmax over similarities"})
    tau: float = field(default=0.999, metadata={"help": "decay of the key networks' average"})
    random_start: bool = field(
        default=True,
        metadata={"help": "random directions stand in for keys until the queue is full"},
    )

    def __post_init__(self) -> None:
        if min(self.hidden, self.dim, self.queue) < 1:
            raise ValueError("hidden, dim and queue must be at least 1")
        if not self.temperature > 0:
            raise ValueError("temperature must be above 0")
        if not 0 <= self.tau <= 1:
            raise ValueError("tau must be in [0, 1]")


def check(config: MocoConfig, frames: int, batch: int) -> None:
    """Refuse a queue that holds a frame's own earlier keys, or less than a step's.

    Raises:
        UsageError: it does.
    """
    if config.queue > frames:
        raise UsageError(
            f"a queue of {config.queue:,} keys is larger than the data, {frames:,} frames: a frame"
            " would be told from itself",
            f"--opt queue={max(batch, frames // 2)}",
        )
    if config.queue < batch:
        raise UsageError(
            f"a step's {batch} keys don't fit a queue of {config.queue}", f"--opt queue={batch}"
        )


SPEC = MethodSpec(
    name="moco",
    summary="tell a frame's other view from the latest frames' (MoCo v2)",
    config=MocoConfig,
    build="magkit.selfsup.moco:build",
    check=check,
    presets={
        "small": Preset(
            why=f"{CPU_PRESET}; a queue of 512, half of 1,000 frames, since most negatives would "
            "else be the query's own frame or its neighbours (at 20,000 frames: --opt queue=4096); "
            "tau 0.99, which lags 100 steps, about as old as the oldest key of such queues",
            settings=CPU_PRESET_SETTINGS,
            options={"hidden": 256, "dim": 64, "queue": 512, "tau": 0.99},
        ),
        "paper": Preset(
            why="Chen et al. 2020: ImageNet, ResNet-50, 200 epochs without warm-up; the steps are "
            "left to the number of frames (steps = epochs x frames / batch)",
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
    paper="He et al., CVPR 2020, arXiv 1911.05722; Chen et al. 2020, arXiv 2003.04297",
)
