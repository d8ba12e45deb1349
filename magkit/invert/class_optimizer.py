"""Makes the pictures of a batch, all of them from noise, at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from magkit.invert.class_plan import ClassPicture, ClassPlan
from magkit.invert.frame_optimizer import NOISE, LoadedTarget, check, tell_gradients
from magkit.invert.frames_on_disk import Folder, save_picture, shown
from magkit.invert.init_noise import init_noise
from magkit.invert.objective import Objective, TargetTerm
from magkit.invert.optimize import OptimResult, OptimState, Stage, optimize, stages
from magkit.invert.report import image_grid
from magkit.protocols import Annotation
from magkit.runtime.device import autocast
from magkit.runtime.seeds import derived_seed, generator

SAVED_EVERY = 20.0  # seconds between the states of a batch


@dataclass(slots=True)
class ClassOptimizer:
    """Makes batches.

    Attributes:
        plan: of all pictures.
        chosen: the targets.
        folder: where the pictures go.
        device: where they are made.
        stepped: called after every step, with how many of the batch's steps are done.
        snapshots: keep a picture of the batch every so many steps; 0: none.
    """

    plan: ClassPlan
    chosen: Sequence[LoadedTarget]
    folder: Folder
    device: torch.device
    stepped: Callable[[int], None] = lambda _: None
    snapshots: int = 0
    _saved: float = field(default=0.0, init=False)

    def batch(self, number: int, pictures: Sequence[ClassPicture]) -> None:
        """Make the pictures of a batch, by its number, unless all of them are there."""
        if all(self.folder.has(each.stem) for each in pictures):
            return
        self._saved = began = time.monotonic()
        settings, steps = self.plan.settings, self._stages()
        objective, name = self.objective(pictures), batch_name(number)
        position = self.folder.kept(name) or self._start(pictures, steps[0].size)
        position.x_N3HW = position.x_N3HW.to(self.device)
        if position.done == 0:
            tell_gradients(objective, position.x_N3HW, steps, name)
        with autocast(self.device, settings.precision):
            found = optimize(
                position,
                steps,
                objective,
                settings,
                batch_key(pictures),
                lambda p: self._save(number, p),
            )
        check(found, len(pictures), name)
        self._finish(number, pictures, found, objective, time.monotonic() - began)

    def objective(self, pictures: Sequence[ClassPicture]) -> Objective:
        """Return what is minimised for pictures that each show their class, somewhere."""
        asked = [[Annotation(each.label)] for each in pictures]
        goals = [
            TargetTerm(
                each.name, each.target, each.target.labels(asked), each.statistics, each.weight
            )
            for each in self.chosen
        ]
        return Objective(goals, self.plan.settings)

    def _stages(self) -> list[Stage]:
        stride = math.lcm(*(each.target.stride for each in self.chosen))
        return stages(self.plan.settings, self.plan.size, stride)

    def _start(self, pictures: Sequence[ClassPicture], size: tuple[int, int]) -> OptimState:
        settings = self.plan.settings
        draws = [generator(settings.seed, NOISE, *picture_key(each)) for each in pictures]
        return OptimState(torch.stack([init_noise(size, settings, draw) for draw in draws]))

    def _save(self, number: int, position: OptimState) -> None:
        name = batch_name(number)
        if self.snapshots and position.done % self.snapshots == 0:
            path = self.folder.path / "snapshots" / f"{name}-{position.done:05d}.png"
            save_picture(path, image_grid([shown(x).cpu() for x in position.x_N3HW]))
        if time.monotonic() - self._saved >= SAVED_EVERY:
            self._saved = time.monotonic()
            self.folder.keep(name, position)
        self.stepped(position.done)

    def _finish(
        self,
        number: int,
        pictures: Sequence[ClassPicture],
        found: OptimResult,
        objective: Objective,
        seconds: float,
    ) -> None:
        with torch.no_grad(), autocast(self.device, objective.settings.precision):
            terms = objective.terms(found.x_N3HW)
        record = {
            "batch": number,
            "steps": found.steps,
            "seconds": seconds / len(pictures),
            "terms": {name: float(term) for name, term in terms.items()},
        }
        for x, each in zip(found.x_N3HW, pictures, strict=True):
            self.folder.write(each.stem, x, {"class": each.label, **record})
        self.folder.state(batch_name(number)).unlink(missing_ok=True)


def batch_name(number: int) -> str:
    """Return what a batch is called, in messages and by the file that it is kept in."""
    return f"batch-{number:03d}"


def picture_key(picture: ClassPicture) -> tuple[int, int]:
    """Return what tells a picture's start from all others': it depends on no other picture."""
    return derived_seed(0, *picture.label.encode()), picture.number


def batch_key(pictures: Sequence[ClassPicture]) -> tuple[int]:
    """Return what tells the shifts of a batch from those of others."""
    return (derived_seed(0, *(part for each in pictures for part in picture_key(each))),)
