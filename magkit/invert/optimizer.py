"""Optimizers that process a plan in units: segments of a clip, or batches of class images."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from magkit.invert.affine import TemporalPrior, mix_priors, warp_by_masks
from magkit.invert.frames_on_disk import OutputFolder, read_image, save_image, to_image
from magkit.invert.objective import Objective, TargetTerm
from magkit.invert.optimize import (
    OptimResult,
    OptimState,
    Stage,
    check_result,
    log_gradients,
    make_stages,
    noise_state,
    optimize,
    refinement_stages,
    resize,
)
from magkit.invert.plan import ClassPicture, ClassPlan, ClipPlan
from magkit.invert.settings import InvertSettings
from magkit.invert.statistics import moments_over_images
from magkit.invert.targets.load import LoadedTarget, common_stride
from magkit.protocols import Annotation
from magkit.runtime.device import autocast
from magkit.runtime.seeds import derived_seed
from magkit.video.tiles import image_grid

logger = logging.getLogger(__name__)

SAVE_INTERVAL = 20.0  # seconds between checkpoints of a unit


class Optimizer(Protocol):
    """Optimizes a plan unit by unit; progress is measured in frames or in steps."""

    @property
    def units(self) -> int:
        """The number of units."""
        ...

    def total(self, unit: int, /) -> int:
        """Return the total work of a unit."""
        ...

    def done(self, unit: int) -> int:
        """Return the finished work of a unit."""
        ...

    def run(self, unit: int, report: Callable[[], None]) -> None:
        """Finish a unit; `report` is called whenever `done` may have changed."""
        ...


@dataclass(slots=True)
class ResumableOptimizer:
    """Optimizes images from a saved or initial state, and regularly saves states and snapshots.

    Attributes:
        folder: the folder of states and snapshots.
        device: the device to optimize on.
        snapshots: steps between snapshots; 0: none.
        grid: whether a snapshot shows all images or only the first.
    """

    folder: OutputFolder
    device: torch.device
    snapshots: int = 0
    grid: bool = False
    _saved: float = field(default=0.0, init=False)

    def optimize(
        self,
        name: str,
        start: Callable[[], OptimState],
        stages: Sequence[Stage],
        objective: Objective,
        key: tuple[int, ...],
        *,
        log_as: str | None,
        on_step: Callable[[OptimState], None] = lambda _: None,
    ) -> tuple[OptimResult, dict[str, float]]:
        """Return the optimized images and their weighted loss terms.

        Args:
            name: the file name of the saved state and of snapshots.
            start: returns the initial state if none is saved.
            stages: the stages to optimize in.
            objective: the objective at the size of the last stage.
            key: the seed key of the random draws.
            log_as: the name under which the initial gradient norms are logged; None: not logged.
            on_step: called after each step.
        """
        state = self.folder.load_state(name) or start()
        state.x_N3HW = state.x_N3HW.to(self.device)
        if log_as is not None and state.done == 0:
            log_gradients(objective, state.x_N3HW, stages, log_as)
        self._saved = time.monotonic()

        def save(state: OptimState) -> None:
            self._save(name, state)
            on_step(state)

        with autocast(self.device, objective.settings.precision):
            result = optimize(state, stages, objective, objective.settings, key, save)
            with torch.no_grad():
                terms = objective.terms(result.x_N3HW)
        return result, {term: float(value) for term, value in terms.items()}

    def _save(self, name: str, state: OptimState) -> None:
        if self.snapshots and state.done % self.snapshots == 0:
            images = [to_image(x).cpu() for x in state.x_N3HW]
            path = self.folder.path / "snapshots" / f"{name}-{state.done:05d}.png"
            save_image(path, image_grid(images) if self.grid else images[0])
        if time.monotonic() - self._saved >= SAVE_INTERVAL:
            self._saved = time.monotonic()
            self.folder.save_state(name, state)


@dataclass(slots=True)
class FrameOptimizer:
    """Optimizes the frames of one clip, segment by segment.

    Attributes:
        plan: the plan of the clip.
        targets: the networks to invert.
        folder: the output folder of the clip.
        device: the device to optimize on.
        snapshots: steps between snapshots of a frame; 0: none.
    """

    plan: ClipPlan
    targets: Sequence[LoadedTarget]
    folder: OutputFolder
    device: torch.device
    snapshots: int = 0
    _report: Callable[[], None] = field(default=lambda: None, init=False)

    @property
    def units(self) -> int:
        """The number of segments."""
        return len(self.plan.segments())

    def total(self, unit: int) -> int:
        """Return the number of frames of a segment."""
        return len(self.plan.segments()[unit])

    def done(self, unit: int) -> int:
        """Return the number of finished frames of a segment."""
        return sum(self._has(index) for index in self.plan.segments()[unit])

    def run(self, unit: int, report: Callable[[], None]) -> None:
        """Optimize the missing frames of a segment; `report` is called after each."""
        self._report = report
        indices = self.plan.segments()[unit]
        if self.plan.settings.start == "noise":
            self._optimize_independently(unit)
            return
        self._optimize_keyframe(unit)
        following = unit + 1 < self.units
        if following:
            self._optimize_keyframe(unit + 1)
        for index in indices[1:]:
            self._optimize_frame(index, indices.stop if following else None)

    def _optimize_keyframe(self, segment: int) -> None:
        """Optimize a segment's keyframe, and the earlier keyframes it depends on, if missing."""
        index = self.plan.segments()[segment].start
        if self._has(index):
            return
        if segment == 0:
            self._from_noise([index])
            return
        self._optimize_keyframe(segment - 1)
        before = self.plan.segments()[segment - 1].start
        settings = self.plan.settings_of(index)
        stages = refinement_stages(self._stages(settings), settings.keyframe_steps)
        self._optimize([index], stages, self._warp(before, index), "keyframe")

    def _optimize_independently(self, segment: int) -> None:
        """Optimize the frames that show an object from noise, then fill in those without one."""
        indices, settings_of = self.plan.segments()[segment], self.plan.settings_of
        visible = [index for index in indices if self.plan.annotations(index)]
        for settings in dict.fromkeys(map(settings_of, visible)):
            self._from_noise([index for index in visible if settings_of(index) == settings])
        if not self._has(indices[0]):  # it continues the previous segment
            self._optimize_independently(segment - 1)
        for index in indices:
            if not self._has(index):
                self._optimize([index], [], self._warp(index - 1, index), "frame before")

    def _optimize_frame(self, index: int, next_keyframe: int | None) -> None:
        if self._has(index):
            return
        prior = self._warp(index - 1, index)
        if next_keyframe is not None:
            weight = 1 / (next_keyframe - index + 1)
            prior = mix_priors(prior, self._warp(next_keyframe, index), weight)
        settings = self.plan.settings_of(index)
        stages = refinement_stages(self._stages(settings), settings.warm_steps)
        self._optimize([index], stages, prior, "frame before")

    def _from_noise(self, indices: Sequence[int]) -> None:
        if not all(self._has(index) for index in indices):
            settings = self.plan.settings_of(indices[0])
            self._optimize(indices, self._stages(settings), None, "noise")

    def _stages(self, settings: InvertSettings) -> list[Stage]:
        return make_stages(settings, self.plan.size, common_stride(self.targets))

    def _has(self, index: int) -> bool:
        return self.folder.has(self.plan.frames[index].stem)

    def _warp(self, source: int, index: int) -> TemporalPrior:
        """Return a finished frame, warped by the motion of the masks."""
        pixels = self.folder.read(self.plan.frames[source].stem)
        return warp_by_masks(pixels, self.plan.masks(source), self.plan.masks(index))

    def _optimize(
        self,
        indices: Sequence[int],
        stages: Sequence[Stage],
        prior: TemporalPrior | None,
        start: str,
    ) -> None:
        """Optimize one frame, or a batch of frames that start from noise."""
        began, stem = time.monotonic(), self.plan.frames[indices[0]].stem
        settings, key = self.plan.settings_of(indices[0]), self._key(indices)
        annotations = [self.plan.annotations(index) for index in indices]
        if not any(annotations):
            self._write_warped(stem, prior)
            return
        history = self._history(indices[0], settings)
        objective = self.objective(annotations, prior, settings, history)

        def initial() -> OptimState:
            if prior is not None:
                return OptimState(resize(prior.pixels_N3HW, stages[0].size))
            return noise_state(stages[0].size, settings, [(key[0], number) for number in key[1:]])

        log_as = self.plan.name if start == "noise" else None
        optimizer = ResumableOptimizer(self.folder, self.device, self.snapshots)
        result, terms = optimizer.optimize(stem, initial, stages, objective, key, log_as=log_as)
        check_result(result, 1, f"{self.plan.name}, frame {stem}")
        seconds = (time.monotonic() - began) / len(indices)
        for x, index in zip(result.x_N3HW, indices, strict=True):
            record = {"start": start, "steps": result.steps, "terms": terms, "seconds": seconds}
            self.folder.write(self.plan.frames[index].stem, x, record)
            self._report()

    def _write_warped(self, stem: str, prior: TemporalPrior | None) -> None:
        """Write the warped previous frame as a frame in which no object is visible."""
        assert prior is not None  # an object is visible in the first frame
        logger.info("%s: no object in frame %s: continuing the background", self.plan.name, stem)
        self.folder.write(stem, prior.pixels_N3HW[0], {"start": "carried", "steps": 0})
        self._report()

    def objective(
        self,
        annotations: Sequence[Sequence[Annotation]],
        prior: TemporalPrior | None,
        settings: InvertSettings,
        history: Sequence[str] = (),
    ) -> Objective:
        """Return the objective of one or several frames.

        Args:
            annotations: the annotations of each frame.
            prior: the warped frame to start from; None: noise.
            settings: the weights of the terms.
            history: names of finished frames whose BatchNorm statistics are pooled with theirs.
        """
        images = [read_image(self.folder.frame(stem)).to(self.device) for stem in history]
        terms = [
            TargetTerm(
                loaded.name,
                loaded.target,
                loaded.target.labels(annotations),
                loaded.statistics,
                loaded.weight,
                moments_over_images(loaded.target.predict, loaded.statistics, images),
                len(images),
            )
            for loaded in self.targets
        ]
        if prior is not None:
            pixels, known = (v.to(self.device) for v in (prior.pixels_N3HW, prior.known_N1HW))
            prior = replace(prior, pixels_N3HW=pixels, known_N1HW=known)
        return Objective(terms, settings, prior)

    def _history(self, index: int, settings: InvertSettings) -> list[str]:
        """Return the names of the earlier frames of a segment whose statistics are pooled."""
        first = next(s.start for s in self.plan.segments() if index in s)
        return self.plan.stems()[max(first, index - settings.bn_history) : index]

    def _key(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Return the seed key of frames: a hash of the clip's name, and the frame numbers."""
        clip = derived_seed(0, *self.plan.clip.encode())
        return clip, *(self.plan.frames[index].number for index in indices)


@dataclass(slots=True)
class ClassOptimizer:
    """Optimizes class images from noise, batch by batch.

    Attributes:
        plan: the plan of all images.
        targets: the networks to invert.
        folder: the output folder of the images.
        device: the device to optimize on.
        snapshots: steps between snapshots of a batch; 0: none.
    """

    plan: ClassPlan
    targets: Sequence[LoadedTarget]
    folder: OutputFolder
    device: torch.device
    snapshots: int = 0
    _steps: dict[int, int] = field(default_factory=dict, init=False)

    @property
    def units(self) -> int:
        """The number of batches."""
        return len(self.plan.batches())

    def total(self, _unit: int, /) -> int:
        """Return the number of steps of a batch."""
        return sum(self.plan.settings.steps())

    def done(self, unit: int) -> int:
        """Return the number of finished steps of a batch; all of them once it is written."""
        if self.folder.has(self.plan.batches()[unit][-1].stem):
            return self.total(unit)
        return self._steps.get(unit, 0)

    def run(self, unit: int, report: Callable[[], None]) -> None:
        """Optimize a batch unless all its images exist; `report` is called after each step."""
        pictures = self.plan.batches()[unit]
        if all(self.folder.has(each.stem) for each in pictures):
            return
        began, name, settings = time.monotonic(), f"batch-{unit:03d}", self.plan.settings
        stages = make_stages(settings, self.plan.size, common_stride(self.targets))

        def on_step(state: OptimState) -> None:
            self._steps[unit] = state.done
            report()

        optimizer = ResumableOptimizer(self.folder, self.device, self.snapshots, grid=True)
        result, terms = optimizer.optimize(
            name,
            lambda: noise_state(stages[0].size, settings, list(map(picture_key, pictures))),
            stages,
            self.objective(pictures),
            batch_key(pictures),
            log_as=name,
            on_step=on_step,
        )
        check_result(result, len(pictures), name)
        seconds = (time.monotonic() - began) / len(pictures)
        record = {"batch": unit, "steps": result.steps, "seconds": seconds, "terms": terms}
        for x, each in zip(result.x_N3HW, pictures, strict=True):
            self.folder.write(each.stem, x, {"class": each.label, **record})
        self.folder.state(name).unlink(missing_ok=True)

    def objective(self, pictures: Sequence[ClassPicture]) -> Objective:
        """Return the objective of images that each show their class at any position."""
        annotations = [[Annotation(each.label)] for each in pictures]
        terms = [
            TargetTerm(
                loaded.name,
                loaded.target,
                loaded.target.labels(annotations),
                loaded.statistics,
                loaded.weight,
            )
            for loaded in self.targets
        ]
        return Objective(terms, self.plan.settings)


def picture_key(image: ClassPicture) -> tuple[int, int]:
    """Return the seed key of an image's initial noise, which is independent of other images."""
    return derived_seed(0, *image.label.encode()), image.number


def batch_key(pictures: Sequence[ClassPicture]) -> tuple[int]:
    """Return the seed key of a batch's augmentations."""
    return (derived_seed(0, *(part for each in pictures for part in picture_key(each))),)
