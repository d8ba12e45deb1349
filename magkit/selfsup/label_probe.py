"""Label probe: how well an encoder's features tell the classes of labelled pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.errors import MagkitError
from magkit.selfsup.frame_source import centre_square
from magkit.selfsup.motion_probe import Encode
from magkit.synth.listing import find_files
from magkit.synth.pictures import SUFFIXES, read_rgb

MOST_PICTURES = 400  # so that probing takes little of a training's time
MOST_CLASSES = 100
FOLDS = 4
NEIGHBOURS = 20  # at most
BATCH = 32  # pictures that are encoded at once
TIE = 1e-6  # weight of a cosine beside the vote of a neighbour

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Labelled pictures, and a split that depends on their names alone.

    Attributes:
        frames_NCHW: uint8 (N, 3, S, S).
        labels_N: numbers of their classes.
        folds_N: which of `FOLDS` parts each belongs to; every class is spread over all.
        classes: their names.
    """

    frames_NCHW: Tensor
    labels_N: Tensor
    folds_N: Tensor
    classes: tuple[str, ...]

    @property
    def chance(self) -> float:
        """Accuracy of always answering with the most frequent class."""
        return float(self.labels_N.bincount().max()) / len(self.labels_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScores:
    """Accuracies of one branch, in [0, 1].

    Attributes:
        knn: of a vote of the nearest neighbours by cosine.
        linear: of a ridge regression.
    """

    knn: float
    linear: float

    def as_dict(self) -> dict[str, float]:
        """Return the scores by name."""
        return asdict(self)


def read_labelled(folder: Path, size: int) -> LabelledPictures:
    """Read a folder with one sub-folder of pictures for each class.

    At most `MOST_PICTURES` are read, as many of each class, chosen and split by a hash of their
    names. Each is cut to its central square. Files that can't be read are left out with a warning.

    Args:
        folder: of the classes' folders.
        size: S, pixels.

    Raises:
        MagkitError: there are fewer than two classes or too many, or a class has too few pictures.
    """
    if not folder.is_dir():
        raise MagkitError(f"there is no folder {folder}", "it holds one sub-folder a class")
    found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not 2 <= len(found) <= MOST_CLASSES:
        raise MagkitError(
            f"{folder} holds {len(found)} sub-folders: a probe wants 2 to {MOST_CLASSES}",
            "one sub-folder a class, with pictures in it",
        )
    frames: list[Tensor] = []
    labels: list[int] = []
    folds: list[int] = []
    for label, each in enumerate(found):
        squares = list(_pictures(each, size, max(MOST_PICTURES // len(found), FOLDS)))
        if len(squares) < FOLDS:
            raise MagkitError(
                f"{each} holds {len(squares)} pictures that can be read: a class wants {FOLDS}"
            )
        frames += squares
        labels += [label] * len(squares)
        folds += [number % FOLDS for number in range(len(squares))]
    return LabelledPictures(
        torch.stack(frames),
        torch.tensor(labels),
        torch.tensor(folds),
        tuple(each.name for each in found),
    )


def _pictures(folder: Path, size: int, most: int) -> Iterator[Tensor]:
    """Yield up to `most` pictures of a folder, in the order of a hash of their names."""
    listing = find_files(str(folder), SUFFIXES)
    numbers = sorted(range(len(listing)), key=lambda n: _digest(listing.names[n]))
    for number in numbers:
        if most == 0:
            return
        try:
            yield centre_square(read_rgb(listing.place(number)), size)
            most -= 1
        except MagkitError as error:
            logger.warning("left out of the probe: %s", error.message)


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogateescape")).digest()


def probe_labels(
    encode: Encode, pictures: LabelledPictures, device: torch.device | str
) -> dict[str, LabelScores]:
    """Measure each branch of an encoder; draws no random numbers.

    Features are means over the map. Each quarter of the pictures is classified by the other three.

    Args:
        encode: frames to maps (N, C, h, w), by branch; in the mode in which it is to be measured.
        pictures: as large as the encoder takes them.
        device: of the encoder.
    """
    labels, folds = pictures.labels_N, pictures.folds_N
    return {
        branch: LabelScores(
            knn=_accuracy(neighbour_votes(x, labels, folds), labels),
            linear=_accuracy(ridge_answers(x, labels, folds), labels),
        )
        for branch, x in _pooled(encode, pictures.frames_NCHW, device).items()
    }


def _pooled(encode: Encode, frames: Tensor, device: torch.device | str) -> dict[str, Tensor]:
    """Return the mean features of uint8 frames by branch, float64 (N, D) on the CPU."""
    rows: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        for part in torch.split(frames, BATCH):
            for branch, maps in encode(part.to(device).float() / 255).items():
                rows.setdefault(branch, []).append(maps.float().mean((2, 3)).cpu().double())
    return {branch: torch.cat(parts) for branch, parts in rows.items()}


def _accuracy(scores_NK: Tensor, labels_N: Tensor) -> float:
    return float((scores_NK.argmax(1) == labels_N).double().mean())


def neighbour_votes(x_ND: Tensor, labels_N: Tensor, folds_N: Tensor) -> Tensor:
    """Return the votes of the nearest neighbours in other folds, (N, classes).

    Neighbours are those with the largest cosine: 20, or as many as the smallest class has among
    them. Equal votes are decided by the sum of cosines.
    """
    z = F.normalize(x_ND, dim=1)
    ones = F.one_hot(labels_N).to(x_ND)
    votes = torch.zeros_like(ones)
    for test, fit in _splits(folds_N):
        count = min(NEIGHBOURS, int(labels_N[fit].bincount().min()))
        cosines, near = (z[test] @ z[fit].mT).topk(count)
        votes[test] = (ones[fit][near] * (1 + TIE * cosines[..., None])).sum(1)
    return votes


def ridge_answers(x_ND: Tensor, labels_N: Tensor, folds_N: Tensor) -> Tensor:
    """Return what a ridge regression of the classes' indicators predicts, (N, classes).

    It is fitted to standardised features of the other folds. The penalty is the mean squared
    length of these, so that it means the same for few features and for many.
    """
    ones = F.one_hot(labels_N).to(x_ND)
    answers = torch.zeros_like(ones)
    for test, fit in _splits(folds_N):
        deviation = x_ND[fit].std(0, correction=0)
        scale = torch.where(deviation > 0, 1 / deviation, 0.0)
        centre, mean = x_ND[fit].mean(0), ones[fit].mean(0)
        x, others = ((x_ND[part] - centre) * scale for part in (fit, test))
        gram = x @ x.mT
        penalty = gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(x)).to(x)
        # The dual form: there are fewer pictures than a large network has features.
        answers[test] = others @ x.mT @ torch.linalg.solve(gram + penalty, ones[fit] - mean) + mean
    return answers


def _splits(folds_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for fold in range(FOLDS):
        yield folds_N == fold, folds_N != fold
