"""Protocols of magnifiers, methods and targets; each is usually a `torch.nn.Module`.

Shapes: N pictures, C or K channels, H x W pixels, h x w cells of a feature map. Pictures are RGB
floats in [0, 1]. Coordinates are pixels of the source picture, x to the right and y downwards,
with (0, 0) at the outer corner of the first pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn


class Magnifier(Protocol):
    """Encodes two frames, takes the motion between them, and renders it magnified.

    Methods may run in several threads at once, each for another frame.
    """

    @property
    def stride(self) -> int:
        """The heights and widths of frames must be multiples of this."""

    def encode(self, frames_NCHW: Tensor, /) -> Any:
        """The features of frames: opaque to the caller, who only hands them back."""

    def motion(self, reference: Any, current: Any, /) -> Tensor:
        """The motion from `reference` to `current`, (N, K, h, w): it may be filtered over time."""

    def render(self, current: Any, motion: Tensor, factor: Tensor, /) -> Tensor:
        """Frames (N, C, H, W) that show `motion` (N, K, h, w) `factor` (N,) times, not clipped.

        `current` already shows the motion once: a factor of 1 gives back its frames.
        """


@runtime_checkable
class DisplacementMagnifier(Magnifier, Protocol):
    """A magnifier whose motion is a displacement in pixels of the frame, (N, 2, h, w).

    Its displacements can be limited in length, summed along paths, and used to align frames.
    `motion` leaves out those that can't be told from noise.
    """

    @property
    def cell(self) -> int:
        """The side of a cell of the motion in pixels of the frame."""

    def displacement(self, reference: Any, current: Any, /) -> Tensor:
        """`motion` with all displacements: filters over time remove noise themselves."""

    def average(self, first: Any, others: Iterable[Any], /) -> Any:
        """The features of the mean of frames, aligned to the first."""


@dataclass(frozen=True, slots=True)
class View:
    """Random crops, one of each source picture, and where they came from.

    Attributes:
        images_NCHW: The crops after resizing, mirroring and colour changes, in [0, 1].
        boxes_N4: The crops' left, top, right and bottom edges in pixels of their sources.
        flipped_N: Whether each crop was mirrored left to right (after cropping).
    """

    images_NCHW: Tensor
    boxes_N4: Tensor
    flipped_N: Tensor


class Method(Protocol):
    """A self-supervised algorithm: the projectors, queues and losses beside an encoder.

    It is a `torch.nn.Module`: its state is saved and restored with the training's. Layers that
    normalise over a batch may be torch's own: the trainer makes them see the batch of all
    processes. Losses are means over the pictures of this process; whatever is a mean over another
    number than theirs, or outlives a step, goes through the collectives of `magkit.toolkit`.

    The trainer owns the encoder and, where `keyed`, a second one without gradients that starts
    as its copy. One step: `before_keys`, both encoders run on every view, `loss`, backward, the
    optimiser's step over the encoder and `parameters()`, `after_step`. Gradients may be gathered
    over several calls of `loss` before one `after_step`.
    """

    @property
    def keyed(self) -> bool:
        """Whether a second encoder gives the keys."""

    @property
    def shuffled(self) -> bool:
        """Whether statistics of a batch must not tell which key belongs to which query.

        Keys of encoders that normalise over the batch are then made in groups of other pictures
        than the queries' (He et al., CVPR 2020, section 3.3).
        """

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained beside the encoder."""

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Called before the keys are encoded: moves `keys` (None unless `keyed`) after `encoder`.

        `progress` runs from 0 at the first step to 1 at the end of the training.
        """

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Named scalar terms, already weighted: their sum is what the optimiser lowers.

        `queries` and `keys` are the dense feature maps (N, C, h, w) of the views, in their order;
        `keys` is empty unless `keyed`.
        """

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        """Embeddings (N, D) of whole pictures as the loss compares them, to detect a collapse."""

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        """Called after the optimiser's step: moves `keys`, fills queues."""


B = TypeVar("B")


class MagnifierMethod(Protocol[B]):
    """A self-supervised algorithm that trains a whole magnifier on windows of clips.

    It is picklable: worker processes make its batches. If it is a `torch.nn.Module`, its parameters
    are trained with the magnifier's, and its state is saved and restored.

    The trainer owns the magnifier and, where `keyed`, a teacher: a copy of it without gradients.
    One step: `losses`, backward, the optimiser's step, `after_step`. Gradients may be gathered over
    several calls of `losses` before one `after_step`.
    """

    @property
    def keyed(self) -> bool:
        """Whether there is a teacher."""

    @property
    def frozen(self) -> Sequence[str]:
        """Patterns, as of `fnmatch`, of the names of the magnifier's parameters that stay."""

    @property
    def group(self) -> int:
        """How many windows are made together: each call of `batch` gets a multiple of it."""

    def batch(self, windows: Sequence[Tensor], first: int, size: int, seed: int, /) -> B:
        """Make a batch: a pure function of its arguments, on the CPU.

        Args:
            windows: consecutive frames of a clip each, uint8 (K, 3, H, W); K is 1 for a picture.
            first: number of the first window in the endless sequence of all of the training's,
                a multiple of `group`. Draws depend on it and on `seed` alone.
            size: side of the square frames that the magnifier is trained on, in pixels.
            seed: of all draws.

        Returns:
            What `losses` takes, with a method `to(device)`.
        """

    def losses(
        self, magnifier: nn.Module, teacher: nn.Module | None, batch: B, /
    ) -> dict[str, Tensor]:
        """Named scalar terms, already weighted: their sum is what the optimiser lowers.

        They are means over the windows of the batch.
        """

    def after_step(
        self, magnifier: nn.Module, teacher: nn.Module | None, progress: float, /
    ) -> None:
        """Called after the optimiser's step: moves the teacher.

        `progress` runs from 0 at the first step to 1 at the end of the training.
        """


@dataclass(frozen=True, slots=True)
class Annotation:
    """An object in a picture, requested or predicted.

    Attributes:
        label: The name of its class, as the target spells it; "any": whichever it takes it for.
        mask_HW: Where it is, a float in [0, 1] for each pixel; None: somewhere.
        score: The confidence of a prediction, in [0, 1].
    """

    label: str
    mask_HW: Tensor | None = None
    score: float = 1.0


class Labels(Protocol):
    """The labels of a batch of pictures, in the target's own form."""

    def moved(self, source_from_output_N23: Tensor, size: tuple[int, int], /) -> Labels:
        """The labels of pictures resampled by an affine map to a (height, width) in pixels.

        The map gives, for pixel coordinates (x, y, 1) of the new picture, those in the old one, for
        each picture its own. It lies on the pictures' device or on the CPU: move it to where the
        labels are.
        """


L = TypeVar("L", bound=Labels)


@dataclass(frozen=True, slots=True)
class Statistic:
    """The running statistics of a normalisation layer.

    Attributes:
        name: The layer's name in the model.
        module: The layer, whose inputs are to have these statistics.
        mean_C, variance_C: Its running mean and variance, for each channel.
        group: "picture", or "region" for a layer that sees parts of pictures, whose statistics
            say less and weigh less.
    """

    name: str
    module: nn.Module
    mean_C: Tensor
    variance_C: Tensor
    group: Literal["picture", "region"] = "picture"


class Target(Protocol[L]):
    """A trained, frozen model that is differentiated with respect to its input.

    A model that was trained on pictures of one size may say so by an attribute `size`, (height,
    width) in pixels: what is made of whole classes is that large unless told otherwise. A model
    that can be asked for a class without a mask accepts annotations whose `mask_HW` is None.
    """

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes that can be asked for."""

    @property
    def stride(self) -> int:
        """The heights and widths of pictures must be multiples of this."""

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> L:
        """What is asked for in each picture, in the target's own form.

        Raises:
            MagkitError: A class is unknown, or a mask is missing where one is needed.
        """

    def losses(self, images_NCHW: Tensor, labels: L, /) -> dict[str, Tensor]:
        """Named scalar terms that are small where the model sees the labels in the pictures.

        They are means over the pictures: how many there are must not weigh. Their gradient reaches
        the pictures; the model's parameters and buffers stay as they are.
        """

    def statistics(self) -> Sequence[Statistic]:
        """The running statistics of its normalisation layers; empty for a model without any."""

    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        """The predictions for each picture, the most confident first."""
