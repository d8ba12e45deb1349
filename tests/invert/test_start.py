"""The noise that pictures start from."""

import numpy as np
import pytest
import torch

from magkit.invert.priors import init_noise, pink_noise
from magkit.invert.settings import make_settings


@pytest.mark.parametrize("size", [(32, 32), (31, 48), (64, 33), (1, 8)])
def test_pink_noise_is_white_noise_over_its_frequency(size: tuple[int, int]) -> None:
    white = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    down, across = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1 / max(size)
    whole = np.fft.fft2(white.double().numpy()) / frequency
    expected = np.fft.ifft2(whole / np.sqrt((1 / frequency**2).mean())).real
    np.testing.assert_allclose(pink_noise(white).numpy(), expected, atol=1e-5)


def test_its_deviation_is_one() -> None:
    draw = torch.Generator().manual_seed(1)
    pictures = torch.stack([pink_noise(torch.randn(3, 24, 40, generator=draw)) for _ in range(400)])
    assert pictures.std() == pytest.approx(1, abs=0.03)
    assert pictures.mean() == pytest.approx(0, abs=0.05)


def test_neighbours_are_alike_in_pink_noise_and_strangers_in_white() -> None:
    alike = {}
    for spectrum in ("white", "pink"):
        settings = make_settings("fast", {"spectrum": spectrum})
        x = init_noise((64, 64), settings, torch.Generator().manual_seed(2))
        pairs = torch.stack([x[0, :, 1:].flatten(), x[0, :, :-1].flatten()])
        alike[spectrum] = float(torch.corrcoef(pairs)[0, 1])
    assert abs(alike["white"]) < 0.1
    assert alike["pink"] > 0.6


def test_white_noise_along_the_channels_is_what_was_drawn() -> None:
    settings = make_settings("thesis")
    x = init_noise((8, 12), settings, torch.Generator().manual_seed(3))
    assert torch.equal(x, torch.randn(3, 8, 12, generator=torch.Generator().manual_seed(3)))
