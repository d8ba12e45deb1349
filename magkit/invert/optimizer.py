"""Optimizers of the units of a plan: segments of a clip's frames, batches of images of classes."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from magkit.invert.affine import TemporalPrior, mix_priors, warp_by_masks
from magkit.invert.frames_on_disk import OutputFolder, image_grid, read_image, save_image, to_image
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
from magkit.invert.targets.load import LoadedTarget
from magkit.protocols import Annotation
from magkit.runtime.device import autocast
from magkit.runtime.seeds import derived_seed

logger = logging.getLogger(__name__)

SAVE_INTERVAL = 20.0  # seconds between the saved states of a unit


class Optimizer(Protocol):
    """Optimizes the units of one plan; progress is counted in frames or in steps."""

    @property
    def units(self) -> int:
        """The number of units."""
        ...

    def total(self, unit: int, /) -> int:
        """Return how much there is to do in a unit."""
        ...

    def done(self, unit: int) -> int:
        """Return how much of that is done."""
        ...

    def run(self, unit: int, report: Callable[[], None]) -> None:
        """Make what a unit lacks; `report` is called whenever `done` may have changed."""
        ...


@dataclass(slots=True)
class StateSaver:
    """Optimises images from a saved or new state, and saves states and snapshots meanwhile.

    Attributes:
        folder: where states and snapshots go.
        device: on which images are optimised.
        snapshots: steps between snapshots; 0: none.
        grid: whether a snapshot shows all images, or the first.
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
        steps: Sequence[Stage],
        objective: Objective,
        key: tuple[int, ...],
        *,
        log_as: str | None,
        on_step: Callable[[OptimState], None] = lambda _: None,
    ) -> tuple[OptimResult, dict[str, float]]:
        """Return the optimised images, and their weighted terms.

        Args:
            name: of the saved state and of snapshots.
            start: returns the initial state.
            steps: the stages.
            objective: at the size of the last stage.
            key: of the random draws.
            log_as: the name under which initial gradients are logged; None: they are not.
            on_step: called after each step.
        """
        state = self.folder.kept(name) or start()
        state.x_N3HW = state.x_N3HW.to(self.device)
        if log_as is not None and state.done == 0:
            log_gradients(objective, state.x_N3HW, steps, log_as)
        self._saved = time.monotonic()

        def save(state: OptimState) -> None:
            self._save(name, state)
            on_step(state)

        with autocast(self.device, objective.settings.precision):
            result = optimize(state, steps, objective, objective.settings, key, save)
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
            self.folder.keep(name, state)


@dataclass(slots=True)
class FrameOptimizer:
    """Optimizes the frames of one clip, segment by segment.

    Attributes:
        plan: of the clip.
        targets: the networks that are inverted.
        folder: where frames go.
        device: on which they are optimised.
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
        """Return how many of them are finished."""
        return sum(self._has(index) for index in self.plan.segments()[unit])

    def run(self, unit: int, report: Callable[[], None]) -> None:
        """Make the frames of a segment that are missing; `report` is called after each."""
        self._report = report
        indices = self.plan.segments()[unit]
        if self.plan.settings.start == "noise":
            self._independent(unit)
            return
        self._keyframe(unit)
        following = unit + 1 < self.units
        if following:
            self._keyframe(unit + 1)
        for index in indices[1:]:
            self._frame(index, indices.stop if following else None)

    def _keyframe(self, segment: int) -> None:
        """Make a segment's keyframe, and those that it starts from, unless they exist."""
        index = self.plan.segments()[segment].start
        if self._has(index):
            return
        if segment == 0:
            self._from_noise([index])
            return
        self._keyframe(segment - 1)
        before = self.plan.segments()[segment - 1].start
        settings = self.plan.settings_of(index)
        steps = refinement_stages(self._stages(settings), settings.keyframe_steps)
        self._make([index], steps, self._warped(before, index), "keyframe")

    def _independent(self, segment: int) -> None:
        """Make the frames of a segment that show an object, then those between them."""
        indices, settings_of = self.plan.segments()[segment], self.plan.settings_of
        visible = [index for index in indices if self.plan.annotations(index)]
        for settings in dict.fromkeys(map(settings_of, visible)):
            self._from_noise([index for index in visible if settings_of(index) == settings])
        if not self._has(indices[0]):  # it goes on from the segment before
            self._independent(segment - 1)
        for index in indices:
            if not self._has(index):
                self._make([index], [], self._warped(index - 1, index), "frame before")

    def _frame(self, index: int, next_keyframe: int | None) -> None:
        if self._has(index):
            return
        prior = self._warped(index - 1, index)
        if next_keyframe is not None:
            weight = 1 / (next_keyframe - index + 1)
            prior = mix_priors(prior, self._warped(next_keyframe, index), weight)
        settings = self.plan.settings_of(index)
        steps = refinement_stages(self._stages(settings), settings.warm_steps)
        self._make([index], steps, prior, "frame before")

    def _from_noise(self, indices: Sequence[int]) -> None:
        if not all(self._has(index) for index in indices):
            settings = self.plan.settings_of(indices[0])
            self._make(indices, self._stages(settings), None, "noise")

    def _stages(self, settings: InvertSettings) -> list[Stage]:
        return make_stages(settings, self.plan.size, common_stride(self.targets))

    def _has(self, index: int) -> bool:
        return self.folder.has(self.plan.frames[index].stem)

    def _warped(self, source: int, index: int) -> TemporalPrior:
        """Return a finished frame, moved as the masks moved."""
        pixels = self.folder.read(self.plan.frames[source].stem)
        return warp_by_masks(pixels, self.plan.masks(source), self.plan.masks(index))

    def _make(
        self,
        indices: Sequence[int],
        steps: Sequence[Stage],
        prior: TemporalPrior | None,
        start: str,
    ) -> None:
        """Make one frame, or several at a time that start from noise."""
        began, stem = time.monotonic(), self.plan.frames[indices[0]].stem
        settings, key = self.plan.settings_of(indices[0]), self._key(indices)
        annotations = [self.plan.annotations(index) for index in indices]
        if not any(annotations):
            self._carry(stem, prior)
            return
        history = self._history(indices[0], settings)
        objective = self.objective(annotations, prior, settings, history)

        def initial() -> OptimState:
            if prior is not None:
                return OptimState(resize(prior.pixels_N3HW, steps[0].size))
            return noise_state(steps[0].size, settings, [(key[0], number) for number in key[1:]])

        log_as = self.plan.name if start == "noise" else None
        saver = StateSaver(self.folder, self.device, self.snapshots)
        result, terms = saver.optimize(stem, initial, steps, objective, key, log_as=log_as)
        check_result(result, 1, f"{self.plan.name}, frame {stem}")
        seconds = (time.monotonic() - began) / len(indices)
        for x, index in zip(result.x_N3HW, indices, strict=True):
            record = {"start": start, "steps": result.steps, "terms": terms, "seconds": seconds}
            self.folder.write(self.plan.frames[index].stem, x, record)
            self._report()

    def _carry(self, stem: str, prior: TemporalPrior | None) -> None:
        """Write the frame before, warped, where no object is seen."""
        assert prior is not None  # the first frame shows an object
        logger.info("%s: no object in frame %s: the background goes on", self.plan.name, stem)
        self.folder.write(stem, prior.pixels_N3HW[0], {"start": "carried", "steps": 0})
        self._report()

    def objective(
        self,
        annotations: Sequence[Sequence[Annotation]],
        prior: TemporalPrior | None,
        settings: InvertSettings,
        history: Sequence[str] = (),
    ) -> Objective:
        """Return the objective of frames.

        Args:
            annotations: of each frame.
            prior: the warped frame that it starts from.
            settings: the weights.
            history: names of finished frames whose BatchNorm statistics are pooled with theirs.
        """
        images = [read_image(self.folder.frame(stem)).to(self.device) for stem in history]
        terms = [
            TargetTerm(
                each.name,
                each.target,
                each.target.labels(annotations),
                each.statistics,
                each.weight,
                moments_over_images(each.target.predict, each.statistics, images),
                len(images),
            )
            for each in self.targets
        ]
        if prior is not None:
            pixels, known = (v.to(self.device) for v in (prior.pixels_N3HW, prior.known_N1HW))
            prior = replace(prior, pixels_N3HW=pixels, known_N1HW=known)
        return Objective(terms, settings, prior)

    def _history(self, index: int, settings: InvertSettings) -> list[str]:
        """Return the names of earlier frames of the segment whose statistics are pooled."""
        first = next(s.start for s in self.plan.segments() if index in s)
        return self.plan.stems()[max(first, index - settings.bn_history) : index]

    def _key(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Return the seed key of frames: the clip and their numbers."""
        clip = derived_seed(0, *self.plan.clip.encode())
        return clip, *(self.plan.frames[index].number for index in indices)


@dataclass(slots=True)
class ClassOptimizer:
    """Optimizes images of classes from noise, batch by batch.

    Attributes:
        plan: of all images.
        targets: the networks that are inverted.
        folder: where images go.
        device: on which they are optimised.
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
        """Return the steps of a batch."""
        return sum(self.plan.settings.steps())

    def done(self, unit: int) -> int:
        """Return how many of them are done, all of them once the batch is written."""
        if self.folder.has(self.plan.batches()[unit][-1].stem):
            return self.total(unit)
        return self._steps.get(unit, 0)

    def run(self, unit: int, report: Callable[[], None]) -> None:
        """Make the images of a batch, unless all exist; `report` is called after each step."""
        pictures = self.plan.batches()[unit]
        if all(self.folder.has(each.stem) for each in pictures):
            return
        began, name, settings = time.monotonic(), f"batch-{unit:03d}", self.plan.settings
        steps = make_stages(settings, self.plan.size, common_stride(self.targets))

        def on_step(state: OptimState) -> None:
            self._steps[unit] = state.done
            report()

        result, terms = StateSaver(self.folder, self.device, self.snapshots, grid=True).optimize(
            name,
            lambda: noise_state(steps[0].size, settings, list(map(picture_key, pictures))),
            steps,
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
        """Return the objective of images that each show their class, anywhere."""
        annotations = [[Annotation(each.label)] for each in pictures]
        terms = [
            TargetTerm(
                each.name,
                each.target,
                each.target.labels(annotations),
                each.statistics,
                each.weight,
            )
            for each in self.targets
        ]
        return Objective(terms, self.plan.settings)


def picture_key(image: ClassPicture) -> tuple[int, int]:
    """Return the seed key of an image's initial noise: it depends on no other image."""
    return derived_seed(0, *image.label.encode()), image.number


def batch_key(pictures: Sequence[ClassPicture]) -> tuple[int]:
    """Return the seed key of a batch's augmentations."""
    return (derived_seed(0, *(part for each in pictures for part in picture_key(each))),)


def common_stride(targets: Sequence[LoadedTarget]) -> int:
    """Return the number of which the sides of all images must be multiples."""
    return math.lcm(*(each.target.stride for each in targets))
