"""What an encoder is worth for magnifying motion, beside the same one with other weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.data.dataset import DataSet
from magkit.errors import MagkitError
from magkit.magnify.encoder import (
    EncoderInfo,
    encoder_config,
    encoder_file,
    encoder_spec,
    read_info,
    read_state,
)
from magkit.magnify.load import load_magnifier
from magkit.options import from_mapping
from magkit.plugins import registry
from magkit.progress import Progress, silent
from magkit.runtime.seeds import derived_seed
from magkit.runtime.weights import read_weights, recorded_config
from magkit.selfsup.monitor import measure_collapse, warnings
from magkit.selfsup.motion_probe import DISTANCES, least_size, motion_fitness
from magkit.selfsup.network import BACKBONES, build_backbone
from magkit.specs import MagnifierSpec
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene

SIZE = 96  # pixels, at least
STEP = 32  # pixels: frames' sides are multiples of it
OWN, RANDOMLY, SHIPPED = "own", "random", "shipped"  # weights of those that are judged
RANDOM = 7  # first part of the key of the draw of random weights


@dataclass(frozen=True, slots=True)
class Judged:
    """An encoder and those that it is compared with.

    Attributes:
        path: its file.
        info: what is written there.
        encoders: by what their weights are: its own, random ones, and those that ship.
        size: side in pixels of the frames that it takes to judge them.
    """

    path: Path
    info: EncoderInfo
    encoders: Mapping[str, nn.Module]
    size: int


def open_judged(path: Path, magnifier: str | None = None, seed: int = 0) -> Judged:
    """Open an encoder to judge.

    Args:
        path: its file, or the folder of its run.
        magnifier: whose it must be; None: anyone's.
        seed: of the random weights that it is compared with.

    Raises:
        MagkitError: it is no encoder, or is damaged.
        UsageError: it is another magnifier's, or that of a magnifier that isn't installed.
    """
    path = encoder_file(path)
    info = read_info(path)
    own: nn.Module
    encoders: dict[str, nn.Module]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, RANDOM))
        if magnifier is None and info.magnifier in BACKBONES:
            own, strides = build_backbone(info.magnifier)
            encoders = {RANDOMLY: build_backbone(info.magnifier)[0]}
        else:
            spec = registry().magnifier(magnifier or info.magnifier)
            config, encoder = encoder_config(spec, path), encoder_spec(spec)
            own, strides = encoder.build(config), dict(encoder.strides)
            encoders = {RANDOMLY: encoder.build(config), **_shipped(spec)}
    own.load_state_dict(read_state(path, own.state_dict()))
    needed = max(SIZE, *(least_size(stride) for stride in strides.values()))
    return Judged(path, info, {OWN: own, **encoders}, -(-needed // STEP) * STEP)


def _shipped(spec: MagnifierSpec[Any]) -> dict[str, nn.Module]:
    """Return the encoder of the weights that ship with a magnifier, if any do."""
    if spec.weights is None:
        return {}
    found, model = read_weights(spec.weights), load_magnifier(spec.name)
    assert isinstance(model, nn.Module)
    recorded = recorded_config(found, spec.weights)
    encoder = encoder_spec(spec).build(from_mapping(spec.config, recorded, spec.name))
    state = model.state_dict()
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    return {SHIPPED: encoder}


def rendered_frames(
    sources: Sources, count: int, size: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render frames to judge on, and others in which things have moved and colours changed."""
    config = SceneConfig(size=size, objects=(2, 6), colour=0.2)
    counts = len(sources.pictures), len(sources.cutouts)
    scenes = [draw_scene(config, *counts, seed, index) for index in range(count)]
    batch = render(scenes, config, sources)
    return batch.a, batch.b


def stored_frames(data: DataSet, count: int, size: int) -> torch.Tensor:
    """Read frames of a data set, at even intervals: the middle of each.

    Raises:
        MagkitError: they are smaller than `size`.
    """
    height, width = data.shape
    if min(height, width) < size:
        raise MagkitError(
            f"the data set's frames have {min(height, width)} pixels, and judging takes {size}"
        )
    number = min(count, len(data))
    frames = data.frames([index * len(data) // number for index in range(number)])
    top, left = (height - size) // 2, (width - size) // 2
    return frames[:, :, top : top + size, left : left + size]


def judge(
    judged: Judged,
    frames_NCHW: torch.Tensor,
    others_NCHW: torch.Tensor | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure an encoder and those that it is compared with on the same frames.

    Args:
        judged: the encoders.
        frames_NCHW: frames in [0, 1], `judged.size` pixels square, on the device to work on.
        others_NCHW: other views of the same, to see how near their embeddings are.
        progress: told about encoders.

    Returns:
        A JSON object: `encoder`, `magnifier`, `method`, `steps`, `branches`, `distances` (pixels),
        and `rows`: for each encoder and branch `weights` ("own", "random", "shipped"), `branch`,
        `fitness`, and `collapse` of the maps' means with its `warnings`.
    """
    rows: list[dict[str, Any]] = []
    for done, (weights, encoder) in enumerate(judged.encoders.items(), 1):
        encoder.to(frames_NCHW.device).eval()
        fitness = motion_fitness(encoder, frames_NCHW)
        with torch.no_grad():
            views = [encoder(x) for x in (frames_NCHW, others_NCHW) if x is not None]
        for branch, found in fitness.items():
            collapse = measure_collapse(*(view[branch].mean((2, 3)) for view in views))
            rows.append(
                {
                    "weights": weights,
                    "branch": branch,
                    "fitness": found.as_dict(),
                    "collapse": collapse.as_dict(),
                    "warnings": warnings(collapse),
                }
            )
        progress(done, len(judged.encoders))
    return {
        "encoder": judged.path,
        "magnifier": judged.info.magnifier,
        "method": judged.info.method,
        "steps": judged.info.steps,
        "branches": list(judged.info.branches),
        "distances": list(DISTANCES),
        "rows": rows,
    }
