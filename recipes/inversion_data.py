"""Training pictures of the networks for inversion: DAVIS, COCO and mixtures of both.

A picture is one frame of DAVIS (its object as a whole, as in DAVIS 2016), one picture of COCO
(objects of the classes, crowds left out), or an object of DAVIS pasted onto a picture of COCO, so
that a network learns the object rather than its usual surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pycocotools.coco import COCO
from torchvision.transforms.functional import gaussian_blur

from magkit.invert import CLASSES, class_of_video
from magkit.runtime.seeds import generator

KEPT = 512  # longer side of pictures in memory
PLAIN, PASTED = 0.5, 0.3  # of the pictures; the rest is COCO as it is
SMALLEST = 12  # pixels: a box with a shorter side is not asked for
NOISE = 0.15  # greatest standard deviation


@dataclass(frozen=True)
class Item:
    """A picture and its objects.

    Attributes:
        image_3HW: uint8.
        masks_KHW: uint8, 0 or 1.
        labels_K: numbers of classes, from 1.
    """

    image_3HW: torch.Tensor
    masks_KHW: torch.Tensor
    labels_K: torch.Tensor


Batch = tuple[torch.Tensor, list[dict[str, torch.Tensor]]]


def davis_items(root: Path, first: int, step: int) -> list[list[Item]]:
    """Read every `step`-th frame of each video, from frame `first` on."""
    videos = []
    for folder in sorted((root / "JPEGImages" / "480p").iterdir()):
        label = CLASSES.index(class_of_video(folder.name) or "") + 1
        frames = sorted(folder.glob("*.jpg"))[first::step]
        videos.append([davis_item(frame, label) for frame in frames])
    return videos


def davis_item(frame: Path, label: int) -> Item:
    """Read a frame of DAVIS 2016 with its mask."""
    masks = frame.parents[3] / "Annotations" / "480p" / frame.parent.name
    with Image.open(frame) as opened, Image.open(masks / f"{frame.stem}.png") as mask:
        image = shrunk(opened.convert("RGB"), Image.Resampling.BOX)
        object_HW = np.asarray(shrunk(mask.convert("L"), Image.Resampling.NEAREST)) > 127
    return item(np.asarray(image), object_HW[None].astype(np.uint8), [label])


def item(image: np.ndarray, masks: np.ndarray, labels: Sequence[int]) -> Item:
    """Make an item from arrays."""
    picture = torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous()
    return Item(picture, torch.from_numpy(masks), torch.tensor(labels, dtype=torch.int64))


def shrunk(image: Image.Image, how: Image.Resampling) -> Image.Image:
    """Return a picture whose longer side is `KEPT`."""
    scale = KEPT / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), how)


def coco_items(annotations: Path, images: Path, part: int) -> list[Item]:
    """Read every other picture of a COCO instances file, from number `part` on."""
    coco = COCO(str(annotations))
    names = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    items = []
    for number in sorted(coco.imgs)[part::2]:
        path = images / coco.imgs[number]["file_name"]
        if not path.is_file():
            continue
        found = coco.loadAnns(coco.getAnnIds(imgIds=number, iscrowd=False))
        found = [a for a in found if names[a["category_id"]] in CLASSES]
        with Image.open(path) as opened:
            image = np.asarray(shrunk(opened.convert("RGB"), Image.Resampling.BOX))
        masks = [
            np.asarray(shrunk(Image.fromarray(coco.annToMask(a)), Image.Resampling.NEAREST))
            for a in found
        ]
        stacked = np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), np.uint8)
        labels = [CLASSES.index(names[a["category_id"]]) + 1 for a in found]
        items.append(item(image, stacked, labels))
    return items


class Pictures:
    """Draws pictures to train on: each a function of (seed, step, place in the batch)."""

    def __init__(self, videos: list[list[Item]], coco: list[Item], seed: int) -> None:
        self.videos, self.coco, self.seed = videos, coco, seed

    def batch(self, step: int, count: int, size: tuple[int, int]) -> Batch:
        """Return pictures (count, 3, H, W) in [0, 1], and torchvision's targets for each."""
        drawn = [self._one(generator(self.seed, step, n), size) for n in range(count)]
        return torch.stack([image for image, _, _ in drawn]), [
            detection_target(masks, labels) for _, masks, labels in drawn
        ]

    def _one(
        self, draw: torch.Generator, size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        kind = torch.rand((), generator=draw).item()
        video = self.videos[_integer(draw, len(self.videos))]
        frame = video[_integer(draw, len(video))]
        base = frame if kind < PLAIN else self.coco[_integer(draw, len(self.coco))]
        image, masks = placed(base, draw, size)
        labels = base.labels_K
        if PLAIN <= kind < PLAIN + PASTED:
            above, own = placed(frame, draw, size)
            alpha = gaussian_blur(own.float(), [3, 3])
            image = torch.lerp(image, above, alpha)
            masks = torch.cat([masks * (1 - own), own])
            labels = torch.cat([labels, frame.labels_K])
        return disturbed(image, draw), masks, labels


def _integer(draw: torch.Generator, count: int) -> int:
    return int(torch.randint(count, (), generator=draw))


def _between(draw: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=draw).item()


def placed(
    what: Item, draw: torch.Generator, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale (0.6 to 1.5 of what fits), shift, turn by up to 8 degrees, mirror a picture."""
    height, width = what.image_3HW.shape[1:]
    fit = min(size[0] / height, size[1] / width)
    scale = fit * math.exp(_between(draw, math.log(0.7), math.log(1.6)))
    angle = math.radians(_between(draw, -8, 8))
    mirror = -1.0 if _between(draw, 0, 1) < 0.5 else 1.0
    shift = [_between(draw, -0.2, 0.2) for _ in range(2)]
    # From an output's place in [-1, 1] to the source's.
    across, down = size[1] / (scale * width), size[0] / (scale * height)
    theta = torch.tensor(
        [
            [mirror * across * math.cos(angle), -across * math.sin(angle), shift[0]],
            [mirror * down * math.sin(angle), down * math.cos(angle), shift[1]],
        ]
    )
    grid = F.affine_grid(theta[None], [1, 3, *size], align_corners=False)
    picture = F.interpolate(what.image_3HW[None].float() / 255, scale_factor=min(1.0, 1.5 * scale))
    image = F.grid_sample(picture, grid, padding_mode="reflection", align_corners=False)[0]
    masks = what.masks_KHW[None].float()
    if not len(masks[0]):
        return image, torch.zeros(0, *size)
    return image, F.grid_sample(masks, grid, "nearest", align_corners=False)[0]


def disturbed(image_3HW: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Jitter colours, blur some pictures, add noise to half of them.

    A network that sees through noise has gradients that look like pictures.
    """
    grey = image_3HW.mean(0, keepdim=True)
    image = torch.lerp(grey, image_3HW, _between(draw, 0.8, 1.2))
    image = (image - image.mean()) * _between(draw, 0.8, 1.2) + image.mean()
    image = image + _between(draw, -0.08, 0.08)
    if _between(draw, 0, 1) < 0.3:
        image = gaussian_blur(image, [5, 5], _between(draw, 0.4, 1.6))
    if _between(draw, 0, 1) < 0.5:
        noise = torch.randn(image.shape, generator=draw) * _between(draw, 0, NOISE)
        image = image + noise
    return image.clamp(0, 1)


def detection_target(masks_KHW: torch.Tensor, labels_K: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return boxes, labels and masks as torchvision's detectors take them, without tiny ones."""
    boxes, kept = [], []
    for number, mask in enumerate(masks_KHW):
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        if len(rows) < SMALLEST or len(columns) < SMALLEST:
            continue
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        kept.append(number)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": labels_K[kept],
        "masks": masks_KHW[kept].to(torch.uint8),
    }
