"""`magkit.measure` on arrays and files, and what its result shows."""

import csv
import json
import pickle
import re
import sys
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import magkit
from magkit.cli import run
from magkit.errors import MagkitError, UsageError
from magkit.measure.clip import measure_frames
from magkit.measure.regions import Region
from magkit.measure.result import MeasureResult
from magkit.video import ReadOptions, WriteOptions, open_video, plain_info, write_video
from tests.measure.textures import Array, Texture, sine

COUNT, RATE = 32, 32.0
ROI = (36, 24, 24, 24)
PLACES = {"plate": ROI, "ground": (2, 2, 24, 12)}


def scene() -> Array:
    """A square of texture vibrates by half a pixel at 4 Hz."""
    ground, thing = Texture(72, 96, seed=1).displaced(0), Texture(40, 40, seed=2)
    rng = np.random.default_rng(0)
    frames = np.repeat(ground[None], COUNT, 0)
    for frame, x in zip(frames, sine(COUNT, 0.5, 4), strict=True):
        frame[16:56, 28:68] = thing.displaced(x)
    noisy: Array = (frames + 0.004 * rng.standard_normal(frames.shape)).clip(0, 1)
    return noisy


FRAMES = scene()
BYTES: NDArray[np.uint8] = np.rint(FRAMES * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def found() -> MeasureResult:
    return magkit.measure(FRAMES, fps=RATE, roi=PLACES, scale=0.5, unit="um", reading="pp")


def test_arrays_and_tones_are_in_the_unit(found: MeasureResult) -> None:
    shape = (2, 2, len(found.frequencies))
    assert found.names == ("plate", "ground")
    assert found.displacement.shape == (2, COUNT, 2)
    assert found.spectra.shape == found.floors.shape == found.limits.shape == shape
    assert found.fps == RATE
    assert found.times[-1] == (COUNT - 1) / RATE
    assert found.length_unit == "um"
    wave = found.displacement[0, :, 0] - found.displacement[0, :, 0].mean()
    assert np.allclose(wave, 500 * sine(COUNT, 0.5, 4), atol=8)
    [tone] = found.tones
    assert (tone.region, tone.direction, tone.cause) == ("plate", "x", "motion")
    assert tone.frequency == pytest.approx(4, abs=2 * tone.frequency_error)
    assert tone.amplitude == pytest.approx(500, abs=2 * tone.amplitude_error)
    assert tone.amplitude_px == pytest.approx(0.5, rel=0.01)
    assert found.strongest == tone
    assert tone.amplitude > tone.limit > 0
    assert found.verdicts["plate"] == "vibrates"
    assert found.verdicts["ground"].startswith("noise")


def test_the_band_of_the_strongest_tone(found: MeasureResult) -> None:
    assert found.band == pytest.approx((2, 6), abs=0.01)
    quiet = magkit.measure(FRAMES, fps=RATE, roi=PLACES["ground"])
    assert quiet.band is None
    assert quiet.strongest is None


@pytest.mark.parametrize("colour", [False, True])
def test_every_kind_of_frames_is_measured_alike(colour: bool) -> None:
    frames = np.repeat(BYTES[..., None], 3, 3) if colour else BYTES
    expected = magkit.measure(frames, fps=RATE, roi=ROI).displacement
    tensor = torch.from_numpy(frames)
    for source in (tensor, list(frames), iter(tensor), frames / 255, frames * np.uint16(257)):
        assert np.allclose(magkit.measure(source, fps=RATE, roi=ROI).displacement, expected)


def test_it_is_the_measurement_of_the_brightness() -> None:
    region = Region(*ROI, "x")
    expected = measure_frames((frame / 255 for frame in BYTES), RATE, [region])
    found = magkit.measure(BYTES, fps=RATE, roi=ROI).displacement[0]
    assert np.allclose(found, expected.regions[0].track.displacement, atol=1e-9)


def test_a_file_is_measured_as_the_command_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.mkv"
    colours = np.repeat(BYTES[..., None], 3, 3)
    lossless = WriteOptions(quality=0, pix_fmt="yuv444p")
    write_video(path, colours, plain_info(96, 72, Fraction(32), COUNT), lossless)
    options = ["--at", "48,36", "--roi", "2,2,24,12", "--grid", "2x2", "--capture-fps", "320"]
    assert run(["measure", str(path), *options, "--steady", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    settings: dict[str, Any] = {"capture_fps": 320, "steady": True, "grid": (2, 2)}
    for source in (str(path), path, open_video(path, ReadOptions(deep=True))):
        found = magkit.measure(source, at=(48, 36), roi=[(2, 2, 24, 12)], **settings)
        assert json.loads(json.dumps(found.to_dict())) == record


def test_files_of_the_result(found: MeasureResult, tmp_path: Path) -> None:
    for suffix in ("json", "csv", "npz", "uff", "png", "svg"):
        found.save(tmp_path / f"result.{suffix}")
        with pytest.raises(MagkitError, match="exists"):
            found.save(str(tmp_path / f"result.{suffix}"))
    assert json.loads((tmp_path / "result.json").read_text()) == found.to_dict()
    rows = list(csv.reader((tmp_path / "result.csv").open()))
    assert rows[0][1] == "plate x (um)"
    assert float(rows[9][1]) == pytest.approx(found.displacement[0, 8, 0], rel=1e-8)
    with np.load(tmp_path / "result.npz") as arrays:
        assert arrays["displacement"].shape == found.displacement.shape
    with pytest.raises(UsageError, match="must end in"):
        found.save(tmp_path / "result.xlsx")
    found.save(tmp_path / "result.csv", overwrite=True)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.text = list[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_a_table_and_a_spectrum() -> None:
    name = "<script>alert(1)</script> & $x^"
    result = magkit.measure(FRAMES, fps=RATE, roi={name: ROI, "ground": (2, 2, 24, 12)})
    page = Page(result._repr_html_())
    assert "script" not in page.tags
    assert page.text.count(name) == 3  # sentence, table, spectrum
    assert page.tags.count("tr") == 3
    assert page.tags.count("svg") == 1
    assert "1 of 2 regions vibrates" in page.text
    assert "noise: nothing above the detection limit" in page.text
    assert "currentColor" in result._repr_html_()
    assert "#010203" not in result._repr_html_()


def test_a_notebook_without_matplotlib(
    found: MeasureResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page = Page(found._repr_html_())
    assert "svg" not in page.tags
    assert "table" in page.tags


def test_a_long_table_ends(found: MeasureResult) -> None:
    many = magkit.measure(FRAMES, fps=RATE, grid=(8, 4))
    page = Page(many._repr_html_())
    assert page.tags.count("tr") == 25
    assert "in to_dict()" in page.text


def test_a_long_spectrum_is_no_long_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magkit.measure.plots.LONGEST", 20)
    result = magkit.measure(FRAMES, fps=RATE, roi=ROI)
    assert "data:image/png;base64" in result._repr_html_()


def test_processes_send_it_back(found: MeasureResult) -> None:
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()


def test_a_line_about_it(found: MeasureResult) -> None:
    pattern = r"<MeasureResult: 1 of 2 regions vibrating; \d+ ± \d um at \S+ Hz in x at plate>"
    assert re.fullmatch(pattern, repr(found))


def test_progress_is_shown_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int | None]] = []
    magkit.measure(BYTES, fps=RATE, roi=ROI, progress=lambda *each: seen.append(each))
    assert seen == [(number, COUNT) for number in range(1, COUNT + 1)]
    assert capsys.readouterr().err == ""
    magkit.measure(BYTES, fps=RATE, roi=ROI, progress=True)
    assert "32 of 32 frames\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": None}, "have no rate"),
        ({"fps": 0}, "above 0"),
        ({"capture_fps": -1}, "above 0"),
        ({"at": (3, 3)}, "outside the frame"),
        ({"at": (1, 2, 3)}, "no point"),
        ({"at": (1.5, 2)}, "no point"),
        ({"roi": "8,8,24,24"}, "no rectangle"),
        ({"roi": {"a": (1, 2, 3)}}, "no rectangle"),
        ({"roi": (8, 8, 4, 4)}, "too small"),
        ({"grid": (0, 3)}, "no grid"),
        ({"grid": 3}, "no grid"),
        ({"unit": "mm"}, "needs the size of a pixel"),
        ({"unit": "parsec"}, "no unit"),
        ({"scale": 0}, "above 0"),
        ({"scale": "big"}, "no scale"),
        ({"reading": "mean"}, "no reading"),
        ({"average": 0}, "at least 1 frame"),
        ({"start": 1.0}, "of files"),
        ({"bits": 12}, "8 bits"),
    ],
)
def test_impossible_requests(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        magkit.measure(BYTES, **{"fps": RATE, **options})


def test_nan_and_short_clips() -> None:
    holed = FRAMES.copy()
    holed[20, 3, 3] = np.nan
    with pytest.raises(UsageError, match="frame 21 holds values that are no numbers"):
        magkit.measure(holed, fps=RATE, roi=ROI)
    with pytest.raises(MagkitError, match="9 frames is too short"):
        magkit.measure(FRAMES[:9], fps=RATE, roi=ROI)
    with pytest.raises(MagkitError, match="does not exist"):
        magkit.measure("nowhere.mp4")
