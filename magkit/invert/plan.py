"""Plans of an inversion: the frames of a clip in segments, or images of classes in batches.

A segment is a keyframe and the frames up to the next one. Processes share segments and batches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.invert import ANY, class_of_video
from magkit.invert.davis import Clip, ClipFrame, choose_frames
from magkit.invert.frames_on_disk import OutputFolder
from magkit.invert.masks import read_frame_masks
from magkit.invert.settings import InvertSettings, current_names, settings_from
from magkit.invert.targets.load import LoadedTarget, check_target
from magkit.protocols import Annotation

WIDTH_MULTIPLE = 32  # pixels, of widths that follow from a height
MIN_SIDE = 2  # pixels: thinner objects are not asked for

# The masks of a frame at the output size by label, eight pixels a byte.
PackedMasks = Mapping[int, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan:
    """The frames of one clip that are optimised.

    Attributes:
        name: of the clip's folder in the run.
        clip: the clip's name.
        masks_folder: the folder of its masks; None: in DAVIS.
        frames: the frames, in order.
        objects: the labels of its objects in the masks.
        classes: of each object.
        source: height and width of the masks.
        size: height and width of the output.
        settings: of its frames.
        frame_settings: settings of single frames that override these, by frame number.
        packed_masks: decoded masks by frame number: a cache.
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
    frame_settings: Mapping[int, Mapping[str, Any]]
    packed_masks: dict[int, PackedMasks] = field(default_factory=dict, compare=False, repr=False)

    def folder(self, run: Path) -> OutputFolder:
        """Return the folder of the clip in a run."""
        return OutputFolder(run / self.name)

    def stems(self) -> list[str]:
        """Return the names of all frames."""
        return [frame.stem for frame in self.frames]

    def segments(self) -> list[range]:
        """Return the indices of the frames of each segment, its keyframe first."""
        total, step = len(self.frames), self.settings.keyframe
        if self.settings.start == "noise":
            step = self.settings.batch
        return [range(first, min(first + step, total)) for first in range(0, total, step)]

    def settings_of(self, index: int) -> InvertSettings:
        """Return the settings of a frame."""
        table = self.frame_settings.get(self.frames[index].number)
        return settings_from(table, self.settings) if table else self.settings

    def masks(self, index: int) -> Tensor:
        """Return the masks (K, H, W) of all objects in a frame, bool, at the output size.

        A mask is empty where its object is not seen, or is less than 2 pixels wide or high. Each
        file is decoded once.

        Raises:
            MagkitError: the mask can't be read, or has another size than the first.
        """
        frame = self.frames[index]
        if frame.number not in self.packed_masks:
            self.packed_masks[frame.number] = _pack_masks(frame, self.source, self.size)[1]
        packed, (height, width) = self.packed_masks[frame.number], self.size
        masks = np.zeros((len(self.objects), height, width), np.bool_)
        for mask, label in zip(masks, self.objects, strict=True):
            if label in packed:
                mask[:] = np.unpackbits(packed[label], count=mask.size).reshape(mask.shape)
        return torch.from_numpy(masks)

    def annotations(self, index: int) -> list[Annotation]:
        """Return the objects that are seen in a frame, and the background where it is asked for."""
        masks = self.masks(index)
        found = [
            Annotation(label, mask.float())
            for label, mask in zip(self.classes, masks, strict=True)
            if mask.any()
        ]
        if found and self.settings.background:
            found.append(Annotation(ANY, (~masks.any(0)).float()))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return what determines the frames, as JSON types."""
        return {
            "clip": self.clip,
            "masks": self.masks_folder,
            "source": list(self.source),
            "frames": self.stems(),
            "objects": dict(zip(map(str, self.objects), self.classes, strict=True)),
            "size": list(self.size),
            "settings": asdict(self.settings),
            "own": {str(number): dict(table) for number, table in self.frame_settings.items()},
        }

    def variant(self, name: str, settings: InvertSettings) -> ClipPlan:
        """Return the plan with other settings, for a folder of its own."""
        size = output_size(self.source, settings.size)
        packed = self.packed_masks if size == self.size else {}
        return replace(self, name=name, settings=settings, size=size, packed_masks=packed)


def _pack_masks(
    frame: ClipFrame, source: tuple[int, int] | None, size: tuple[int, int] | int
) -> tuple[tuple[int, int], PackedMasks]:
    """Decode a frame's masks and resize them to the output's size, or to its height.

    Returns:
        Height and width of the file, and the masks.
    """
    found, masks = read_frame_masks(frame)
    if source is not None and found != source:
        here, first = (f"{s[1]}x{s[0]}" for s in (found, source))
        raise MagkitError(f"{frame.mask} is {here}, but the masks before it are {first}")
    output = output_size(found, size) if isinstance(size, int) else size
    return found, {label: np.packbits(_resize_mask(m, output)) for label, m in masks.items()}


def _resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    whole = torch.from_numpy(mask)[None, None].float()
    resized = F.interpolate(whole, size, mode="area")[0, 0] >= 0.5
    sides = [int(resized.any(axis).sum()) for axis in (0, 1)]
    result: NDArray[np.bool_] = (resized & (min(sides) >= MIN_SIDE)).numpy()
    return result


def plan_clip(
    clip: Clip,
    frames: str,
    classes: Sequence[str],
    settings: InvertSettings,
    frame_settings: Mapping[str, Mapping[str, Any]],
) -> ClipPlan:
    """Return the plan of a clip, whose masks are decoded.

    Args:
        clip: its frames.
        frames: the chosen frames, as `--frames` takes them.
        classes: of its objects, in the order of their labels, or one for all; empty: what the clip
            is known to show, or else any.
        settings: of its frames.
        frame_settings: tables of settings by choices of frames.

    Raises:
        UsageError: a choice of frames or a setting is wrong, or the number of classes is not that
            of the objects.
        MagkitError: a mask can't be read, they differ in size, or no object is seen in the first.
    """
    chosen = tuple(clip.frames[n] for n in choose_frames(frames, len(clip.frames), clip.name))
    tables: dict[int, dict[str, Any]] = {}
    for text, table in frame_settings.items():
        settings_from(table, settings)
        for number in choose_frames(text, len(clip.frames), clip.name):
            tables.setdefault(number, {}).update(current_names(table))
    source, first = _pack_masks(chosen[0], None, settings.size)
    size, packed = output_size(source, settings.size), {chosen[0].number: first}
    for frame in chosen[1:]:
        packed[frame.number] = _pack_masks(frame, source, size)[1]
    objects = sorted({label for masks in packed.values() for label in masks})
    if not objects:
        raise MagkitError(f"no mask of '{clip.name}' shows an object: {chosen[0].mask} is empty")
    if not first:
        raise MagkitError(
            f"{chosen[0].mask}, the first frame's mask, is empty",
            "begin with a frame that shows an object: --frames",
        )
    return ClipPlan(
        name=clip.name,
        clip=clip.name,
        frames=chosen,
        objects=tuple(objects),
        classes=_object_classes(clip.name, classes, len(objects)),
        source=source,
        size=size,
        settings=settings,
        frame_settings=tables,
        packed_masks=packed,
    )


def _object_classes(clip: str, given: Sequence[str], total: int) -> tuple[str, ...]:
    names = list(given) or [class_of_video(clip) or ANY]
    if len(names) == 1:
        names *= total
    if len(names) != total:
        raise UsageError(
            f"'{clip}' shows {total} objects, and {len(names)} classes are given",
            "give --class once for all of them, or once for each",
        )
    return tuple(names)


def output_size(source: tuple[int, int], height: int) -> tuple[int, int]:
    """Return the output's height and width for masks of a size; height 0: the masks' own."""
    if not height:
        return source
    width = round(source[1] / source[0] * height / WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    return height, max(WIDTH_MULTIPLE, width)


def evenly_spaced(total: int, limit: int) -> list[int]:
    """Return at most `limit` evenly spaced indices of `total` items, both ends included."""
    return sorted({round(n * (total - 1) / max(1, limit - 1)) for n in range(limit)})


ALL = "all"
MAX_NAME = 60  # characters of a folder's name
# Reserved device names of Windows.
RESERVED = (
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
)


@dataclass(frozen=True, slots=True)
class ClassPicture:
    """An image of a class.

    Attributes:
        label: its class.
        number: of the image within its class, from 0.
        stem: its file name without the suffix, below a folder of its class.
    """

    label: str
    number: int
    stem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPlan:
    """The images of a classifier's classes that are optimised.

    All classes are mixed in a batch: BatchNorm statistics are of all classes, not of one.

    Attributes:
        labels: the classes.
        per_class: number of images of each.
        size: height and width of an image.
        settings: of the optimisation.
    """

    labels: tuple[str, ...]
    per_class: int
    size: tuple[int, int]
    settings: InvertSettings

    name = "classes"

    def folder(self, run: Path) -> OutputFolder:
        """Return the folder of the images in a run: RUN/classes/CLASS/00.png."""
        return OutputFolder(run, "classes")

    def stems(self) -> list[str]:
        """Return the names of all images, CLASS/00."""
        return [each.stem for each in self.pictures()]

    def pictures(self) -> list[ClassPicture]:
        """Return all images, class by class."""
        digits, folders = max(2, len(str(self.per_class - 1))), folder_names(self.labels)
        return [
            ClassPicture(label, number, f"{folder}/{number:0{digits}d}")
            for label, folder in zip(self.labels, folders, strict=True)
            for number in range(self.per_class)
        ]

    def batches(self) -> list[list[ClassPicture]]:
        """Return the images in as few batches of similar size as the settings allow."""
        pictures = self.pictures()
        most = -(-len(pictures) // self.settings.batch)
        return [pictures[number::most] for number in range(most)]

    def to_dict(self) -> dict[str, Any]:
        """Return what determines the images, as JSON types."""
        return {
            "labels": list(self.labels),
            "per_class": self.per_class,
            "size": list(self.size),
            "settings": asdict(self.settings),
        }


def folder_names(labels: Sequence[str]) -> list[str]:
    """Return a distinct, safe folder name for each class, whatever a weights file calls it."""
    found, taken = list[str](), set(RESERVED)
    for label in labels:
        plain = re.sub(r"[^A-Za-z0-9_ -]", "-", label)[:MAX_NAME].strip() or "class"
        tries = chain([plain], (f"{plain}-{number}" for number in count(2)))
        found.append(next(name for name in tries if name.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found


def plan_classes(
    names: str, per_class: int, targets: Sequence[LoadedTarget], settings: InvertSettings
) -> ClassPlan:
    """Return the plan of images of classes.

    Args:
        names: classes, separated by commas; or "all" classes that every target knows.
        per_class: number of images of each.
        targets: the networks that are inverted.
        settings: of the optimisation.

    Raises:
        UsageError: a class is unknown, a target needs masks, or takes no images of this size.
        MagkitError: a target has no BatchNorm statistics, and they have a weight.
    """
    labels = _common_classes(names, targets)
    for each in targets:
        _check_takes_classes(each, labels[0])
    plan = ClassPlan(
        labels=labels,
        per_class=per_class,
        size=_image_size(settings.size, targets),
        settings=settings,
    )
    for each in targets:
        check_target(each, plan.size, settings.bn)
    return plan


def _common_classes(asked: str, targets: Sequence[LoadedTarget]) -> tuple[str, ...]:
    names = [each.strip() for each in asked.split(",")]
    if names == [ALL]:
        known = [set(each.target.classes) for each in targets]
        names = [name for name in targets[0].target.classes if all(name in k for k in known)]
        if not names:
            raise UsageError("the targets have no class in common", "name one target")
    if "" in names:
        raise UsageError(f"'{asked}' is no list of classes", "such as bird,ship, or all")
    for each in targets:
        for name in names:
            if name not in each.target.classes:
                raise UsageError(
                    f"'{each.name}' knows no class '{name}'",
                    did_you_mean(name, each.target.classes),
                )
    return tuple(dict.fromkeys(names))


def _image_size(height: int, targets: Sequence[LoadedTarget]) -> tuple[int, int]:
    """Return the image size of a height; height 0: the size that a target was trained on."""
    sizes = [getattr(each.target, "size", None) for each in targets]
    own: tuple[int, int] | None = next((size for size in sizes if size is not None), None)
    if own is None and not height:
        raise UsageError(
            f"'{targets[0].name}' doesn't say how large its pictures are", "such as --size 224"
        )
    if own is None or not height:
        return own or (height, height)
    return height, max(1, round(own[1] / own[0] * height))


def _check_takes_classes(each: LoadedTarget, label: str) -> None:
    try:
        each.target.labels([[Annotation(label)]])
    except MagkitError as error:
        raise UsageError(
            f"'{each.name}' can't be asked for classes alone: {error.message}",
            "--target names a classifier; --video or --masks say where things are",
        ) from error
