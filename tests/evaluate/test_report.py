"""What a report is made of: the band, the gain and the pictures, without a magnifier."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.evaluate.report import Gain, band_of_strongest, check_report_folder
from magkit.evaluate.report_figures import draw_figures
from magkit.measure import plots
from magkit.measure.clip import Measurement, measure_frames
from magkit.measure.regions import Region
from magkit.measure.spectrum import Tone
from tests.measure.textures import clip, sine

COUNT, RATE = 64, 64.0
REGION = Region(20, 20, 32, 32, "it")


def measured(cycles: float, amplitude: float = 0.3) -> Measurement:
    moves = np.stack([sine(COUNT, amplitude, cycles), np.zeros(COUNT)], -1)
    return measure_frames(clip(moves, noise=0.005), RATE, [REGION])


def test_the_band_is_around_the_tone_and_wide_enough_to_settle() -> None:
    band = band_of_strongest(measured(6))
    assert band is not None
    assert (band.low, band.high) == pytest.approx((4, 8), abs=0.05)


def test_the_band_of_a_fast_tone_stays_below_half_the_rate() -> None:
    found = measured(27)
    band, strongest = band_of_strongest(found), found.strongest()
    assert band is not None
    assert strongest is not None
    frequency = strongest[1].tone.frequency
    assert band.low == pytest.approx(0.9 * frequency)
    assert band.high == pytest.approx((frequency + RATE / 2) / 2)
    band.check_rate(RATE)


def test_noise_has_no_band() -> None:
    assert band_of_strongest(measured(6, amplitude=0.0)) is None


def test_the_strongest_tone_of_a_band() -> None:
    found = measured(6)
    strongest = found.strongest(5, 7)
    assert strongest is not None
    assert strongest[1].tone.amplitude == pytest.approx(0.3, rel=0.02)
    assert strongest == found.strongest()
    assert found.strongest(8, 20) is None


def tone(amplitude: float, error: float) -> Tone:
    return Tone(5, amplitude, 0, 0.01, error, 0.01)


def test_the_interval_of_the_ratio() -> None:
    """Against draws of both amplitudes."""
    gain = Gain("it", "x", tone(2, 0.1), tone(18, 0.6), 0.1, ())
    rng = np.random.default_rng(0)
    before, after = (
        each + error / 1.96 * rng.standard_normal(200_000) for each, error in ((2, 0.1), (18, 0.6))
    )
    assert gain.ratio == pytest.approx(9)
    assert gain.ratio_error == pytest.approx(1.96 * np.std(after / before), rel=0.02)


def test_there_is_no_ratio_without_a_tone() -> None:
    gain = Gain("it", "x", tone(2, 0.1), None, 0.1, ())
    assert gain.ratio is None
    assert gain.ratio_error is None


def picture(uri: str) -> Image.Image:
    kind, _, data = uri.partition(";base64,")
    assert kind in {"data:image/png", "data:image/jpeg"}
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_charts_of_regions_that_vibrate_are_small_on_white(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plots, "MOST", 2)
    found = measured(6)
    found = replace(found, regions=found.regions * 3)
    figures = draw_figures(found, np.zeros((80, 96, 3), np.uint8))
    assert len(figures.charts) == 2
    for uri in (figures.charts[0].waveform, figures.charts[0].spectrum):
        assert len(uri) < 100_000
        drawn = picture(uri).convert("RGB")
        assert drawn.getpixel((0, 0)) == (255, 255, 255)
        assert np.asarray(drawn).std() > 10


def test_no_charts_of_noise() -> None:
    figures = draw_figures(measured(6, amplitude=0.0), np.zeros((80, 96, 3), np.uint8))
    assert not figures.charts


@pytest.mark.parametrize("size", [(60, 4000), (4000, 60)])
def test_the_still_is_small_whatever_the_shape(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 65536, (*size, 3)).astype(np.uint16)
    still = draw_figures(measured(6), frame).still
    assert max(picture(still).size) < 1600
    assert len(still) < 1_000_000


def test_the_folder_of_a_report(tmp_path: Path) -> None:
    source = tmp_path / "out" / "clip.mp4"
    check_report_folder(tmp_path / "new", source, overwrite=False)
    source.parent.mkdir()
    source.write_bytes(b"clip")
    with pytest.raises(MagkitError, match="exists"):
        check_report_folder(source.parent, source, overwrite=False)
    for folder in (source.parent, source):
        with pytest.raises(UsageError, match="is or holds the input"):
            check_report_folder(folder, source, overwrite=True)
