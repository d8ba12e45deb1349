"""Evaluation of an encoder by the motion probe, compared with random and shipped weights."""

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
from magkit.selfsup.model import BACKBONES, build_backbone
from magkit.selfsup.monitor import collapse_stats, collapse_warnings
from magkit.selfsup.motion_probe import DISTANCES, min_size, probe_motion
from magkit.specs import MagnifierSpec
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene

MIN_SIZE = 96  # pixels
STEP = 32  # pixels: frames' sides are multiples of it
OWN, RANDOM_WEIGHTS, SHIPPED = "own", "random", "shipped"  # weights of compared encoders
RANDOM = 7  # first part of the key of the draw of random weights


@dataclass(frozen=True, slots=True)
class EncoderComparison:
    """An encoder and those that it is compared with.

    Attributes:
        path: its file.
        info: its metadata.
        encoders: by their weights: its own, random ones, and those that ship.
        size: side of the frames to measure, in pixels.
    """

    path: Path
    info: EncoderInfo
    encoders: Mapping[str, nn.Module]
    size: int


def load_comparison(path: Path, magnifier: str | None = None, seed: int = 0) -> EncoderComparison:
    """Load an encoder, and those that it is compared with.

    Args:
        path: its file, or the folder of its run.
        magnifier: whose it must be; None: anyone's.
        seed: of the random weights.

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
            encoders = {RANDOM_WEIGHTS: build_backbone(info.magnifier)[0]}
        else:
            spec = registry().magnifier(magnifier or info.magnifier)
            config, encoder = encoder_config(spec, path), encoder_spec(spec)
            own, strides = encoder.build(config), dict(encoder.strides)
            encoders = {RANDOM_WEIGHTS: encoder.build(config), **_shipped(spec)}
    own.load_state_dict(read_state(path, own.state_dict()))
    needed = max(MIN_SIZE, *(min_size(stride) for stride in strides.values()))
    return EncoderComparison(path, info, {OWN: own, **encoders}, -(-needed // STEP) * STEP)


def _shipped(spec: MagnifierSpec[Any]) -> dict[str, nn.Module]:
    """Return the encoder of the weights that ship with a magnifier, if there are any."""
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
    """Render frames (N, 3, S, S), and their partners after motion and colour changes."""
    config = SceneConfig(size=size, objects=(2, 6), colour=0.2)
    counts = len(sources.pictures), len(sources.cutouts)
    scenes = [draw_scene(config, *counts, seed, index) for index in range(count)]
    batch = render(scenes, config, sources)
    return batch.a, batch.b


def stored_frames(data: DataSet, count: int, size: int) -> torch.Tensor:
    """Read the centres of frames of a data set, at even intervals.

    Raises:
        MagkitError: they are smaller than `size`.
    """
    height, width = data.shape
    if min(height, width) < size:
        raise MagkitError(
            f"the data set's frames have {min(height, width)} pixels, fewer than {size}"
        )
    number = min(count, len(data))
    frames = data.frames([index * len(data) // number for index in range(number)])
    top, left = (height - size) // 2, (width - size) // 2
    return frames[:, :, top : top + size, left : left + size]


def evaluate_encoders(
    comparison: EncoderComparison,
    frames_NCHW: torch.Tensor,
    others_NCHW: torch.Tensor | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure an encoder and those that it is compared with on the same frames.

    Args:
        comparison: the encoders.
        frames_NCHW: frames in [0, 1], `comparison.size` pixels square, on the device to use.
        others_NCHW: other views of the same, for the alignment of embeddings.
        progress: called with the encoders done.

    Returns:
        A JSON object: `encoder`, `magnifier`, `method`, `steps`, `branches`, `distances` (pixels),
        and `rows`: for each encoder and branch `weights` ("own", "random", "shipped"), `branch`,
        `fitness`, and `collapse` of the maps' means with its `warnings`.
    """
    rows: list[dict[str, Any]] = []
    for done, (weights, encoder) in enumerate(comparison.encoders.items(), 1):
        encoder.to(frames_NCHW.device).eval()
        scores = probe_motion(encoder, frames_NCHW)
        with torch.no_grad():
            views = [encoder(x) for x in (frames_NCHW, others_NCHW) if x is not None]
        for branch, found in scores.items():
            collapse = collapse_stats(*(view[branch].mean((2, 3)) for view in views))
            rows.append(
                {
                    "weights": weights,
                    "branch": branch,
                    "fitness": found.as_dict(),
                    "collapse": collapse.as_dict(),
                    "warnings": collapse_warnings(collapse),
                }
            )
        progress(done, len(comparison.encoders))
    return {
        "encoder": comparison.path,
        "magnifier": comparison.info.magnifier,
        "method": comparison.info.method,
        "steps": comparison.info.steps,
        "branches": list(comparison.info.branches),
        "distances": list(DISTANCES),
        "rows": rows,
    }
