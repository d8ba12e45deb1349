"""How methods are trained on 1,000 to 20,000 frames on a CPU; what their first presets share."""

from __future__ import annotations

from typing import Any

SETTINGS: dict[str, Any] = {
    "steps": 2000,
    "batch": 64,
    "optimizer": "adamw",
    "lr": 4e-3,
    "weight_decay": 0.01,
    "warmup": 100,
    "size": 96,
    "scale": (0.2, 1.0),
    "flip": 0.5,
    "jitter": (0.8, 0.8),
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.1,
    "hue": 0.05,
    "grey": (0.1, 0.1),
    "blur": (0.25, 0.25),
    "sigma": (0.1, 1.0),
    "solarize": (0.0, 0.0),
}

WHY = (
    "for 1,000 to 20,000 frames on a CPU: 64 views of 96 pixels a step; AdamW at 0.001, since a "
    "small encoder without normalisation has gradients of very different sizes and LARS is for "
    "batches of thousands; colour changes and blur half as strong as published, so that textures "
    "keep the colours and the detail that a magnifier draws with"
)

CPU_PRESET_SETTINGS = SETTINGS  # as `magkit.toolkit` exports them
