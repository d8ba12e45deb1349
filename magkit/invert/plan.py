"""What is to be made of one clip: its frames, their masks at the size that is made, its segments.

A segment is a keyframe and the frames up to the next one: the unit of work. Its borders are fixed
by the list of frames alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from magkit.errors import MagkitError, UsageError
from magkit.invert.classes import ANY, class_of_video
from magkit.invert.davis import Clip, ClipFrame, choose_frames
from magkit.invert.masks import frame_labels, frame_masks, frame_size
from magkit.invert.settings import OWNER, InvertSettings
from magkit.options import from_mapping
from magkit.protocols import Annotation

MULTIPLE = 32  # of pixels, for widths that follow from a height
SMALLEST = 2  # pixels: no network is asked for what is thinner


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan:
    """What is to be made of one clip.

    Attributes:
        name: of the folder that it goes to.
        clip: the clip's name.
        masks_folder: where its masks lie; None: in DAVIS.
        frames: that are made, in order.
        objects: the labels of its objects in the masks.
        classes: of each object.
        source: height and width of the masks.
        size: of what is made.
        settings: for its frames.
        own: settings of single frames, by their numbers.
    """

    name: str
    clip: str
    masks_folder: str | None = None
    frames: tuple[ClipFrame, ...]
    objects: tuple[int, ...]
    classes: tuple[str, ...]
    source: tuple[int, int]
    size: tuple[int, int]
    settings: InvertSettings
    own: Mapping[int, Mapping[str, Any]]

    def segments(self) -> list[range]:
        """Return the places of the frames of each segment, its keyframe first."""
        count, step = len(self.frames), self.settings.keyframe
        if self.settings.start == "noise":
            step = self.settings.batch
        return [range(first, min(first + step, count)) for first in range(0, count, step)]

    def spread(self, most: int) -> list[int]:
        """Return the places of at most so many frames, evenly spread."""
        last = len(self.frames) - 1
        return sorted({round(n * last / max(1, most - 1)) for n in range(most)})

    def settings_of(self, place: int) -> InvertSettings:
        """Return the settings of the frame at a place."""
        table = self.own.get(self.frames[place].number)
        if not table:
            return self.settings
        return from_mapping(InvertSettings, {**asdict(self.settings), **table}, OWNER)

    def masks(self, place: int) -> Tensor:
        """Return the masks (K, H, W) of all objects at a place, bool.

        One is empty where its object is not seen, or not as much as 2 pixels wide and high.

        Raises:
            MagkitError: the mask can't be read, or has another size than the first.
        """
        each = torch.from_numpy(frame_masks(self.frames[place], self.objects))
        self._check_size(place, (each.shape[1], each.shape[2]))
        whole = each[None].float()
        masks = F.interpolate(whole, self.size, mode="area")[0] >= 0.5
        sides_2K = torch.stack([masks.any(along).sum(1) for along in (1, 2)])
        return masks & (sides_2K.amin(0) >= SMALLEST)[:, None, None]

    def check_size(self, place: int) -> None:
        """Check that the masks at a place are as large as the first ones.

        Raises:
            MagkitError: they aren't, or can't be read.
        """
        self._check_size(place, frame_size(self.frames[place]))

    def _check_size(self, place: int, size: tuple[int, int]) -> None:
        if size != self.source:
            there, first = (f"{s[1]}x{s[0]}" for s in (size, self.source))
            path = self.frames[place].mask
            raise MagkitError(f"{path} is {there}, but the masks before it are {first}")

    def annotations(self, place: int) -> list[Annotation]:
        """Return what is asked for at a place: the objects that are seen, the background too."""
        masks = self.masks(place)
        found = [
            Annotation(label, mask.float())
            for label, mask in zip(self.classes, masks, strict=True)
            if mask.any()
        ]
        if found and self.settings.background:
            found.append(Annotation(ANY, (~masks.any(0)).float()))
        return found

    def described(self) -> dict[str, Any]:
        """Return what determines the frames, of JSON's types."""
        return {
            "clip": self.clip,
            "masks": self.masks_folder,
            "source": list(self.source),
            "frames": [frame.stem for frame in self.frames],
            "objects": dict(zip(map(str, self.objects), self.classes, strict=True)),
            "size": list(self.size),
            "settings": asdict(self.settings),
            "own": {str(number): dict(table) for number, table in self.own.items()},
        }


def plan_clip(
    clip: Clip,
    frames: str,
    classes: Sequence[str],
    settings: InvertSettings,
    own: Mapping[str, Mapping[str, Any]],
) -> ClipPlan:
    """Return the plan of a clip.

    Args:
        clip: its frames.
        frames: which of them, as `--frames` takes it.
        classes: of its objects, in the order of their labels, or one for all; empty: what the clip
            is known to show, or else whatever the target takes it for.
        settings: for its frames.
        own: tables of settings by choices of frames.

    Raises:
        UsageError: a choice of frames or a setting is wrong, or classes and objects don't go
            together.
        MagkitError: a mask can't be read, or no object is seen in the first frame.
    """
    chosen = tuple(clip.frames[n] for n in choose_frames(frames, len(clip.frames), clip.name))
    objects = sorted({label for frame in chosen for label in frame_labels(frame)})
    if not objects:
        raise MagkitError(f"no mask of '{clip.name}' shows an object: {chosen[0].mask} is empty")
    if not frame_labels(chosen[0]):
        raise MagkitError(
            f"{chosen[0].mask}, the first frame's mask, is empty",
            "begin with a frame that shows an object: --frames",
        )
    tables: dict[int, dict[str, Any]] = {}
    for text, table in own.items():
        from_mapping(InvertSettings, {**asdict(settings), **table}, OWNER)
        for number in choose_frames(text, len(clip.frames), clip.name):
            tables.setdefault(number, {}).update(table)
    source = frame_size(chosen[0])
    return ClipPlan(
        name=clip.name,
        clip=clip.name,
        frames=chosen,
        objects=tuple(objects),
        classes=_classes(clip.name, classes, len(objects)),
        source=source,
        size=result_size(source, settings.size),
        settings=settings,
        own=tables,
    )


def _classes(clip: str, given: Sequence[str], count: int) -> tuple[str, ...]:
    names = list(given) or [class_of_video(clip) or ANY]
    if len(names) == 1:
        names *= count
    if len(names) != count:
        raise UsageError(
            f"'{clip}' shows {count} objects, and {len(names)} classes are given",
            "give --class once for all of them, or once for each",
        )
    return tuple(names)


def result_size(source: tuple[int, int], height: int) -> tuple[int, int]:
    """Return the height and width of what is made of masks of a size; height 0: theirs."""
    if not height:
        return source
    width = round(source[1] / source[0] * height / MULTIPLE) * MULTIPLE
    return height, max(MULTIPLE, width)


def renamed(plan: ClipPlan, name: str, settings: InvertSettings) -> ClipPlan:
    """Return the plan with other settings, for a folder of its own."""
    return replace(plan, name=name, settings=settings, size=result_size(plan.source, settings.size))
