"""Steps along the axes of photographs' colours."""

import numpy as np
import torch

from magkit.invert.priors import apply_matrix, colour_matrix


def test_plain_axes_change_nothing() -> None:
    colours = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    assert torch.equal(apply_matrix(colour_matrix("plain", colours), colours), colours)


def test_colours_are_mixed_pixel_by_pixel() -> None:
    colours = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    matrix = colour_matrix("photographs", colours)
    expected = np.einsum("ij,njhw->nihw", matrix.numpy(), colours.numpy())
    np.testing.assert_allclose(apply_matrix(matrix, colours).numpy(), expected, rtol=1e-12)


def test_brightness_is_what_varies_most() -> None:
    matrix = colour_matrix("photographs", torch.zeros((), dtype=torch.float64))
    values, vectors = torch.linalg.eigh(matrix)
    assert torch.equal(matrix, matrix.T)
    assert abs(float(values.sum()) - 3) < 1e-3
    assert float(values[2]) > 3 * float(values[1])
    brightest = vectors[:, 2].abs()
    assert float(brightest.max() / brightest.min()) < 1.2
