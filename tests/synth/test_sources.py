"""Sizes of pictures: scaled to cover."""

import pytest
import torch

from magkit.synth.sources import cover


def test_the_middle_of_what_covers_a_size() -> None:
    ramp = torch.linspace(0, 1, 200).expand(3, 80, 200)
    found = cover(ramp, 40, 60)
    assert found.shape == (3, 40, 60)
    # Half as large; 60 of 100 columns remain, from the 20th on.
    assert found[0, 20, 0].item() == pytest.approx((2 * 20.5 - 0.5) / 199, abs=0.003)
    assert found[0, 20, -1].item() == pytest.approx((2 * 79.5 - 0.5) / 199, abs=0.003)
    assert cover(ramp, 160, 300).shape == (3, 160, 300)
    assert torch.equal(cover(ramp, 80, 200), ramp)
