"""Takes the camera's motion out of frames, and puts it back into what was made of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from magkit.magnify.camera import STILL, Array, Reference, displacement, inverse
from magkit.magnify.lucas_kanade import pixel_grid
from magkit.magnify.motion import Work
from magkit.magnify.shots import marked
from magkit.magnify.spline import Spline
from magkit.magnify.stages import Stages
from magkit.video import Frame

Stabilize = Literal["out", "back"]
"""Whether the camera's motion stays out of the result, or is put back after the magnification."""

SEEN = 0.5  # of the reference: where less of it is in the picture, another reference is taken
DEEP = 65535  # values of the frames in between, so that they are not rounded twice


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is needed to put the camera's motion back into a frame."""

    frame: Frame
    steady: Frame
    parameters: Array


class Stabilizer:
    """Holds the view of each shot's first frame.

    Args:
        device: on which frames are resampled.
        how: see `Stabilize`.
    """

    def __init__(self, device: torch.device, how: Stabilize) -> None:
        self._device, self._how = device, how
        self._waiting: deque[_Taken] = deque()  # frames that `finished` has not come to
        self._kind = np.dtype(np.uint8)  # of the clip's frames
        self._reference: Reference | None = None
        self._parameters, self._last = STILL, np.zeros((0, 0, 3), np.uint16)

    def held(
        self, frames: Iterable[tuple[Frame, bool]], work: Work
    ) -> Iterator[tuple[Frame, bool]]:
        """Yield frames as a camera would see them that stands where it stood at first.

        Where nothing is known of a place, it stays as it was in the frame before.

        Args:
            frames: (H, W, 3), and whether each begins a shot; see `shots.marked`.
            work: see `Work`.

        Yields:
            Frames of 16 bits. A shot also begins where less than half of the view is left.
        """
        for frame, begins in frames:
            self._kind = frame.dtype
            with work.turn(), self._precise():
                steady, again = self._steady(frame, begins)
            if self._how == "back":
                self._waiting.append(_Taken(frame, steady, self._parameters))
            yield steady, again
            del frame, steady

    def finished(self, made: Iterable[Frame], work: Work) -> Iterator[Frame]:
        """Yield what became of the frames of `held`, of the clip's type."""
        for frame in made:
            if self._how == "out":
                yield self._narrowed(frame)
                continue
            with work.turn(), self._precise():
                shown = self._moved_back(frame, self._waiting.popleft())
            yield shown

    def _precise(self) -> AbstractContextManager[object]:
        return torch.autocast(self._device.type, enabled=False)

    def _steady(self, frame: Frame, begins: bool) -> tuple[Frame, bool]:
        picture = self._tensor(frame)
        shown = None
        if self._reference is not None:
            found = self._reference.find(picture, self._parameters)
            # A fast shake can look like a cut, but shows the same things.
            if found.certain or not begins:
                self._parameters = found.parameters
                shown = self._shown(frame, picture)
        if shown is None:
            self._reference, self._parameters = Reference(picture), STILL
            self._last = _deep(frame)
            return self._last, True
        self._last = shown
        return shown, False

    def _shown(self, frame: Frame, picture: torch.Tensor) -> Frame | None:
        """Return a frame as it is seen from the reference; None if too little of it is."""
        if not self._parameters.any():
            return _deep(frame)
        grid, size = pixel_grid(picture[0]), (picture.shape[-2], picture.shape[-1])
        places = grid + displacement(self._parameters, grid, *size)
        inside = _inside(places, *size)
        if float(inside.float().mean()) < SEEN:
            return None
        seen = _frame(Spline(picture).at(places))
        shown: Frame = np.where(inside.cpu().numpy()[..., None], seen, self._last)
        return shown

    def _moved_back(self, made: Frame, taken: _Taken) -> Frame:
        """Add to a frame what became of its steady version, where the camera saw it."""
        if made is taken.steady or not taken.parameters.any():
            return self._narrowed(made)
        change = made.astype(np.float32) - taken.steady
        if not change.any():
            return taken.frame
        picture = torch.from_numpy(change).to(self._device).permute(2, 0, 1)[None] / DEEP
        height, width = made.shape[:2]
        grid, back = pixel_grid(picture[0]), inverse(taken.parameters, height, width)
        places = grid + displacement(back, grid, height, width)
        shown = Spline(picture).at(places) * _inside(places, height, width)
        return self._narrowed(_frame(self._tensor(taken.frame) + shown))

    def _tensor(self, frame: Frame) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(self._device)
        return pixels.permute(2, 0, 1)[None].float() / np.iinfo(frame.dtype).max

    def _narrowed(self, frame: Frame) -> Frame:
        most = np.iinfo(self._kind).max
        if most == DEEP:
            return frame
        return ((frame.astype(np.uint32) * most + DEEP // 2) // DEEP).astype(self._kind)


def without_camera(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield frames (H, W, 3), of their own type, from which the camera's motion is taken out."""
    device = torch.device("cpu")
    camera, work = Stabilizer(device, "out"), Stages(device, "full", concurrent=False)
    return camera.finished((frame for frame, _ in camera.held(marked(frames), work)), work)


def _inside(places: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return which places (2, H, W) are in a frame, (H, W)."""
    last = places.new_tensor([width - 1, height - 1]).view(2, 1, 1)
    known: torch.Tensor = ((places >= 0) & (places <= last)).all(0)
    return known


def _deep(frame: Frame) -> Frame:
    return frame if frame.dtype == np.uint16 else frame.astype(np.uint16) * (DEEP // 255)


def _frame(picture: torch.Tensor) -> Frame:
    """Round a picture (1, 3, H, W) to a frame of 16 bits."""
    pixels = picture[0].mul(DEEP).round_().clamp_(0, DEEP).to(torch.int32)
    frame: Frame = pixels.permute(1, 2, 0).contiguous().cpu().numpy().astype(np.uint16)
    return frame
