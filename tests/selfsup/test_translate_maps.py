"""Displacement in the Fourier domain, against cosines, which it must displace exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from magkit.selfsup.motion_probe import translate_maps, translation_matrices


@given(st.integers(2, 24), st.floats(-4, 4), st.data())
def test_cosines_are_displaced_exactly(size: int, distance: float, data: st.DataObject) -> None:
    """Of the series that meets its mirror image at both ends; all but the highest that fits."""
    k = data.draw(st.integers(0, size - 1))
    (matrix,) = translation_matrices(size, torch.tensor([distance])).numpy()
    n = np.arange(size) + 0.5
    angle = np.pi * k / size
    moved = matrix @ np.cos(angle * n)
    np.testing.assert_allclose(moved, np.cos(angle * (n - float(np.float32(distance)))), atol=1e-9)


def test_x_is_to_the_right_and_y_downwards() -> None:
    frames = torch.zeros(2, 1, 9, 12, dtype=torch.float64)
    frames[:, 0, 4, 6] = 1
    moved = translate_maps(frames, torch.tensor([[2.0, 0.0], [0.0, -1.0]]))
    for frame, place in zip(moved, [(4, 8), (3, 6)], strict=True):
        assert divmod(int(frame.argmax()), 12) == place
        assert frame.max().item() == pytest.approx(1, abs=0.1)


def test_nothing_moves_by_nothing_and_light_stays() -> None:
    frames = torch.rand(3, 2, 8, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(translate_maps(frames, torch.zeros(3, 2)), frames)
    far = translate_maps(torch.full((1, 1, 8, 8), 0.7), torch.tensor([[0.3, -2.2]]))
    torch.testing.assert_close(far, torch.full((1, 1, 8, 8), 0.7))
