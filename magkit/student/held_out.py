"""Test frames of students: real ones that no inversion was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from magkit.errors import MagkitError
from magkit.invert import ANY, class_of_video
from magkit.invert.davis import Clip, ClipFrame, list_videos, open_video_masks
from magkit.invert.judge import real_frame
from magkit.invert.masks import read_frame_masks
from magkit.invert.plan import ClipPlan, evenly_spaced, plan_clip
from magkit.student.pictures import masks_of

MOST = 10  # frames of a video


@dataclass(frozen=True, slots=True)
class HeldOutFrame:
    """A real frame that no inversion was asked for.

    Attributes:
        video: its name.
        stem: of the frame's file.
        same: whether frames of this video were inverted.
        label: a class that it shows.
        image_3HW: RGB in [0, 1].
        mask_HW: of all objects of this class, bool.
    """

    video: str
    stem: str
    same: bool
    label: str
    image_3HW: Tensor
    mask_HW: Tensor


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


def held_out_frames(
    plans: Sequence[ClipPlan], root: Path, classes: Sequence[str]
) -> list[HeldOutFrame]:
    """Return the videos' other real frames, and those of other videos of the classes.

    At most `MOST` of each video, evenly spaced; of the other videos, those that show one class,
    which follows from their name.

    Args:
        plans: of all runs, whose frames are left out.
        root: folder of DAVIS.
        classes: which count.

    Raises:
        MagkitError: there are none.
    """
    used = {(plan.clip, frame.stem) for plan in plans for frame in plan.frames}
    own = {plan.clip: plan for plan in plans}
    found: list[HeldOutFrame] = []
    for video in list_videos(root):
        if video not in own and class_of_video(video) not in classes:
            continue
        clip = open_video_masks(root, video)
        left = [f for f in clip.frames if f.image and (video, f.stem) not in used]
        chosen = [left[n] for n in evenly_spaced(len(left), MOST)] if left else []
        plan = _planned(Clip(video, tuple(chosen)), own.get(video), plans[0])
        if plan is not None:
            found += _shown(plan, same=video in own)
    if not found:
        raise MagkitError(
            f"{root} has no real frames of {', '.join(classes)} but those that were inverted",
            "--davis names a folder that has more, of the same videos or of others",
        )
    return found


def _planned(clip: Clip, own: ClipPlan | None, like: ClipPlan) -> ClipPlan | None:
    """Return a plan of a clip's frames, with the classes of its own objects; None without any."""
    if own is not None:
        # Its objects are those of the run, whether these frames show them or not.
        return replace(own, frames=clip.frames, packed_masks={}) if clip.frames else None
    first = next((n for n, frame in enumerate(clip.frames) if _shows(frame)), None)
    if first is None:
        return None
    return plan_clip(Clip(clip.name, clip.frames[first:]), "all", (), like.settings, {})


def _shows(frame: ClipFrame) -> bool:
    return any(mask.any() for mask in read_frame_masks(frame)[1].values())


def _shown(plan: ClipPlan, *, same: bool) -> Iterator[HeldOutFrame]:
    for index, frame in enumerate(plan.frames):
        image, masks = real_frame(plan, index), masks_of(plan, index)
        for label in dict.fromkeys(plan.classes):
            union = torch.stack([mask for each, mask in masks if each == label]).any(0)
            if image is not None and union.any():
                yield HeldOutFrame(plan.clip, frame.stem, same, label, image, union)
