"""Magnification of the second derivative of motion in time, to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from magkit.magnify.pipeline import to_frame, to_tensor
from magkit.protocols import Magnifier
from magkit.video import Frame


@torch.inference_mode()
def accelerate(
    frames: Sequence[Frame],
    magnifier: Magnifier,
    factor: float,
    step: int,
    device: torch.device | str = "cpu",
) -> Iterator[Frame]:
    """Yield frames in which the second derivative of motion is magnified.

    What frame t shows is displaced further from the mean of its places at t - step and t + step, so
    that steady motion stays as it is (Zhang et al., CVPR 2017). A sine differs from that mean by
    1 - cos(2 pi step / period) times itself: by all of itself at a step of a quarter of its period.

    Args:
        frames: (H, W, 3) uint8 RGB; the first and the last `step` of them come back unchanged.
        magnifier: on `device`.
        factor: of the difference.
        step: frames.
        device: of the magnifier.
    """
    known = [magnifier.encode(to_tensor(f, magnifier.stride, device)) for f in frames]
    scale = torch.tensor([factor], device=device)
    for index, frame in enumerate(frames):
        if not step <= index < len(frames) - step:
            yield frame
            continue
        current = known[index]
        before, after = (magnifier.motion(known[index + s], current) for s in (-step, step))
        made = magnifier.render(current, (before + after) / 2, scale)
        yield to_frame(made, frame.shape[:2])
