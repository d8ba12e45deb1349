"""Training pictures of students, and the class of each pixel.

An arm is a way to get the training pictures for the same masks: frames that were inverted, the
real frames, controls that need no inversion, or unrelated photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.errors import MagkitError
from magkit.invert.frames_on_disk import read_image
from magkit.invert.judge import control_pictures
from magkit.invert.measures import MASK_THRESHOLD, MIN_SCORE, region_similarity
from magkit.invert.optimize import resize
from magkit.invert.plan import ClipPlan, evenly_spaced
from magkit.invert.targets.load import LoadedTarget
from magkit.progress import Progress, silent
from magkit.protocols import Annotation
from magkit.synth.pictures import FilePictures
from magkit.synth.sources import cover

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

    def resized(self, size: tuple[int, int]) -> Labelled:
        """Return it at a size (height, width)."""
        return Labelled(
            self.name,
            resized(self.image_3HW, size).clamp(0, 1),
            F.interpolate(self.shares_CHW[None], size, mode="area")[0],
        )


def resized(maps_CHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a picture or maps at a size (height, width), without aliasing."""
    return resize(maps_CHW[None], size)[0]


def hard_shares(
    masks: Sequence[tuple[str, Tensor]], classes: Sequence[str], size: tuple[int, int]
) -> Tensor:
    """Return 0 or 1 for each class, the background first, from bool masks of a size by class."""
    numbers = torch.zeros(size, dtype=torch.int64)
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


def confident_masks(
    found: Sequence[Annotation], classes: Sequence[str]
) -> list[tuple[str, Tensor]]:
    """Return the bool masks of what a network is sure of, by class, the surest last."""
    sure = sorted((each for each in found if each.score >= MIN_SCORE), key=lambda e: e.score)
    return [
        (each.label, each.mask_HW.cpu() >= MASK_THRESHOLD)
        for each in sure
        if each.mask_HW is not None and each.label in classes
    ]


def class_similarity(found: Sequence[Annotation], label: str, mask_HW: Tensor) -> float:
    """Return J of the union of what a network is sure of, of one class, and a bool mask."""
    own = confident_masks(found, (label,))
    union = torch.stack([torch.zeros_like(mask_HW), *(mask for _, mask in own)]).any(0)
    return region_similarity(union, mask_HW)


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
        return hard_shares(confident_masks(found, self.classes), self.classes, size)


def masks_of(plan: ClipPlan, index: int) -> list[tuple[str, Tensor]]:
    """Return the masks (H, W) of a frame's objects with their classes."""
    return list(zip(plan.classes, plan.masks(index), strict=True))


def frames_of(plans: Sequence[ClipPlan]) -> Iterator[tuple[ClipPlan, int, str]]:
    """Yield each frame of plans, its number in its plan, and its name."""
    for plan in plans:
        for index, frame in enumerate(plan.frames):
            yield plan, index, f"{plan.name}/{frame.stem}"


def inverted(
    plans: Sequence[ClipPlan],
    run: Path,
    classes: Sequence[str],
    size: tuple[int, int],
    labeller: Labeller | None = None,
) -> list[Labelled]:
    """Return the frames that were inverted.

    Args:
        plans: of the run.
        run: its folder.
        classes: of the labels.
        size: of the result, (height, width).
        labeller: labels them; None: the masks that were asked for do.
    """
    found = []
    for plan, index, name in frames_of(plans):
        image = read_image(plan.folder(run).frame(plan.frames[index].stem))
        masks = masks_of(plan, index)
        shares = labeller(image) if labeller else hard_shares(masks, classes, plan.size)
        found.append(Labelled(name, image, shares).resized(size))
    return found


def controls(
    plans: Sequence[ClipPlan], names: Sequence[str], classes: Sequence[str], size: tuple[int, int]
) -> dict[str, list[Labelled]]:
    """Return pictures that need no inversion, of each kind one for each frame, with its masks.

    Raises:
        MagkitError: a kind is made of real frames, and one is missing.
    """
    found: dict[str, list[Labelled]] = {name: [] for name in names}
    for plan, index, frame in frames_of(plans):
        pictures = control_pictures(plan, index)
        shares = hard_shares(masks_of(plan, index), classes, plan.size)
        for name in names:
            if name not in pictures:
                raise MagkitError(
                    f"{frame} has no real frame, and students are compared with those of real ones",
                    "--davis names a folder that has them",
                )
            found[name].append(Labelled(frame, pictures[name], shares).resized(size))
    return found


def unrelated(
    folder: Path,
    count: int,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    label: Callable[[Tensor], Tensor],
    progress: Progress = silent,
) -> list[Labelled]:
    """Return photographs, shrunk and cropped, labelled by the network.

    At most `TRIED` times `count` are looked at, evenly spaced over the folder. Those in which it
    sees one of the classes come first; others fill up what is missing.

    Args:
        folder: of the photographs.
        count: how many are wanted.
        sizes: in which they are labelled, and of the result.
        label: gives the probabilities of the classes of a picture's pixels.
        progress: called with the number of photographs looked at.

    Raises:
        MagkitError: the folder holds fewer photographs.
    """
    source = FilePictures(folder)
    if len(source) < count:
        raise MagkitError(
            f"{folder} holds {len(source)} usable photographs, and {count} frames were inverted",
            "name a folder of more",
        )
    objects: list[Labelled] = []
    others: list[Labelled] = []
    tried = evenly_spaced(len(source), min(len(source), TRIED * count))
    for done, index in enumerate(tried, 1):
        image = cover(source.picture(index).float() / 255, *sizes[0])
        shares = label(image)
        kept = objects if shares[0].min() < 1 - MASK_THRESHOLD else others
        if len(kept) < count:
            kept.append(Labelled(source.name(index), image, shares).resized(sizes[1]))
        progress(done, len(tried))
        if len(objects) == count:
            break
    return [*objects, *others][:count]
