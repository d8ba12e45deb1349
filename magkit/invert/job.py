"""Jobs of inversion, of masks or of classes: planned, shared among processes and resumed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.invert import DEFAULT_TARGET, class_indices
from magkit.invert.davis import Clip, find_davis, list_videos, open_masks, open_video_masks
from magkit.invert.frames_on_disk import OutputFolder
from magkit.invert.judge import predicts_no_masks
from magkit.invert.optimizer import ClassOptimizer, FrameOptimizer, Optimizer
from magkit.invert.plan import ALL, ClassPlan, ClipPlan, plan_classes, plan_clip
from magkit.invert.settings import (
    RENAMED,
    current_names,
    make_settings,
    old_names,
)
from magkit.invert.targets.load import (
    LoadedTarget,
    TargetChoice,
    check_target,
    load_target,
)
from magkit.progress import Progress, silent
from magkit.runtime.files import file_digest
from magkit.runtime.shard import Shard
from magkit.training.run import Run, made_with, open_run

logger = logging.getLogger(__name__)

KIND = "invert"
RESULT = "report.json"
WHOLE_JOB = Shard()
FOLDER_TIMEOUT = 60.0  # seconds for another process to create the run's folder
CLIP_SETTINGS = ("size", "start", "keyframe", "batch", "background")  # not of single frames


class Plan(Protocol):
    """What all plans have in common; see `magkit.invert.plan`."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def folder(self, run: Path) -> OutputFolder: ...
    def stems(self) -> list[str]: ...


P = TypeVar("P", bound=Plan)


class AnyJob(Protocol[P]):
    """What `invert` needs of a job; see `Job` and `ClassJob`."""

    @property
    def targets(self) -> Sequence[TargetChoice]: ...
    def prepare(self, device: torch.device) -> tuple[list[P], list[LoadedTarget]]: ...
    def config(self, plans: Sequence[P]) -> dict[str, Any]: ...
    def optimizer(
        self,
        plan: P,
        targets: Sequence[LoadedTarget],
        folder: OutputFolder,
        device: torch.device,
        snapshots: int,
        /,
    ) -> Optimizer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An inversion of masks.

    Attributes:
        videos: names of videos of DAVIS; "all" of them.
        masks: a folder of masks in place of videos.
        davis: the folder of DAVIS; None: where `find_davis` finds it.
        frames: the chosen frames, as `choose_frames` takes them.
        classes: of the objects; empty: what the videos of DAVIS are known to show.
        targets: the networks that are inverted, at least one.
        preset: of settings.
        settings: over the preset's.
        tables: settings by clip, and under "frames" by frames, over these.
        sweep: values of settings, of which every combination is made.
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

    def prepare(self, device: torch.device) -> tuple[list[ClipPlan], list[LoadedTarget]]:
        """Return the plans of the clips, each in all variants of the sweep, and the targets."""
        plans = plan_clips(self)
        for plan in plans:
            if not plan.masks(0).any():
                raise MagkitError(
                    f"{plan.frames[0].mask}, the first frame's mask, is empty at"
                    f" {plan.size[0]} rows",
                    "raise --size, or begin with another frame: --frames",
                )
        targets = [load_target(each, device) for each in self.targets]
        for plan in plans:
            for each in targets:
                class_indices(plan.classes, ("background", *each.target.classes))
                check_target(each, plan.size, plan.settings.bn)
        for each in targets:
            if predicts_no_masks(each, plans[0].size, device):
                logger.warning(
                    "'%s' names classes and shows no masks: it doesn't look where something should"
                    " be, and its J and F are 0; --classes asks it for classes",
                    each.name,
                )
        return plans, targets

    def config(self, plans: Sequence[ClipPlan]) -> dict[str, Any]:
        """Return what is recorded of the plans."""
        return {"clips": {plan.name: plan.to_dict() for plan in plans}, "masks": masks_hash(plans)}

    optimizer = FrameOptimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassJob:
    """An inversion of a classifier's classes.

    Attributes:
        targets: the networks that are inverted, at least one.
        classes: names separated by commas, or all.
        per_class: number of images of each.
        preset: of settings.
        settings: over the preset's.
    """

    targets: Sequence[TargetChoice]
    classes: str = ALL
    per_class: int = 10
    preset: str = "classes"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def prepare(self, device: torch.device) -> tuple[list[ClassPlan], list[LoadedTarget]]:
        """Return the plan, and the targets."""
        log_old_names([self.settings])
        settings = make_settings(self.preset, self.settings)
        targets = [load_target(each, device) for each in self.targets]
        return [plan_classes(self.classes, self.per_class, targets, settings)], targets

    def config(self, plans: Sequence[ClassPlan]) -> dict[str, Any]:
        """Return what is recorded of the plan."""
        return {"classes": plans[0].to_dict()}

    optimizer = ClassOptimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverted(Generic[P]):
    """A job's run after this process' share.

    Attributes:
        run: its folder.
        plans: the clips, or the one plan of classes.
        targets: the networks that were inverted.
        written: the number of images that this process wrote.
        complete: whether all images of the job exist, of whichever process.
        seconds: that this process took.
    """

    run: Run
    plans: Sequence[P]
    targets: Sequence[LoadedTarget] = ()
    written: int = 0
    complete: bool = True
    seconds: float = 0.0


def invert(
    job: AnyJob[P],
    *,
    output: Path | None = None,
    new: bool = False,
    share: Shard = WHOLE_JOB,
    device: torch.device | None = None,
    verifier: LoadedTarget | None = None,
    snapshots: int = 0,
    progress: Progress = silent,
) -> Inverted[P]:
    """Make the images of a job, or those that a stopped job lacks.

    Args:
        job: what determines the result.
        output: its folder; None: the newest unfinished equal one under `runs/`, or a new one.
        new: never resume.
        share: of the segments or batches.
        device: on which images are optimised; None: the CPU.
        verifier: a network that will judge the images, and must take their size.
        snapshots: steps between snapshots; 0: none.
        progress: of frames, or of steps for images of classes.

    Raises:
        MagkitError: DAVIS, masks, weights or the folder can't be used, or an optimisation failed.
        UsageError: an unknown video, frame, class, target or setting; a target or verifier that
            takes no such images; or shares without a common folder.
    """
    if share.count > 1 and output is None:
        raise UsageError("processes that share a job need to be told its folder", "-o RUN")
    if share.count > 1 and new:
        raise UsageError("--new can't be shared: the second process would refuse the first's job")
    began, place = time.monotonic(), device or torch.device("cpu")
    plans, targets = job.prepare(place)
    if verifier is not None:
        for plan in plans:
            check_target(verifier, plan.size, bn_weight=0.0)
    config = {**job.config(plans), "targets": [each.to_dict() for each in job.targets]}
    run = open_job_run(config, share, output=output, new=new, device=place)
    optimizers = [
        job.optimizer(plan, targets, plan.folder(run.folder), place, snapshots) for plan in plans
    ]
    before = sum(len(plan.stems()) - len(missing(plan, run.folder)) for plan in plans)
    _run_units(optimizers, share, progress)
    lacking = sum(len(missing(plan, run.folder)) for plan in plans)
    return Inverted(
        run=run,
        plans=plans,
        targets=targets,
        written=sum(len(plan.stems()) for plan in plans) - lacking - before,
        complete=not lacking,
        seconds=time.monotonic() - began,
    )


def missing(plan: Plan, run: Path) -> list[str]:
    """Return the names of a plan's images that don't exist yet."""
    folder = plan.folder(run)
    return [stem for stem in plan.stems() if not folder.has(stem)]


def _run_units(optimizers: Sequence[Optimizer], share: Shard, progress: Progress) -> None:
    units = [(each, unit) for each in optimizers for unit in range(each.units)]
    mine = [unit for number, unit in enumerate(units) if number in share]
    total = sum(optimizer.total(unit) for optimizer, unit in mine)

    def report() -> None:
        progress(sum(optimizer.done(unit) for optimizer, unit in mine), total)

    report()
    for optimizer, unit in mine:
        if isinstance(optimizer, FrameOptimizer):
            optimizer.folder.write_sidecar(optimizer.plan.size)
        optimizer.run(unit, report)
    report()


def plan_clips(job: Job) -> list[ClipPlan]:
    """Return the plans of a job's clips, each in all variants of the sweep."""
    clips, plans = _clips(job), list[ClipPlan]()
    _check_tables(job, clips)
    frames = [own for table in job.tables.values() for own in table.get("frames", {}).values()]
    log_old_names([job.settings, *job.tables.values(), *frames, job.sweep])
    for clip in clips:
        table = dict(job.tables.get(clip.name, {}))
        own = table.pop("frames", {})
        settings = make_settings(job.preset, job.settings, table)
        plan = plan_clip(clip, job.frames, job.classes, settings, own)
        if job.masks is not None:
            plan = replace(plan, masks_folder=str(job.masks.resolve()))
        plans.extend(_variants(plan, job, table))
    return plans


def log_old_names(tables: Sequence[Mapping[str, Any]]) -> None:
    """Log a note for each setting that is given under its old name."""
    for name in old_names(tables):
        logger.info("the setting '%s' is called '%s' now", name, RENAMED[name])


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
                if key in CLIP_SETTINGS:
                    raise UsageError(
                        f"'{key}' of frames {text} of '{name}' belongs to whole clips",
                        f"set it for '{name}', beside its frames",
                    )


def _variants(plan: ClipPlan, job: Job, table: Mapping[str, Any]) -> Iterator[ClipPlan]:
    """Yield a plan for each combination of swept values."""
    if not job.sweep:
        yield plan
        return
    for values in product(*job.sweep.values()):
        swept = dict(zip(job.sweep, values, strict=True))
        settings = make_settings(job.preset, job.settings, table, swept)
        name = ",".join(f"{key}={value}" for key, value in swept.items())
        yield plan.variant(f"{name}/{plan.name}", settings)


def masks_hash(plans: Sequence[ClipPlan]) -> str:
    """Return a hash of all mask files: a job is not resumed with others."""
    paths = dict.fromkeys(path for plan in plans for frame in plan.frames for path in frame.files)
    hashes = [file_digest(path) for path in paths]
    return sha256("".join(hashes).encode()).hexdigest()


def open_job_run(
    config: Mapping[str, Any],
    share: Shard,
    *,
    output: Path | None,
    new: bool,
    device: torch.device,
) -> Run:
    """Create or find the run's folder, together with the processes that share the job."""
    deadline = time.monotonic() + (FOLDER_TIMEOUT if share.count > 1 else 0)
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
                upgrade=upgrade_config,
            )
        except MagkitError:
            # Another process may be creating it right now.
            if there or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def upgrade_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's configuration with today's names of settings; damaged parts as they are."""

    def renamed(value: Any, key: str = "") -> Any:
        if not isinstance(value, Mapping):
            return value
        if key == "settings":
            return current_names(value)
        if key == "own":
            return {frame: renamed(table, "settings") for frame, table in value.items()}
        return {name: renamed(item, name) for name, item in value.items()}

    clips, classes = renamed(config.get("clips")), renamed(config.get("classes"))
    found = {"clips": clips, "classes": classes}
    return {**config, **{key: value for key, value in found.items() if key in config}}
