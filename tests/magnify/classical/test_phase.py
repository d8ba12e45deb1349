"""Phase-based magnification: the pyramid, closed forms, bounds, and clips of any size."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from magkit.errors import UsageError
from magkit.magnify import classical
from magkit.magnify.band import Band
from magkit.magnify.classical import smooth_phases
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify

SIZE = 64
Y, X = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
CPU = torch.device("cpu")


def wave(cycles: tuple[int, int], shift: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    """A sine of so many cycles a frame along x and y, displaced by so many pixels."""
    turns = cycles[0] * (X - shift[0]) + cycles[1] * (Y - shift[1])
    return (0.5 + 0.3 * torch.cos(2 * math.pi * turns / SIZE)).expand(1, 3, SIZE, SIZE)


def magnified(a: torch.Tensor, b: torch.Tensor, factor: float, *options: str) -> torch.Tensor:
    phase = load_magnifier("phase", options=options)
    before, after = phase.encode(a), phase.encode(b)
    return phase.render(after, phase.motion(before, after), torch.tensor([factor]))


@pytest.mark.parametrize("orientations", [2, 4, 7])
@pytest.mark.parametrize("per_octave", [1, 2, 3])
def test_the_windows_energies_add_up_to_one(orientations: int, per_octave: int) -> None:
    windows = classical.steerable_windows(64, 96, 3, orientations, per_octave, CPU)
    picture = torch.rand(1, 1, 64, 96)
    shown = classical.reconstruct(classical.decompose(picture, windows), windows)
    spectra = (np.fft.fft2(m[0, 0].double().numpy()) for m in (shown, picture))
    passed = np.divide(*spectra)
    place = np.log2(np.hypot(*np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(64))) * 2 + 1e-9)
    whole = (place <= -1 / per_octave) & (place >= -3)
    np.testing.assert_allclose(passed[whole], 1, atol=1e-3)
    np.testing.assert_allclose(passed[place >= 0], 0, atol=1e-3)
    assert passed.real.min() > -1e-3
    assert passed.real.max() < 1 + 1e-3


def test_bands_have_no_negative_frequencies_and_know_their_direction() -> None:
    windows = classical.steerable_windows(SIZE, SIZE, 3, 4, 1, CPU)
    octaves = classical.decompose(wave((4, 0))[:, :1], windows)
    strength = torch.stack([band.abs().mean((0, 1, 3, 4)) for band in octaves])
    assert strength.argmax().item() == 2 * 4  # 16 pixels: the third octave; along x: the first
    band = octaves[2][0, 0, 0]
    assert band.abs().std() < 1e-3 * band.abs().mean()  # a rotating phase of constant amplitude


@pytest.mark.parametrize("cycles", [(8, 0), (0, 4), (5, 3), (-6, 4)])
@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0, 6.0])
@pytest.mark.parametrize("per_octave", [1, 2])
def test_a_sine_moves_as_far_as_was_asked(
    cycles: tuple[int, int], factor: float, per_octave: int
) -> None:
    shift = (0.12, -0.09)
    made = magnified(wave(cycles), wave(cycles, shift), factor, f"per_octave={per_octave}")
    exact = wave(cycles, (factor * shift[0], factor * shift[1]))
    assert (made - exact).abs().max() < 1e-4


def test_luma_alone_moves_greys_alike_and_leaves_colour() -> None:
    a, b = wave((4, 0)), wave((4, 0), (0.2, 0))
    made = magnified(a, b, 5.0, "colour=luma")
    assert (made - wave((4, 0), (1.0, 0))).abs().max() < 1e-4
    tint = torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1) * wave((3, 3))
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    tint = tint - (tint * weights).sum(1, keepdim=True)
    moved = magnified(a + tint, b + tint, 5.0, "colour=luma")
    torch.testing.assert_close(moved, made + tint, atol=1e-4, rtol=0)


@pytest.mark.parametrize("per_octave", [1, 2])
def test_beyond_its_reach_a_wave_is_held_back(per_octave: int) -> None:
    # 16 pixels long, moved by 1 px: 10 times is beyond a quarter of it, for one filter an octave.
    a, b = wave((4, 0)), wave((4, 0), (1.0, 0))
    options = f"per_octave={per_octave}", "attenuate=true"
    shown = 1.0 + 4.0 * per_octave
    assert (magnified(a, b, 10.0, *options) - wave((4, 0), (shown, 0))).abs().max() < 1e-4
    free = magnified(a, b, 10.0, f"per_octave={per_octave}")
    assert (free - wave((4, 0), (10.0, 0))).abs().max() < 1e-4
    assert (magnified(a, b, 0.0, *options) - a).abs().max() < 1e-4


def test_phases_are_smoothed_by_amplitude() -> None:
    rng = np.random.default_rng(0)
    phases, amplitudes = rng.normal(size=(2, 1, 1, 1, 24, 20))
    amplitudes = np.abs(amplitudes) + 0.1
    from scipy import ndimage

    def blurred(maps: Any) -> Any:
        return ndimage.gaussian_filter(maps[0, 0, 0], 1.7, mode="wrap", radius=6)

    exact = blurred(phases * amplitudes) / blurred(amplitudes)
    made = smooth_phases(torch.from_numpy(phases), torch.from_numpy(amplitudes), 1.7)
    np.testing.assert_allclose(made[0, 0, 0], exact, atol=1e-4)


def test_the_motion_is_packed_as_it_says() -> None:
    phase = load_magnifier("phase", options=["octaves=3", "orientations=2", "sigma=0"])
    a, b = torch.rand(2, 2, 3, 32, 48)
    before, after = phase.encode(a), phase.encode(b)
    motion = phase.motion(before, after)
    assert motion.shape == (2, 3 * 2 * (16 + 4 + 1), 8, 12)
    assert motion.abs().max() <= math.pi + 1e-6
    # The second octave: twice as large as the coarsest, so four channels a band.
    second = motion[:, 3 * 2 * 16 : 3 * 2 * 20].reshape(2, 3, 2, 2, 2, 8, 12)
    phases = second.permute(0, 1, 2, 5, 3, 6, 4).reshape(2, 3, 2, 16, 24)
    exact = (after.octaves[1] * before.octaves[1].conj()).angle()
    torch.testing.assert_close(phases, exact)


def test_factors_differ_within_a_batch() -> None:
    phase = load_magnifier("phase")
    a, b = torch.rand(2, 2, 3, 32, 32)
    before, after = phase.encode(a), phase.encode(b)
    motion = phase.motion(before, after)
    both = phase.render(after, motion, torch.tensor([0.0, 7.0]))
    torch.testing.assert_close(both[1:], magnified(a[1:], b[1:], 7.0))
    torch.testing.assert_close(both[:1], magnified(a[:1], b[:1], 0.0))


def test_no_motion_no_change() -> None:
    a = torch.rand(1, 3, 64, 96)
    assert (magnified(a, a, 50.0) - a).abs().max() < 1 / 255


def swinging(count: int) -> list[np.ndarray[Any, Any]]:
    shifts = [0.4 * math.sin(2 * math.pi * n / 10) for n in range(count)]
    pictures = [wave((4, 0), (shift, 0))[0].permute(1, 2, 0) for shift in shifts]
    return [(picture * 255).round().byte().numpy() for picture in pictures]


def test_a_clip_through_the_pipeline() -> None:
    clip = swinging(8)
    phase = load_magnifier("phase")
    exact = wave((4, 0), (4 * 0.4 * math.sin(0.4 * math.pi), 0))[0].permute(1, 2, 0) * 255
    made = list(magnify(clip, phase, 4.0))[2]
    assert np.abs(made - exact.numpy()).max() < 5  # grey levels: of rounding, four times
    stopped = list(magnify(clip, phase, 0.0))
    assert max(np.abs(frame.astype(int) - clip[0]).max() for frame in stopped) <= 2
    assert all(np.array_equal(x, y) for x, y in zip(magnify(clip, phase, 1.0), clip, strict=True))


def test_a_band_passes_what_swings_in_it_and_stops_the_rest() -> None:
    clip = swinging(60)  # once in ten frames: 3 Hz at 30 frames a second

    def swing(frames: list[Any]) -> float:
        return float(np.std([frame[30:34, :, 0].astype(float) for frame in frames[30:]], 0).mean())

    phase = load_magnifier("phase", options=["octaves=3"])
    before = swing(clip)
    passed = swing(list(magnify(clip, phase, 3.0, band=Band(2, 4), rate=30)))
    stopped = swing(list(magnify(clip, phase, 3.0, band=Band(8, 12), rate=30)))
    assert passed / before == pytest.approx(3, rel=0.1)
    assert stopped / before == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (41, 70)])
def test_any_size_through_the_pipeline(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(10, 240, (*size, 3))
    clip = [(picture + rng.integers(-6, 7, picture.shape)).astype(np.uint8) for _ in range(2)]
    frames = list(magnify([*clip, clip[0]], load_magnifier("phase"), 30.0))
    assert [frame.shape for frame in frames] == [(*size, 3)] * 3
    assert np.abs(frames[2].astype(int) - clip[0]).max() <= 1


@pytest.mark.parametrize(
    "option", ["octaves=0", "orientations=1", "per_octave=5", "sigma=-1", "colour=blue"]
)
def test_options_that_make_no_sense(option: str) -> None:
    with pytest.raises(UsageError):
        load_magnifier("phase", options=[option])
