"""Makes the frames of one clip, segment by segment.

The first keyframe starts from noise, each further one from the keyframe before it, warped; the
frames of a segment start from the frame before, warped, and are drawn ever more towards the next
keyframe, so that nothing jumps where a segment ends. Or all of them start from noise, a segment at
a time. A frame depends on the bits of finished ones
alone: whoever makes it, in whatever order, and after whatever interruption, makes the same.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from magkit.invert.alarms import check, tell_gradients
from magkit.invert.frames_on_disk import Folder, picture, save_picture, shown
from magkit.invert.objective import Goal, Guide, Objective
from magkit.invert.optimise import (
    Optimised,
    Position,
    Stage,
    last_two,
    optimise,
    resized,
    stages,
)
from magkit.invert.plan import ClipPlan
from magkit.invert.settings import InvertSettings
from magkit.invert.start import noise
from magkit.invert.statistics import over_pictures
from magkit.invert.warp import warped
from magkit.protocols import Statistic, Target
from magkit.runtime.precision import autocast
from magkit.runtime.seeds import derived_seed, generator

logger = logging.getLogger(__name__)

SAVED_EVERY = 20.0  # seconds between the states of a frame that takes long
NOISE = 0  # first part of the key of the start


@dataclass(frozen=True, slots=True)
class Chosen:
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
class Maker:
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
    chosen: Sequence[Chosen]
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
            guide = mixed(guide, self._guide(next_key, place), 1 / (next_key - place + 1))
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

    def _guide(self, source: int, place: int) -> Guide:
        """Return a finished frame moved as the masks moved."""
        pixels = self.folder.read(self.plan.frames[source].stem)
        return warped(pixels, self.plan.masks(source), self.plan.masks(place))

    def _make(
        self, places: Sequence[int], plan: Sequence[Stage], guide: Guide | None, start: str
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
            found = optimise(
                position, plan, objective, settings, key, lambda p: self._save(stem, p)
            )
        self._check(found, places)
        self._finish(places, found, objective, start, time.monotonic() - began)

    def objective(
        self,
        asked: Sequence[Sequence[Any]],
        guide: Guide | None,
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
            Goal(
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
        guide: Guide | None,
        settings: InvertSettings,
        key: tuple[int, ...],
    ) -> Position:
        if guide is not None:
            return Position(resized(guide.pixels_N3HW, plan[0].size))
        draws = [generator(settings.seed, NOISE, key[0], number) for number in key[1:]]
        return Position(torch.stack([noise(plan[0].size, settings, draw) for draw in draws]))

    def _save(self, stem: str, position: Position) -> None:
        if self.snapshots and position.done % self.snapshots == 0:
            path = self.folder.path / "snapshots" / f"{stem}-{position.done:05d}.png"
            save_picture(path, shown(position.x_N3HW[0]))
        if time.monotonic() - self._saved >= SAVED_EVERY:
            self._saved = time.monotonic()
            self.folder.keep(stem, position)

    def _carry(self, stem: str, guide: Guide | None) -> None:
        """Take over what was there, where no object is seen."""
        assert guide is not None  # the first frame shows an object
        logger.info("%s: no object in frame %s: the background goes on", self.plan.name, stem)
        self.folder.write(stem, guide.pixels_N3HW[0], {"start": "carried", "steps": 0})
        self.made(0.0)

    def _finish(
        self,
        places: Sequence[int],
        found: Optimised,
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

    def _check(self, found: Optimised, places: Sequence[int]) -> None:
        stem = self.plan.frames[places[0]].stem
        check(found, 1, f"{self.plan.name}, frame {stem}")


def mixed(guide: Guide, other: Guide, share: float) -> Guide:
    """Return a guide with `share` parts of another, where both know something."""
    here, there = guide.known_N1HW, other.known_N1HW
    both = torch.where(there > 0, torch.where(here > 0, share, 1.0), 0.0)
    pixels = torch.lerp(guide.pixels_N3HW, other.pixels_N3HW, both)
    return Guide(pixels, torch.maximum(here, there))


def _placed(guide: Guide | None, device: torch.device) -> Guide | None:
    if guide is None:
        return None
    return replace(
        guide,
        pixels_N3HW=guide.pixels_N3HW.to(device),
        known_N1HW=guide.known_N1HW.to(device),
    )
