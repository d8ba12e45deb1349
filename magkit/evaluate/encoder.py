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
from magkit.magnify.encoder import EncoderInfo
from magkit.progress import Progress, silent
from magkit.runtime.seeds import derived_seed
from magkit.selfsup.encoder_file import magnifier_encoder, open_encoder_file
from magkit.selfsup.label_probe import LabelledPictures, probe_labels
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


def load_comparison(
    path: Path, magnifier: str | None = None, seed: int = 0, backbone: str | None = None
) -> EncoderComparison:
    """Load an encoder, and those that it is compared with.

    Args:
        path: its file, or the folder of its run.
        magnifier: whose it must be; None: anyone's.
        seed: of the random weights.
        backbone: of an own network its reference; see `open_encoder_file`.

    Raises:
        MagkitError: it is no encoder, or is damaged.
        UsageError: it is another network's, or that of a magnifier that isn't installed.
    """
    found = open_encoder_file(path, magnifier, backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, RANDOM))
        encoders = {OWN: found.load(), RANDOM_WEIGHTS: found.build()}
    if found.spec is not None:
        encoders |= _shipped(found.spec)
    needed = max(MIN_SIZE, *(min_size(stride) for stride in found.strides.values()))
    return EncoderComparison(found.path, found.info, encoders, -(-needed // STEP) * STEP)


def _shipped(spec: MagnifierSpec[Any]) -> dict[str, nn.Module]:
    """Return the encoder of the weights that ship with a magnifier, if there are any."""
    return {} if spec.weights is None else {SHIPPED: magnifier_encoder(spec, spec.weights)[0]}


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
    labelled: LabelledPictures | None = None,
) -> dict[str, Any]:
    """Measure an encoder and those that it is compared with on the same frames.

    Args:
        comparison: the encoders.
        frames_NCHW: frames in [0, 1], `comparison.size` pixels square, on the device to use.
        others_NCHW: other views of the same, for the alignment of embeddings.
        progress: called with the encoders done.
        labelled: pictures for the label probe, as large as `frames_NCHW`; None: no such probe.

    Returns:
        A JSON object: `encoder`, `magnifier`, `method`, `steps`, `branches`, `distances` (pixels),
        and `rows`: for each encoder and branch `weights` ("own", "random", "shipped"), `branch`,
        `fitness`, and `collapse` of the maps' means with its `warnings`. With labelled pictures,
        `labels` of each row are the accuracies `knn` and `linear`, and `chance` is that of always
        answering with the most frequent class.
    """
    rows: list[dict[str, Any]] = []
    for done, (weights, encoder) in enumerate(comparison.encoders.items(), 1):
        encoder.to(frames_NCHW.device).eval()
        scores = probe_motion(encoder, frames_NCHW)
        probed = probe_labels(encoder, labelled, frames_NCHW.device) if labelled else {}
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
                    **({"labels": probed[branch].as_dict()} if probed else {}),
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
        **({"chance": labelled.chance} if labelled else {}),
        "rows": rows,
    }
