"""Motion fitness of encoders whose figures follow from formulas."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from magkit.errors import MagkitError
from magkit.selfsup.motion_probe import (
    BORDER,
    DISTANCES,
    GOLDEN_ANGLE,
    MotionScores,
    min_size,
    probe_motion,
)

SIZE = 96
Map = Callable[[torch.Tensor], torch.Tensor]


def waves(count: int = 8) -> tuple[torch.Tensor, np.ndarray]:
    """Frames with one vertical wave each, whole periods of it within the border; and 2 pi / length.

    These and their displacements are known everywhere: the frames' mirror images go on with them.
    """
    angles = np.pi * 6 * (1 + np.arange(count) % 4) / SIZE
    wave = 0.5 + 0.3 * np.cos(angles[:, None] * (np.arange(SIZE) + 0.5))
    frames = torch.from_numpy(wave)[:, None, None, :].expand(count, 3, SIZE, SIZE)
    return frames, angles


def textures(count: int = 32, smooth: int = 12) -> torch.Tensor:
    """Frames of random cosines in both directions, each colour its own; exactly displaceable."""
    random = torch.Generator().manual_seed(1)
    weights = torch.randn(count, 3, smooth, smooth, generator=random, dtype=torch.float64)
    n = torch.arange(SIZE, dtype=torch.float64) + 0.5
    basis = torch.cos(torch.pi / SIZE * torch.arange(smooth)[:, None] * n)
    return 0.5 + 0.02 * (basis.mT @ weights @ basis)


def measured(encode: Map, frames: torch.Tensor) -> MotionScores:
    return probe_motion(lambda x: {"branch": encode(x)}, frames)["branch"]


def blurred(frames: torch.Tensor) -> torch.Tensor:
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=frames.dtype)
    kernel = (taps[:, None] * taps).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(frames, (1, 1, 1, 1), "replicate"), kernel, groups=3)


@pytest.mark.parametrize(
    ("encode", "response"),
    [
        (lambda x: x, np.ones_like),
        (blurred, lambda angles: (1 + np.cos(angles)) / 2),
        (lambda x: F.avg_pool2d(x, 2), lambda angles: np.cos(angles / 2)),
    ],
    ids=["identity", "blur", "halved"],
)
def test_linear_filters_of_waves(encode: Map, response: Callable[[np.ndarray], np.ndarray]) -> None:
    """Of a wave that is displaced by theta of its angle, differences are known in closed form."""
    frames, angles = waves()
    found = measured(encode, frames)
    away = np.cos(
        GOLDEN_ANGLE * np.arange(len(angles))
    )  # of each frame's displacement, across the wave
    left = 0.3 * response(angles)  # of the waves; their mean stays
    for i, d in enumerate(DISTANCES):
        theta = angles * d * away
        once, twice = (left * np.sin(part * theta) for part in (0.5, 1.0))
        ratio = np.sqrt((twice**2).sum() / (4 * (once**2).sum()))
        cosine = (once * twice * np.cos(theta / 2)).sum()
        cosine /= np.sqrt((once**2).sum() * (twice**2).sum())
        assert found.linearity[i] == pytest.approx(ratio, rel=1e-6)
        assert found.cosine[i] == pytest.approx(cosine, rel=1e-6)
        still = 2 * (once**2).sum() / (left**2 / 2).sum()
        assert found.still[i] == pytest.approx(still, rel=1e-6)
        drift = np.sqrt(2 * (once**2).mean() / (0.25 + (left**2 / 2).mean()))
        assert found.drift[i] == pytest.approx(drift, rel=1e-6)
        assert found.equivariance[i] < 1e-9


def test_displacement_is_read_out_of_what_moves() -> None:
    found = measured(lambda x: F.avg_pool2d(x, 2), textures())
    assert max(found.equivariance) < 1e-9
    assert found.readout_mae < 0.05 * found.mean_mae
    assert found.readout_mae == pytest.approx(np.mean(found.readout))
    # The mean of |d cos a| and |d sin a| over all directions is 2 d / pi.
    assert found.mean_mae == pytest.approx(2 / math.pi * np.mean(DISTANCES), rel=0.05)


def test_an_encoder_that_ignores_its_input() -> None:
    found = measured(lambda x: torch.ones(len(x), 4, SIZE // 4, SIZE // 4), textures())
    assert found.equivariance == found.still == (1.0,) * 5
    assert found.linearity == found.cosine == found.drift == (0.0,) * 5
    assert found.readout_mae == pytest.approx(found.mean_mae)
    assert found.colour_r2 == pytest.approx(0, abs=1e-9)
    json.dumps(found.as_dict(), allow_nan=False)


def test_noise_is_neither_equivariant_nor_read() -> None:
    random = torch.Generator().manual_seed(2)
    found = measured(lambda x: torch.randn(len(x), 4, 24, 24, generator=random), textures())
    assert found.equivariance == pytest.approx((2.0,) * 5, rel=0.1)
    assert found.readout_mae > 0.9 * found.mean_mae
    assert found.colour_r2 < 0.1


def test_a_map_that_stays_behind_is_no_better_than_standing_still() -> None:
    """Position multiplies: what moves is the frame under a fixed grid."""
    grid = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    found = measured(lambda x: x * (grid > 0.5), textures())
    assert found.equivariance[2] > 10 * found.still[2]


def test_colour_is_kept_or_lost() -> None:
    frames = textures()
    mixed = torch.tensor([[0.2, 0.7, 0.1], [0.5, -0.5, 0.0], [0.1, 0.3, -0.4]], dtype=torch.float64)
    kept = measured(lambda x: torch.einsum("ij,njhw->nihw", mixed, F.avg_pool2d(x, 4)), frames)
    assert kept.colour_r2 > 0.99
    # Colours are independent here: their mean tells a third of the variance of each.
    grey = measured(lambda x: F.avg_pool2d(x, 4).mean(1, keepdim=True), frames)
    assert grey.colour_r2 == pytest.approx(1 / 3, abs=0.12)


def test_branches_are_judged_each_by_itself() -> None:
    frames = textures(8)
    alone = measured(lambda x: F.avg_pool2d(x, 4), frames)
    both = probe_motion(lambda x: {"a": F.avg_pool2d(x, 4), "b": x}, frames)
    assert both["a"] == alone
    assert both["b"] != alone


def test_too_little_to_judge() -> None:
    with pytest.raises(MagkitError, match="needs 8 frames, and there are 7"):
        measured(lambda x: x, textures(7))
    for stride in (2, 4, 12, 32):
        frames = torch.rand(8, 3, min_size(stride), min_size(stride))
        measured(lambda x, s=stride: F.avg_pool2d(x, s), frames)  # type: ignore[misc]
    with pytest.raises(MagkitError, match="96 pixels are too small to judge a map of stride 32"):
        measured(lambda x: F.avg_pool2d(x, 32), textures(8))
    assert min_size(32) == 4 * 32 + 2 * math.ceil(BORDER / 32) * 32
