"""Trains a magnifier on in the clips that it is going to magnify, and judges the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from magkit.adapt.verdict import Verdict, held_out_pictures, judge, measure
from magkit.errors import UsageError
from magkit.magnify.load import find_weights, load_magnifier
from magkit.plugins import registry
from magkit.progress import Progress, pass_progress, silent
from magkit.runtime.files import write_json
from magkit.selfsup.job import PretrainJob
from magkit.selfsup.pretrain_magnifier import MARGIN, build_parts, train_magnifier
from magkit.selfsup.windows import ClipWindows, find_clips
from magkit.training.run import made_with, open_run
from magkit.training.train import TrainingResult

KIND = "adapt"
ADAPT = "adapt"  # a preset
HELD_OUT = 0.2  # share of each clip's windows
VERDICT = "verdict.json"
SIZE = 128  # pixels: side of the frames of a training


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptJob:
    """Everything that determines the result of an adaptation.

    Attributes:
        clips: videos, folders of frames, or folders of these.
        steps: of the training.
        method: name of a method that trains whole magnifiers.
        options: KEY=VALUE texts, the method's own.
        preset: of the method; None: "adapt" where it has one, else its first.
        magnifier: its name.
        weights: to start from, a file or the name of weights that ship; None: the magnifier's.
        settings: of the training, over the method's preset.
    """

    clips: Sequence[Path]
    steps: int
    method: str = "warp"
    options: Sequence[str] = ()
    preset: str | None = None
    magnifier: str = "magnet-fast"
    weights: str | Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adaptation:
    """A finished adaptation: its training, and the verdict on frames kept out of it."""

    training: TrainingResult
    verdict: Verdict


def adapt(
    job: AdaptJob,
    *,
    output: Path | None = None,
    new: bool = False,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    progress: Progress = silent,
    judging: Progress = silent,
) -> Adaptation:
    """Train on in clips without labels, or resume, and compare with the weights at the start.

    Args:
        job: clips, method, magnifier and settings.
        output: the run's folder; None: see `open_run`.
        new: start a new run instead of resuming one.
        device: the device to train on.
        workers: processes that make batches; 0: this one; None: `default_workers()`.
        progress: called with the number of finished steps.
        judging: called with the number of finished measurements.

    Raises:
        MagkitError: a clip or the weights can't be used, or the training diverged.
        UsageError: a name, an option or a setting is unknown.
    """
    spec = registry().magnifier(job.magnifier)
    method = registry().method(job.method)
    if method.trains != "magnifier":
        raise UsageError(
            f"the method '{job.method}' trains an encoder", "--method warp trains a magnifier"
        )
    start = find_weights(spec, job.weights)
    clips = [clip for place in job.clips for clip in find_clips(place)]
    if not clips:
        raise UsageError(f"{', '.join(map(str, job.clips))}: no clip is there")
    kept, out = ClipWindows(clips, SIZE + MARGIN, str(job.clips[0])).hold_out(HELD_OUT)
    parts = build_parts(
        PretrainJob(
            method=job.method,
            options=job.options,
            preset=job.preset or (ADAPT if ADAPT in method.presets else None),
            magnifier=job.magnifier,
            weights=start,
            settings={"size": SIZE, **job.settings, "steps": job.steps},
        ),
        device,
        kept,
    )
    run = open_run(
        KIND,
        parts.identity,
        made_with=made_with(device),
        output=output,
        new=new,
        last=VERDICT,
        extendable=True,
    )
    training = train_magnifier(parts, run, device=device, workers=workers, progress=progress)
    pictures = held_out_pictures(out)
    measured = []
    for number, path in enumerate((start, run.model)):
        model = load_magnifier(spec.name, path, (), device)
        measured.append(measure(model, pictures, pass_progress(judging, number, 2)))
    verdict = judge(*measured)
    write_json(run.folder / VERDICT, verdict.as_dict())
    return Adaptation(training, verdict)
