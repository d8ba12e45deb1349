"""What students are trained on and tested on: pictures, and the class of each pixel.

An arm is a way to get the training pictures for the same masks: frames that were inverted, the
real frames, controls that need no inversion, or unrelated photographs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.errors import MagkitError
from magkit.invert import ANY, class_of_video
from magkit.invert.davis import Clip, list_videos, open_video_masks
from magkit.invert.frames_on_disk import read_image
from magkit.invert.judge import control_pictures, real_frame
from magkit.invert.measures import MASK_THRESHOLD, MIN_SCORE
from magkit.invert.plan import ClipPlan, evenly_spaced, plan_clip
from magkit.invert.targets.load import LoadedTarget
from magkit.protocols import Annotation
from magkit.synth.pictures import FilePictures
from magkit.synth.sources import cover

UNRELATED = "unrelated photographs"
TESTED = 10  # frames of a video, at most
TRIED = 20  # unrelated photographs looked at for each one that is used


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and the class of each of its pixels.

    Attributes:
        name: of its video and frame, or of its file.
        image_3HW: RGB in [0, 1].
        shares_CHW: probabilities of the classes, the background first; their sum is 1.
    """

    name: str
    image_3HW: Tensor
    shares_CHW: Tensor


def classes_of(plans: Iterable[ClipPlan]) -> tuple[str, ...]:
    """Return the classes that plans show, in alphabetical order.

    Raises:
        MagkitError: an object may be of any class.
    """
    found = sorted({label for plan in plans for label in plan.classes})
    if ANY in found:
        raise MagkitError(
            "an object of a run may be of any class, and a student learns classes",
            "invert it with --class NAME",
        )
    return tuple(found)


def hard_shares(masks: Sequence[tuple[str, Tensor]], classes: Sequence[str]) -> Tensor:
    """Return 0 or 1 for each class, the background first, from masks (H, W) bool by class."""
    numbers = torch.zeros(masks[0][1].shape, dtype=torch.int64)
    for label, mask in masks:
        numbers[mask] = classes.index(label) + 1
    return F.one_hot(numbers, len(classes) + 1).movedim(2, 0).float()


def soft_shares(
    found: Sequence[Annotation], classes: Sequence[str], size: tuple[int, int]
) -> Tensor:
    """Return probabilities of the classes from what a network sees in a picture.

    That of a class is the greatest of its objects' masks times their scores; where they add up to
    more than 1 they are divided by their sum. Other classes, and what has no mask, are left out.
    """
    shares = torch.zeros(len(classes) + 1, *size)
    for each in found:
        if each.mask_HW is not None and each.label in classes:
            own = shares[classes.index(each.label) + 1]
            torch.maximum(own, each.mask_HW.cpu().float() * each.score, out=own)
    shares[1:] /= shares[1:].sum(0).clamp(min=1)
    shares[0] = 1 - shares[1:].sum(0)
    return shares


@dataclass(frozen=True, slots=True)
class Labeller:
    """Labels pictures by the network that was inverted.

    Attributes:
        network: that network.
        classes: what counts of what it sees.
        soft: whether its probabilities are the labels, or only what it is sure of.
        device: where it is.
    """

    network: LoadedTarget
    classes: tuple[str, ...]
    soft: bool
    device: torch.device

    def __call__(self, image_3HW: Tensor) -> Tensor:
        """Return the probabilities of the classes of a picture's pixels."""
        found = self.network.target.predict(image_3HW[None].to(self.device))[0]
        size = (image_3HW.shape[1], image_3HW.shape[2])
        if self.soft:
            return soft_shares(found, self.classes, size)
        sure = sorted((each for each in found if each.score >= MIN_SCORE), key=lambda e: e.score)
        masks = [
            (each.label, each.mask_HW.cpu() >= MASK_THRESHOLD)
            for each in sure
            if each.mask_HW is not None and each.label in self.classes
        ]
        return hard_shares(
            [*masks, (self.classes[0], torch.zeros(size, dtype=torch.bool))], self.classes
        )


def masks_of(plan: ClipPlan, index: int) -> list[tuple[str, Tensor]]:
    """Return the masks (H, W) of a frame's objects with their classes."""
    return list(zip(plan.classes, plan.masks(index), strict=True))


def inverted(plans: Sequence[ClipPlan], run: Path, classes: Sequence[str]) -> list[Labelled]:
    """Return the frames that were inverted, with the masks that were asked for."""
    return [
        Labelled(
            f"{plan.name}/{frame.stem}",
            read_image(plan.folder(run).frame(frame.stem)),
            hard_shares(masks_of(plan, index), classes),
        )
        for plan in plans
        for index, frame in enumerate(plan.frames)
    ]


def control(name: str, plans: Sequence[ClipPlan], classes: Sequence[str]) -> list[Labelled]:
    """Return pictures that need no inversion, one for each frame, with the frame's masks.

    Raises:
        MagkitError: it is made of real frames, and one is missing.
    """
    found = []
    for plan in plans:
        for index, frame in enumerate(plan.frames):
            pictures = control_pictures(plan, index)
            if name not in pictures:
                raise MagkitError(
                    f"'{plan.name}' has no real frame {frame.stem}, and a student is compared with"
                    " one that is trained on real frames",
                    "--davis names a folder that has them",
                )
            shares = hard_shares(masks_of(plan, index), classes)
            found.append(Labelled(f"{plan.name}/{frame.stem}", pictures[name], shares))
    return found


def unrelated(
    folder: Path, count: int, size: tuple[int, int], labeller: Labeller
) -> list[Labelled]:
    """Return photographs, shrunk and cropped to a size, labelled by the network.

    Those come first in which it sees one of the classes, as many as there are among the first
    `TRIED` times `count`; photographs without any fill up what is missing.

    Raises:
        MagkitError: the folder holds fewer photographs.
    """
    source = FilePictures(folder)
    if len(source) < count:
        raise MagkitError(
            f"{folder} holds {len(source)} usable photographs, and {count} frames were inverted",
            "name a folder of more",
        )
    with_object: list[Labelled] = []
    without: list[Labelled] = []
    for index in range(min(len(source), TRIED * count)):
        image = cover(source.picture(index).float() / 255, *size)
        made = Labelled(source.name(index), image, labeller(image))
        (with_object if made.shares_CHW[0].min() < MASK_THRESHOLD else without).append(made)
        if len(with_object) == count:
            break
    return [*with_object, *without][:count]


@dataclass(frozen=True, slots=True)
class HeldOutFrame:
    """A real frame that no inversion was asked for.

    Attributes:
        name: of its video and frame.
        same: whether frames of this video were inverted.
        label: the class of its object.
        image_3HW: RGB in [0, 1].
        mask_HW: of its object, bool.
    """

    name: str
    same: bool
    label: str
    image_3HW: Tensor
    mask_HW: Tensor


def held_out_frames(
    plans: Sequence[ClipPlan], root: Path, classes: Sequence[str]
) -> list[HeldOutFrame]:
    """Return real frames to test on: the videos' other frames, and other videos of the classes.

    At most `TESTED` of each video, evenly spaced.

    Raises:
        MagkitError: there are none.
    """
    asked = {plan.clip: {frame.stem for frame in plan.frames} for plan in plans}
    labels = {plan.clip: plan.classes for plan in plans}
    found: list[HeldOutFrame] = []
    for video in list_videos(root):
        own = labels.get(video) or (class_of_video(video),)
        if None in own or not {*own} <= {*classes}:
            continue
        clip = open_video_masks(root, video)
        kept = tuple(f for f in clip.frames if f.stem not in asked.get(video, ()) and f.image)
        if kept:
            found += _tested(Clip(video, kept), [str(o) for o in own], plans[0], video in asked)
    if not found:
        raise MagkitError(
            f"{root} has no real frames of {', '.join(classes)} but those that were inverted",
            "--davis names a folder that has more, of the same videos or of others",
        )
    return found


def _tested(
    clip: Clip, labels: Sequence[str], like: ClipPlan, same: bool
) -> Iterator[HeldOutFrame]:
    chosen = [clip.frames[n] for n in evenly_spaced(len(clip.frames), TESTED)]
    plan = plan_clip(Clip(clip.name, tuple(chosen)), "all", labels, like.settings, {})
    for index, frame in enumerate(plan.frames):
        real = real_frame(plan, index)
        for label in dict.fromkeys(plan.classes):
            masks = [m for each, m in masks_of(plan, index) if each == label]
            union = torch.stack(masks).any(0)
            if real is not None and union.any():
                yield HeldOutFrame(f"{clip.name}/{frame.stem}", same, label, real, union)
