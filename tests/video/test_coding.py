"""Coding as H.264: every frame comes back, in its colours, and as lossy as it was asked for."""

import numpy as np
import numpy.typing as npt
import pytest

from magkit.errors import MagkitError
from magkit.video import coding
from magkit.video.coding import code_x264

Clip = npt.NDArray[np.uint8]


def noisy(count: int = 5, height: int = 48, width: int = 64) -> Clip:
    """A still gradient with noise of its own in every frame."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, width)[:, None] * np.ones(3)
    return (ramp + rng.normal(0, 4, (count, height, width, 3))).clip(0, 255).astype(np.uint8)


def error(coded: Clip, clip: Clip) -> float:
    """Of the brightness: colours are stored at half of the resolution at any rate."""
    return float(np.abs((coded.astype(float) - clip).mean(-1)).mean())


@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("shape", [(1, 48, 64), (5, 33, 51), (7, 16, 16)])
def test_every_frame_comes_back_in_its_order(shape: tuple[int, ...], bframes: int) -> None:
    clip = np.empty((*shape, 3), np.uint8)
    clip[:] = np.linspace(20, 230, len(clip))[:, None, None, None]
    coded = code_x264(clip, 10, bframes=bframes, keyint=4)
    assert coded.shape == clip.shape
    assert coded.dtype == np.uint8
    assert np.abs(coded.astype(int) - clip).max() <= 2


def test_colours_are_those_of_bt709_in_limited_range() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 130, 60], [255] * 3, [0] * 3])
    clip = np.repeat(np.repeat(colours, 16, 0)[None], 32, 0).astype(np.uint8)[None]
    weights = np.array([0.2126, 0.7152, 0.0722])
    rgb = colours / 255
    luma = rgb @ weights
    blue = np.rint(128 + 224 * (rgb[:, 2] - luma) / (2 * (1 - weights[2])))
    red = np.rint(128 + 224 * (rgb[:, 0] - luma) / (2 * (1 - weights[0])))
    luma = np.rint(16 + 219 * luma)
    y, b, r = (luma - 16) / 219, (blue - 128) / 224, (red - 128) / 224
    rows = [y + 2 * (1 - weights[0]) * r, y * 0, y + 2 * (1 - weights[2]) * b]
    rows[1] = (y - weights[0] * rows[0] - weights[2] * rows[2]) / weights[1]
    exact = (np.stack(rows, 1) * 255).clip(0, 255)
    centres = code_x264(clip, 0)[0, 16, 8::16]
    assert np.abs(centres - exact).max() < 2.1


def test_a_higher_rate_factor_loses_more() -> None:
    clip = noisy()
    losses = [error(code_x264(clip, crf), clip) for crf in (5, 18, 30)]
    assert losses[0] < 0.8 * losses[1] < 0.8 * losses[2]


def test_groups_of_one_frame_do_not_repeat_the_frame_before() -> None:
    steps = [
        np.abs(np.diff(code_x264(noisy(8), 27, keyint=k).astype(float), axis=0)) for k in (1, 8)
    ]
    assert steps[0].mean() > 1.2 * steps[1].mean()


def test_the_same_clip_gives_the_same_bytes() -> None:
    once, again = (code_x264(noisy(), 23, preset="veryfast") for _ in range(2))
    assert np.array_equal(once, again)


@pytest.mark.parametrize(
    "wrong", [{"crf": 52}, {"preset": "placebo"}, {"keyint": 0}, {"bframes": 17}]
)
def test_settings_that_x264_lacks(wrong: dict[str, object]) -> None:
    settings: dict[str, object] = {"crf": 20, **wrong}
    with pytest.raises(ValueError, match="x264 codes at no"):
        code_x264(noisy(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3))])
def test_no_clip(wrong: Clip) -> None:
    with pytest.raises(ValueError, match="frames must be uint8"):
        code_x264(wrong, 20)


def test_a_failure_of_ffmpeg_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "_scale", lambda *_: ("-vf", "odd"))
    with pytest.raises(MagkitError, match=r"could not code the clip: .*'odd'"):
        code_x264(noisy(), 20)
