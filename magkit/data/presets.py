"""Data sets by name: the sizes and ranges of published ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from magkit.data.plan import Kind

PAPER = {
    "factors": "2,100",
    "max_motion": "10",
    "magnified": "0.5,30",
    "objects": "7,15",
}
"""Oh et al. (ECCV 2018), section 4: factors to 100, input motion to 10 px, magnified to 30 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What `gen-data` is asked for by one word; `scene` are settings of `SceneConfig`."""

    kind: Kind = "triplets"
    count: int = 1000
    size: int = 384
    scene: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    # Five kinds of scene in equal parts, which is how `SceneConfig` draws them.
    "paper": Preset(count=100_000, scene=PAPER),
    # 200,000 frames: A, B, C and M of each scene.
    "seed-triplets": Preset(count=50_000, scene=PAPER),
    "seed-frames": Preset(kind="frames", count=20_000, scene=PAPER),
}
