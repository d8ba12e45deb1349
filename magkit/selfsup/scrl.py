"""SCRL (Roh et al., CVPR 2021): BYOL on boxes that two views of a picture share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import roi_align

from magkit.protocols import View
from magkit.runtime.distributed import all_reduce, rank, world_size
from magkit.selfsup.byol import BYOL
from magkit.selfsup.modules import full_precision
from magkit.selfsup.scrl_spec import ScrlConfig
from magkit.specs import MapInfo

DRAWS = 4  # for each side of a box: number of cells, which one, length, place in it


def draw_boxes(extents_N2: Tensor, uniform_NP24: Tensor, least: float, whole: bool) -> Tensor:
    """Draw boxes in rectangles from (0, 0) to `extents`.

    Args:
        extents_N2: widths and heights, none below `least`.
        uniform_NP24: uniform in [0, 1), for P boxes in each.
        least: the least side of a box.
        whole: whether boxes start and end at whole numbers.

    Returns:
        Corners (N, P, 2, 2): left and top, then right and bottom.
    """
    cells, place, length, shift = uniform_NP24.unbind(-1)
    extents = extents_N2[:, None].round() if whole else extents_N2[:, None]
    most = (extents / least).floor()
    count = _below(cells, most) + 1
    cell = extents / count
    start = _below(place, count) * cell
    if whole:
        start, side = start.floor(), least + _below(length, cell.floor() - least + 1)
        start = start + _below(shift, (cell - side).floor() + 1)
    else:
        side = least + length * (cell - least)
        start = start + shift * (cell - side)
    return torch.stack([start, start + side], 2)


def _below(draws: Tensor, count: Tensor) -> Tensor:
    """Turn draws into whole numbers from 0 to count - 1: rounding may reach `count` itself."""
    return torch.minimum((draws * count).floor(), count - 1)


def select_distinct(boxes_NP22: Tensor, count: int, most: float) -> Tensor:
    """Take `count` of each list of boxes: each the first whose IoU with those taken is at most
    `most` or, where there is none, the first that is left.

    Returns:
        Boxes (N, count, 2, 2).
    """
    rows = torch.arange(len(boxes_NP22), device=boxes_NP22.device)
    left = boxes_NP22.new_ones(boxes_NP22.shape[:2], dtype=torch.bool)
    apart, taken = left.clone(), []
    for _ in range(count):
        chosen = (left.byte() + (left & apart).byte()).argmax(1)  # the first of the greatest
        taken.append(boxes_NP22[rows, chosen])
        left[rows, chosen] = False
        apart &= iou(boxes_NP22, taken[-1][:, None]) <= most
    return torch.stack(taken, 1)


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the area that boxes (..., 2, 2) share over the area that they cover."""
    low = torch.maximum(boxes[..., 0, :], others[..., 0, :])
    high = torch.minimum(boxes[..., 1, :], others[..., 1, :])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(b[..., 1, :] - b[..., 0, :]).prod(-1) for b in (boxes, others)]
    return shared / (areas[0] + areas[1] - shared)


@dataclass(frozen=True, slots=True)
class BoxSampling:
    """How boxes are drawn where two views overlap.

    Attributes:
        count: boxes in each overlap.
        least: the least side, in pixels of the view that shows the overlap smaller.
        max_iou: the greatest IoU of two boxes of a picture; see `select_distinct`.
        whole: whether sides are whole pixels of that view, as in the published code, where the
            overlap is rounded too: the two views may then differ by most of a pixel at its edge.
    """

    count: int
    least: float
    max_iou: float
    whole: bool


@dataclass(frozen=True, slots=True)
class MatchedBoxes:
    """Boxes around the same places in two views.

    Attributes:
        image_M: index of each box's picture in the batch.
        boxes_M4: for each view, left, top, right and bottom edges in its pixels.
    """

    image_M: Tensor
    boxes_M4: tuple[Tensor, Tensor]


def match_boxes(views: Sequence[View], uniform_NP24: Tensor, sampling: BoxSampling) -> MatchedBoxes:
    """Draw boxes that both views of a picture show: none where the overlap isn't above `least`.

    Args:
        views: two views of N pictures; crops of other sources than one another's must share
            their coordinates.
        uniform_NP24: uniform in [0, 1), for P candidates in each picture; see `draw_boxes`.
        sampling: size, number and distinctness of the boxes.
    """
    first, second = (view.boxes_N4.reshape(-1, 2, 2) for view in views)
    low = torch.maximum(first[:, 0], second[:, 0])
    high = torch.minimum(first[:, 1], second[:, 1])
    scale = torch.minimum(_scale(views[0]), _scale(views[1]))
    extent = (high - low) * scale
    image = (extent > sampling.least).all(1).nonzero()[:, 0]
    drawn = draw_boxes(
        extent[image], uniform_NP24.to(extent)[image], sampling.least, sampling.whole
    )
    kept = select_distinct(drawn, sampling.count, sampling.max_iou)
    source = low[image, None, None] + kept / scale[image, None, None]
    placed = [_placed(source, view, image) for view in views]
    return MatchedBoxes(image.repeat_interleave(sampling.count), (placed[0], placed[1]))


def _size(view: View) -> Tensor:
    height, width = view.images_NCHW.shape[-2:]
    return view.boxes_N4.new_tensor([width, height])


def _scale(view: View) -> Tensor:
    """Return pixels of the view to a pixel of the source, along x and y: (N, 2)."""
    corners = view.boxes_N4.reshape(-1, 2, 2)
    return _size(view) / (corners[:, 1] - corners[:, 0])


def _placed(source_NB22: Tensor, view: View, image_N: Tensor) -> Tensor:
    """Turn the source's coordinates into the view's: boxes (N B, 4)."""
    start, scale = view.boxes_N4[image_N, None, None, :2], _scale(view)[image_N, None, None]
    x, y = ((source_NB22 - start) * scale).unbind(-1)
    width, height = _size(view).unbind()
    x = torch.where(view.flipped_N[image_N, None, None], width - x.flip(-1), x)
    x, y = x.clamp(min=0).minimum(width), y.clamp(min=0).minimum(height)
    return torch.stack([x, y], -1).flatten(2).flatten(0, 1)


def box_features(
    maps_NChw: Tensor,
    view: View,
    boxes_M4: Tensor,
    image_M: Tensor,
    *,
    centre: float | None = None,
    sampling: int = -1,
    aligned: bool = True,
) -> Tensor:
    """Return the mean features of boxes, (M, C): RoIAlign of He et al., ICCV 2017, to one cell.

    Args:
        maps_NChw: feature maps of the view.
        view: the pictures; as many pixels go to a cell along x and y.
        boxes_M4: edges in the view's pixels.
        image_M: the number of each box's picture.
        centre: pixels from the outer edge of a picture to where the map's first cell looks; None:
            half the stride, the middle of the pixels that fall to it.
        sampling: places a side of a box where features are interpolated; -1: one a cell.
        aligned: False takes the first cell to look at the very edge, as the published code does.
    """
    stride = view.images_NCHW.shape[-1] / maps_NChw.shape[-1]
    moved = boxes_M4 if centre is None else boxes_M4 + (stride / 2 - centre)
    maps = full_precision(maps_NChw)
    regions = torch.cat([image_M[:, None], moved], 1).to(maps.dtype)
    means: Tensor = roi_align(maps, regions, 1, 1 / stride, sampling, aligned)
    return means.flatten(1)


class SCRL(BYOL):
    """BYOL's networks, and the loss on boxes."""

    def __init__(self, config: ScrlConfig, channels: int, centre: float | None = None) -> None:
        super().__init__(config, channels)
        self._scrl = config
        self.centre = centre if config.centre is None else config.centre
        self.box_sampling = BoxSampling(config.boxes, config.min_size, config.max_iou, config.whole)

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        """Return BYOL's loss of boxes, averaged over those of all processes.

        Boxes are drawn from torch's global generator, whose state and the number of pictures must
        be equal in all processes.
        """
        matched = match_boxes(views, self._draws(len(views[0].images_NCHW)), self.box_sampling)
        total = int(all_reduce(torch.tensor(len(matched.image_M), device=matched.image_M.device)))
        if total < 2:
            return {"regression": self._zero(queries)}
        image_M, places = matched.image_M, list(zip(views, matched.boxes_M4, strict=True))
        features = (
            (self._features(m, *place, image_M) for m, place in zip(maps, places, strict=True))
            for maps in (queries, keys)
        )
        return {"regression": self.distances(*features).sum() * (world_size() / total)}

    def _draws(self, count: int) -> Tensor:
        """Draw for the pictures of all processes, however many, and return this one's."""
        draws = torch.rand(world_size() * count, self._scrl.candidates, 2, DRAWS)
        return draws[rank() * count :][:count]

    def _features(self, maps: Tensor, view: View, boxes_M4: Tensor, image_M: Tensor) -> Tensor:
        return box_features(
            maps,
            view,
            boxes_M4,
            image_M,
            centre=self.centre if self._scrl.aligned else None,
            sampling=self._scrl.sampling,
            aligned=self._scrl.aligned,
        )

    def _zero(self, queries: Sequence[Tensor]) -> Tensor:
        """Return 0, with a gradient of 0 for everything that is trained."""
        parts = [*queries, *self.parameters()]
        return torch.stack([part.sum() * 0 for part in parts]).sum()


def build(config: ScrlConfig, maps: MapInfo) -> SCRL:
    """Build the method for such feature maps, with random weights."""
    return SCRL(config, maps.channels, maps.centre)
