"""The demo's measurement, on frames whose gain is known."""

from dataclasses import replace

import numpy as np
import pytest

from magkit.evaluate import demo
from magkit.synth.render import render


def test_the_clip_is_still_but_for_one_object() -> None:
    frames = np.stack(list(demo._rendered(demo._sources()))[:13]).astype(float)
    assert frames.shape == (13, 240, 320, 3)
    turn = np.abs(frames[3] - frames[9]).max(-1)
    assert turn[:, :130].max() <= 1  # dither alone
    assert turn[:, 150:300].max() > 10
    assert np.abs(frames[0] - frames[12]).max() <= 1  # one period


@pytest.mark.parametrize("gain", [0.0, 1.4])
def test_a_frame_of_known_gain_is_measured(gain: float) -> None:
    sources = demo._sources()
    scene = demo._scene(3)
    exact = render([replace(scene, factor=gain * demo.FACTOR)], demo.CONFIG, sources).m[0]
    frame = exact[:, demo.TOP : demo.TOP + demo.HEIGHT].permute(1, 2, 0).numpy()
    rounded = (frame * 255).round().astype(np.uint8)
    assert demo.measure_gain(rounded, 3, sources) == pytest.approx(gain, abs=0.01)


def test_the_turning_points_are_those_of_the_vibration() -> None:
    for index in demo.PEAKS:
        (moving,) = [layer for layer in demo._scene(index).layers if any(layer.motion)]
        assert abs(moving.motion[1]) == pytest.approx(demo.AMPLITUDE)
