"""A whole job of inversion: clips, targets, variants of settings; shared, resumed, reported."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import torch

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.invert import DEFAULT_TARGET
from magkit.invert.classes import class_numbers
from magkit.invert.davis import Clip, find_davis, list_videos, open_masks, open_video_masks
from magkit.invert.frame_optimizer import FrameOptimizer, LoadedTarget
from magkit.invert.frames_on_disk import Folder
from magkit.invert.judge import shows_no_masks
from magkit.invert.plan import ClipPlan, plan_clip, renamed
from magkit.invert.settings import make_settings
from magkit.invert.targets.load import TargetChoice, build_target
from magkit.progress import Progress, silent
from magkit.runtime.shard import Shard
from magkit.training.run import Run, made_with, open_run

logger = logging.getLogger(__name__)

KIND = "invert"
RESULT = "report.json"
ALL = Shard()
PATIENCE = 60.0  # seconds for another process to make the job's folder
WHOLE = ("size", "start", "keyframe", "batch", "background")  # settings of clips, not of frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be inverted.

    Attributes:
        videos: names of DAVIS' videos; "all" of them.
        masks: a folder of masks in their place.
        davis: the folder of DAVIS; None: where it usually is.
        frames: which frames, as `choose_frames` reads it.
        classes: of the objects; empty: what DAVIS' videos are known to show.
        targets: what is inverted, at least one.
        preset: of settings.
        settings: over the preset's.
        tables: settings by clip, and under "frames" by frames, over these.
        sweep: several values of settings: every combination is made.
    """

    videos: Sequence[str] = ()
    masks: Path | None = None
    davis: Path | None = None
    frames: str = "all"
    classes: Sequence[str] = ()
    targets: Sequence[TargetChoice] = (TargetChoice(DEFAULT_TARGET),)
    preset: str = "fast"
    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverted:
    """What became of a job.

    Attributes:
        run: its folder.
        plans: what was made, a folder each.
        frames: that this process made.
        whole: whether all frames of the job are there, of whichever process.
        seconds: that this process took.
    """

    run: Run
    plans: Sequence[ClipPlan]
    frames: int
    whole: bool
    seconds: float


def invert(
    job: Job,
    *,
    output: Path | None = None,
    new: bool = False,
    share: Shard = ALL,
    device: torch.device | None = None,
    snapshots: int = 0,
    progress: Progress = silent,
) -> Inverted:
    """Make the frames of a job, or those that are left of one that was stopped.

    Args:
        job: what determines the result.
        output: its folder; None: the newest unfinished equal one under `runs/`, or a new one.
        new: never go on with one.
        share: of the segments: those that this process makes.
        device: where they are made; None: the processor.
        snapshots: keep a picture of a frame every so many steps; 0: none.
        progress: told about frames.

    Raises:
        MagkitError: DAVIS, masks, weights or the folder can't be used, or an optimisation failed.
        UsageError: an unknown video, frame, class, target or setting.
    """
    check_share(share, output, new=new)
    began, place = time.monotonic(), device or torch.device("cpu")
    plans = plans_of(job)
    targets = [load_target(each, place) for each in job.targets]
    for plan in plans:
        _check_masks(plan)
        _check_targets(plan, targets)
    for each in targets:
        if shows_no_masks(each, plans[0].size, place):
            logger.warning(
                "'%s' names classes and shows no masks: it doesn't look where something should be,"
                " and its J and F are 0; --classes asks it for classes",
                each.name,
            )
    config = {
        "clips": {plan.name: plan.described() for plan in plans},
        "masks": masks_mark(plans),
        "targets": [each.described() for each in job.targets],
    }
    run = open_job_run(config, share, output=output, new=new, device=place)

    def maker(plan: ClipPlan, made: Callable[[float], None]) -> FrameOptimizer:
        return FrameOptimizer(plan, targets, folder_of(run, plan), place, made, snapshots)

    count = _make_all(run, plans, share, maker, progress)
    whole = all(folder_of(run, p).has(f.stem) for p in plans for f in p.frames)
    return Inverted(
        run=run, plans=plans, frames=count, whole=whole, seconds=time.monotonic() - began
    )


def check_share(share: Shard, output: Path | None, *, new: bool) -> None:
    """Check that processes which share a job can meet in its folder.

    Raises:
        UsageError: they can't.
    """
    if share.count > 1 and output is None:
        raise UsageError("processes that share a job need to be told its folder", "-o RUN")
    if share.count > 1 and new:
        raise UsageError("--new can't be shared: the second process would refuse the first's job")


def plans_of(job: Job) -> list[ClipPlan]:
    """Return the plans of a job's clips, each in all of its variants."""
    clips, plans = _clips(job), list[ClipPlan]()
    _check_tables(job, clips)
    for clip in clips:
        table = dict(job.tables.get(clip.name, {}))
        own = table.pop("frames", {})
        base = make_settings(job.preset, job.settings, table)
        plan = plan_clip(clip, job.frames, job.classes, base, own)
        if job.masks is not None:
            plan = replace(plan, masks_folder=str(job.masks.resolve()))
        plans.extend(_variants(plan, job, table))
    return plans


def _clips(job: Job) -> list[Clip]:
    if job.masks is not None:
        if job.videos:
            raise UsageError("--masks takes the place of DAVIS' videos", "leave out --video")
        return [open_masks(job.masks)]
    if not job.videos:
        raise UsageError(
            "nothing is named to invert", "--video bear, --masks DIR, or a classifier's --classes"
        )
    root = find_davis(job.davis)
    names = list_videos(root) if "all" in job.videos else list(dict.fromkeys(job.videos))
    return [open_video_masks(root, name) for name in names]


def _check_tables(job: Job, clips: Sequence[Clip]) -> None:
    names = [clip.name for clip in clips]
    for name, table in job.tables.items():
        if name not in names:
            raise UsageError(
                f"there are settings for '{name}', which is not inverted", did_you_mean(name, names)
            )
        for text, own in table.get("frames", {}).items():
            for key in own:
                if key in WHOLE:
                    raise UsageError(
                        f"'{key}' of frames {text} of '{name}' belongs to whole clips",
                        f"set it for '{name}', beside its frames",
                    )


def _variants(plan: ClipPlan, job: Job, table: Mapping[str, Any]) -> Iterator[ClipPlan]:
    """Yield a plan for each combination of the values that are swept over."""
    if not job.sweep:
        yield plan
        return
    for values in product(*job.sweep.values()):
        swept = dict(zip(job.sweep, values, strict=True))
        settings = make_settings(job.preset, job.settings, table, swept)
        mark = ",".join(f"{key}={value}" for key, value in swept.items())
        yield renamed(plan, f"{mark}/{plan.name}", settings)


def load_target(choice: TargetChoice, device: torch.device) -> LoadedTarget:
    """Build a target, and list the statistics that it remembers."""
    target = build_target(choice, device)
    return LoadedTarget(choice.name, target, choice.weight, target.statistics())


def _check_masks(plan: ClipPlan) -> None:
    for place in range(len(plan.frames)):
        plan.check_size(place)
    if not plan.masks(0).any():
        raise MagkitError(
            f"{plan.frames[0].mask}, the first frame's mask, is empty at {plan.size[0]} rows",
            "raise --size, or begin with another frame: --frames",
        )


def _check_targets(plan: ClipPlan, targets: Sequence[LoadedTarget]) -> None:
    for each in targets:
        class_numbers(plan.classes, ("background", *each.target.classes))
        check_target(each, plan.size, plan.settings.bn)


def check_target(each: LoadedTarget, size: tuple[int, int], bn: float) -> None:
    """Check that a target takes pictures of a size, and has statistics where they count.

    Raises:
        UsageError: it takes no such pictures.
        MagkitError: it remembers no statistics, and `bn` is not 0.
    """
    if any(side % each.target.stride for side in size):
        raise UsageError(
            f"'{each.name}' takes pictures whose sides are multiples of {each.target.stride}, "
            f"not {size[1]}x{size[0]}",
            "choose such a --size",
        )
    if bn and not each.statistics:
        raise MagkitError(
            f"the target '{each.name}' remembers no statistics: no layer has a running mean",
            "--bn 0 does without them",
        )


def masks_mark(plans: Sequence[ClipPlan]) -> str:
    """Return a hash of all masks, so that a job never goes on with other ones."""
    paths = dict.fromkeys(path for plan in plans for frame in plan.frames for path in frame.files)
    marks = [sha256(path.read_bytes()).hexdigest() for path in paths]
    return sha256("".join(marks).encode()).hexdigest()


def open_job_run(
    config: Mapping[str, Any],
    share: Shard,
    *,
    output: Path | None,
    new: bool,
    device: torch.device,
) -> Run:
    """Make or find the job's folder, together with the processes that share the job."""
    deadline = time.monotonic() + (PATIENCE if share.count > 1 else 0)
    while True:
        there = output is not None and (output / "config.json").is_file()
        try:
            return open_run(
                KIND,
                config,
                made_with=made_with(device),
                output=output,
                new=new,
                result=RESULT,
                resume_finished=share.count > 1,
            )
        except MagkitError:
            # Another process may be making it right now.
            if there or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def folder_of(run: Run, plan: ClipPlan) -> Folder:
    """Return the folder of a clip's frames."""
    return Folder(run.folder / plan.name)


def _make_all(
    run: Run,
    plans: Sequence[ClipPlan],
    share: Shard,
    maker: Callable[[ClipPlan, Callable[[float], None]], FrameOptimizer],
    progress: Progress,
) -> int:
    items = [(plan, n) for plan in plans for n in range(len(plan.segments()))]
    mine = [item for number, item in enumerate(items) if number in share]
    wanted = [(plan, place) for plan, n in mine for place in plan.segments()[n]]

    def done() -> int:
        return sum(folder_of(run, p).has(p.frames[place].stem) for p, place in wanted)

    before = done()
    progress(before, len(wanted))
    for plan, number in mine:
        folder_of(run, plan).write_sidecar(plan.size)
        maker(plan, lambda _: progress(done(), len(wanted))).segment(number)
    return done() - before
