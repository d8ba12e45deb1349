"""Optimises the frames of one clip, segment by segment."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from magkit.errors import MagkitError, UsageError
from magkit.invert.frames_on_disk import Folder, picture, save_picture, shown
from magkit.invert.init_noise import init_noise
from magkit.invert.objective import Objective, TargetTerm, TemporalPrior, gradient_norms
from magkit.invert.optimize import (
    OptimResult,
    OptimState,
    Stage,
    last_two,
    optimize,
    resized,
    scaled,
    stages,
)
from magkit.invert.plan import ClipPlan
from magkit.invert.settings import InvertSettings
from magkit.invert.statistics import over_pictures
from magkit.invert.warp import warped
from magkit.protocols import Statistic, Target
from magkit.runtime.device import autocast
from magkit.runtime.seeds import derived_seed, generator

logger = logging.getLogger(__name__)

FLAT = 0.05  # standard deviation of a picture that has lost its contrast
DROWNED = 0.002  # of the largest term's gradient: a term below it hardly counts


def tell_gradients(objective: Objective, x_N3HW: Tensor, plan: Sequence[Stage], name: str) -> None:
    """Say how strong each term's pull is at the start, and which of them drowns another.

    Raises:
        UsageError: there is no term.
    """
    smaller = scaled(objective, plan[0].size, plan[-1].size, len(x_N3HW))
    norms = gradient_norms(smaller, x_N3HW)
    if not norms:
        raise UsageError("all weights are 0: nothing is asked for", "such as --set mask=1")
    pulls = ", ".join(f"{term} {norm:.3g}" for term, norm in norms.items())
    logger.info("%s: gradients at the start: %s", name, pulls)
    for warning in drowned(norms):
        logger.warning("%s: %s", name, warning)


def drowned(norms: Mapping[str, float]) -> list[str]:
    """Return a sentence for each term that hardly counts, by the norms of all gradients."""
    strongest = max(norms, key=lambda name: norms[name])
    return [
        f"'{strongest}' drowns '{name}' ({norms[strongest]:.2g} against {norm:.2g}): "
        "change the weight of one"
        for name, norm in norms.items()
        if norm < DROWNED * norms[strongest]
    ]


def check(found: OptimResult, count: int, what: str) -> None:
    """Refuse what is no number; warn if one of the first `count` pictures lost its contrast.

    Raises:
        MagkitError: the loss, or its gradient, is no number any more.
    """
    if not found.finite:
        raise MagkitError(
            f"{what}: the loss is no number after {found.steps} steps",
            "try a smaller --lr, or --set precision=full",
        )
    if any(float(shown(x).std()) < FLAT for x in found.x_N3HW[:count]):
        logger.warning(
            "%s has lost its contrast: lower --var-l1, --var-l2 and --l2-norm, or raise --bn", what
        )


SAVED_EVERY = 20.0  # seconds between the states of a frame that takes long
NOISE = 0  # first part of the key of the start


@dataclass(frozen=True, slots=True)
class LoadedTarget:
    """A target that is inverted.

    Attributes:
        name: as it was asked for.
        target: itself.
        weight: in the sum of all.
        statistics: the layers that it remembers statistics in.
    """

    name: str
    target: Target[Any]
    weight: float
    statistics: Sequence[Statistic]


@dataclass(slots=True)
class FrameOptimizer:
    """Makes the frames of one clip.

    Attributes:
        plan: which, and how.
        chosen: the targets.
        folder: where they go.
        device: where they are made.
        made: called when a frame was made, with the seconds that it took.
        snapshots: keep a picture of a frame every so many steps; 0: none.
    """

    plan: ClipPlan
    chosen: Sequence[LoadedTarget]
    folder: Folder
    device: torch.device
    made: Callable[[float], None] = lambda _: None
    snapshots: int = 0
    _saved: float = field(default=0.0, init=False)

    def segment(self, number: int) -> None:
        """Make the frames of a segment that are not there yet."""
        places = self.plan.segments()[number]
        if self.plan.settings.start == "noise":
            self._independent(number)
            return
        self.key(number)
        following = number + 1 < len(self.plan.segments())
        if following:
            self.key(number + 1)
        for place in places[1:]:
            self._frame(place, places.stop if following else None)

    def key(self, number: int) -> None:
        """Make a segment's keyframe, and those that it starts from, unless they are there."""
        place = self.plan.segments()[number].start
        if self._has(place):
            return
        if number == 0:
            self._from_noise([place])
            return
        self.key(number - 1)
        before = self.plan.segments()[number - 1].start
        settings = self.plan.settings_of(place)
        plan = last_two(self._stages(settings), settings.key)
        self._make([place], plan, self._guide(before, place), "keyframe")

    def _independent(self, number: int) -> None:
        """Make the frames of a segment that show an object, then those between them."""
        places, settings_of = self.plan.segments()[number], self.plan.settings_of
        showing = [place for place in places if self.plan.annotations(place)]
        for settings in dict.fromkeys(map(settings_of, showing)):
            self._from_noise([place for place in showing if settings_of(place) == settings])
        if not self._has(places[0]):  # it goes on from the segment before
            self._independent(number - 1)
        for place in places:
            if not self._has(place):
                self._make([place], [], self._guide(place - 1, place), "frame before")

    def _frame(self, place: int, next_key: int | None) -> None:
        if self._has(place):
            return
        guide = self._guide(place - 1, place)
        if next_key is not None:
            guide = mix_priors(guide, self._guide(next_key, place), 1 / (next_key - place + 1))
        settings = self.plan.settings_of(place)
        plan = last_two(self._stages(settings), settings.warm)
        self._make([place], plan, guide, "frame before")

    def _from_noise(self, places: Sequence[int]) -> None:
        if all(self._has(place) for place in places):
            return
        settings = self.plan.settings_of(places[0])
        self._make(places, self._stages(settings), None, "noise")

    def _stages(self, settings: InvertSettings) -> list[Stage]:
        """Return the stages of pictures from noise, in steps that all targets can take."""
        stride = math.lcm(*(each.target.stride for each in self.chosen))
        return stages(settings, self.plan.size, stride)

    def _has(self, place: int) -> bool:
        return self.folder.has(self.plan.frames[place].stem)

    def _guide(self, source: int, place: int) -> TemporalPrior:
        """Return a finished frame moved as the masks moved."""
        pixels = self.folder.read(self.plan.frames[source].stem)
        return warped(pixels, self.plan.masks(source), self.plan.masks(place))

    def _make(
        self, places: Sequence[int], plan: Sequence[Stage], guide: TemporalPrior | None, start: str
    ) -> None:
        """Make one frame, or several at a time that start from noise."""
        began, stem = time.monotonic(), self.plan.frames[places[0]].stem
        settings = self.plan.settings_of(places[0])
        asked = [self.plan.annotations(place) for place in places]
        if not any(asked):
            self._carry(stem, guide)
            return
        objective = self.objective(asked, guide, settings, self._earlier(places[0], settings))
        key = self._key(places)
        position = self.folder.kept(stem) or self._start(plan, guide, settings, key)
        position.x_N3HW = position.x_N3HW.to(self.device)
        if start == "noise" and position.done == 0:
            tell_gradients(objective, position.x_N3HW, plan, self.plan.name)
        self._saved = began
        with autocast(self.device, settings.precision):
            found = optimize(
                position, plan, objective, settings, key, lambda p: self._save(stem, p)
            )
        self._check(found, places)
        self._finish(places, found, objective, start, time.monotonic() - began)

    def objective(
        self,
        asked: Sequence[Sequence[Any]],
        guide: TemporalPrior | None,
        settings: InvertSettings,
        earlier: Sequence[str] = (),
    ) -> Objective:
        """Return what is minimised for frames that show what is asked for.

        Args:
            asked: of each frame.
            guide: where it starts from.
            settings: its weights.
            earlier: names of finished frames whose statistics count beside theirs.
        """
        shown = [picture(self.folder.frame(stem)).to(self.device) for stem in earlier]
        goals = [
            TargetTerm(
                each.name,
                each.target,
                each.target.labels(asked),
                each.statistics,
                each.weight,
                over_pictures(each.target.predict, each.statistics, shown),
                len(shown),
            )
            for each in self.chosen
        ]
        return Objective(goals, settings, _placed(guide, self.device))

    def _earlier(self, place: int, settings: InvertSettings) -> list[str]:
        """Return the names of the frames of the same segment whose statistics are recalled."""
        first = next(s.start for s in self.plan.segments() if place in s)
        places = range(max(first, place - settings.recalled), place)
        return [self.plan.frames[n].stem for n in places]

    def _key(self, places: Sequence[int]) -> tuple[int, ...]:
        """Return what tells these frames' draws from others': the clip and their numbers."""
        clip = derived_seed(0, *self.plan.clip.encode())
        return clip, *(self.plan.frames[place].number for place in places)

    def _start(
        self,
        plan: Sequence[Stage],
        guide: TemporalPrior | None,
        settings: InvertSettings,
        key: tuple[int, ...],
    ) -> OptimState:
        if guide is not None:
            return OptimState(resized(guide.pixels_N3HW, plan[0].size))
        draws = [generator(settings.seed, NOISE, key[0], number) for number in key[1:]]
        return OptimState(torch.stack([init_noise(plan[0].size, settings, draw) for draw in draws]))

    def _save(self, stem: str, position: OptimState) -> None:
        if self.snapshots and position.done % self.snapshots == 0:
            path = self.folder.path / "snapshots" / f"{stem}-{position.done:05d}.png"
            save_picture(path, shown(position.x_N3HW[0]))
        if time.monotonic() - self._saved >= SAVED_EVERY:
            self._saved = time.monotonic()
            self.folder.keep(stem, position)

    def _carry(self, stem: str, guide: TemporalPrior | None) -> None:
        """Take over what was there, where no object is seen."""
        assert guide is not None  # the first frame shows an object
        logger.info("%s: no object in frame %s: the background goes on", self.plan.name, stem)
        self.folder.write(stem, guide.pixels_N3HW[0], {"start": "carried", "steps": 0})
        self.made(0.0)

    def _finish(
        self,
        places: Sequence[int],
        found: OptimResult,
        objective: Objective,
        start: str,
        seconds: float,
    ) -> None:
        with torch.no_grad(), autocast(self.device, objective.settings.precision):
            terms = objective.terms(found.x_N3HW)
        told = {name: float(term) for name, term in terms.items()}
        for x, place in zip(found.x_N3HW, places, strict=True):
            record = {"start": start, "steps": found.steps, "terms": told}
            record["seconds"] = seconds / len(places)
            self.folder.write(self.plan.frames[place].stem, x, record)
            self.made(seconds / len(places))

    def _check(self, found: OptimResult, places: Sequence[int]) -> None:
        stem = self.plan.frames[places[0]].stem
        check(found, 1, f"{self.plan.name}, frame {stem}")


def mix_priors(guide: TemporalPrior, other: TemporalPrior, share: float) -> TemporalPrior:
    """Return a guide with `share` parts of another, where both know something."""
    here, there = guide.known_N1HW, other.known_N1HW
    both = torch.where(there > 0, torch.where(here > 0, share, 1.0), 0.0)
    pixels = torch.lerp(guide.pixels_N3HW, other.pixels_N3HW, both)
    return TemporalPrior(pixels, torch.maximum(here, there))


def _placed(guide: TemporalPrior | None, device: torch.device) -> TemporalPrior | None:
    if guide is None:
        return None
    return replace(
        guide,
        pixels_N3HW=guide.pixels_N3HW.to(device),
        known_N1HW=guide.known_N1HW.to(device),
    )
