"""Batches of real frames, warped by known displacements and coded by x264."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from magkit.selfsup.warp_elements import KINDS, Element, draw_element
from magkit.selfsup.warp_spec import WarpedFramesConfig
from magkit.synth.coding import Coding, code, draw_coding
from magkit.synth.triplets import Triplets

GROUP = len(KINDS)  # elements that are coded side by side in one stream
FRAMES = (6, 12)  # of a stream
CRF = (15, 36)
STREAM, ELEMENT = 0x3A9, 1  # parts of the keys of random draws

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealPairs:
    """N pairs of frames of clips, the second one warped.

    Attributes:
        a: a frame, coded, (N, 3, H, W) in [0, 1].
        b: another one of the clip, warped and coded.
        clean_a: the first without noise and coding.
        clean_b: the second before it was warped.
        warp: displacement (x, y) in pixels at each pixel of b, (N, 2, H, W).
    """

    a: Tensor
    b: Tensor
    clean_a: Tensor
    clean_b: Tensor
    warp: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpedBatch:
    """Frames warped by known displacements.

    Attributes:
        scenes: of single frames: their motion is known exactly.
        coded: which of the scenes are coded, (N,).
        pairs: of clips: their motion is that of the clip and a known one; None: there are none.
    """

    scenes: Triplets
    coded: Tensor
    pairs: RealPairs | None

    def to(self, device: torch.device | str) -> WarpedBatch:
        """Move all tensors to a device."""
        pairs = self.pairs and _mapped(lambda tensors: tensors[0].to(device), [self.pairs])
        return WarpedBatch(scenes=self.scenes.to(device), coded=self.coded.to(device), pairs=pairs)


def make_batch(
    windows: Sequence[Tensor], first: int, config: WarpedFramesConfig, size: int, seed: int
) -> WarpedBatch:
    """Make the elements from number `first` on of an endless sequence: a pure function.

    Args:
        windows: one for each element, uint8 (K, 3, h, w), a multiple of `GROUP`.
        first: number of the first element, a multiple of `GROUP`.
        config: how they are made.
        size: side of the frames in pixels.
        seed: of all draws.
    """
    scenes, coded, pairs = list[Triplets](), list[bool](), list[RealPairs]()
    for start in range(0, len(windows), GROUP):
        group = windows[start : start + GROUP]
        for element, clip in _streams(group, first + start, config, size, seed):
            if element.kind == "real":
                pairs.append(_pair(element, clip))
            else:
                scenes.append(_scene(element, clip))
                coded.append(element.coded)
    return WarpedBatch(
        scenes=_mapped(torch.cat, scenes),
        coded=torch.tensor(coded),
        pairs=_mapped(torch.cat, pairs) if pairs else None,
    )


def _mapped(function: Callable[[list[Tensor]], Tensor], records: Sequence[R]) -> R:
    """Return a record whose fields are a function of those of records of one type."""
    kind: Any = type(records[0])
    names = [f.name for f in fields(kind)]
    made: R = kind(**{name: function([getattr(r, name) for r in records]) for name in names})
    return made


def _streams(
    windows: Sequence[Tensor], first: int, config: WarpedFramesConfig, size: int, seed: int
) -> list[tuple[Element, Tensor]]:
    """Draw a group of elements; return them with their streams, noisy and coded, in [0, 1]."""
    coding = _draw_coding(np.random.default_rng([seed, STREAM, first // GROUP]))
    elements, streams = list[Element](), list[Tensor]()
    for number, (kind, window) in enumerate(zip(KINDS, windows, strict=True)):
        rng = np.random.default_rng([seed, STREAM, first + number, ELEMENT])
        element = draw_element(kind, window, coding.frames, config, size, rng)
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        elements.append(element)
        streams.append(element.noisy(element.stream(), noise))
    chosen = [number for number, element in enumerate(elements) if element.coded]
    if chosen:
        clips = code(torch.stack([streams[number] for number in chosen]), coding)
        for number, clip in zip(chosen, clips, strict=True):
            streams[number] = clip
    return [(e, stream.float() / 255) for e, stream in zip(elements, streams, strict=True)]


def _draw_coding(rng: np.random.Generator) -> Coding:
    frames, crf = (int(rng.integers(low, high + 1)) for low, high in (FRAMES, CRF))
    return replace(draw_coding(rng), frames=frames, crf=crf)


def _scene(element: Element, clip: Tensor) -> Triplets:
    """Return a warped frame, or a still one, as a scene whose motion is known."""
    path, still, number = element.path, element.kind == "still", element.numbers[:1]
    motion = element.warp()
    magnified = element.frames[number] if still else element.displaced([element.factor], number)
    a = clip[path.a : path.a + element.rest].mean(0, keepdim=True)
    b = clip[path.b : path.b + 1]
    return Triplets(
        a=a,
        b=b,
        c=b,
        m=magnified,
        factor=torch.tensor([element.factor]),
        motion=motion,
        moving=element.cover([0.0, 1.0, element.factor]),
    )


def _pair(element: Element, clip: Tensor) -> RealPairs:
    places = [slice(place, place + 1) for place in (element.path.a, element.path.b)]
    a, b = (clip[place] for place in places)
    clean_a, clean_b = (element.frames[element.numbers[place]] for place in places)
    return RealPairs(a=a, b=b, clean_a=clean_a, clean_b=clean_b, warp=element.warp())
