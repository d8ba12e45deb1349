"""The page of a report, parsed: what it says, what it refers to, and that it is whole."""

import re
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

import pytest

from magkit.evaluate.report_figures import Chart, Figures
from magkit.evaluate.report_page import MOST_ROWS, page

VOID = {"meta", "img", "br", "link", "input", "hr"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
FIGURES = Figures(PIXEL, (Chart("5,5", PIXEL, PIXEL),))
HOSTILE = "\"><script src='https://x.example/a.js'></script>&amp;.mp4"

TONE = {
    "direction": "y",
    "frequency": 31.974,
    "frequency_error": 0.004,
    "amplitude": 1.2345,
    "amplitude_error": 0.02,
    "limit": 0.0143,
    "amplitude_px": 1.2345,
    "phase": 0.5,
    "cause": "motion",
}
GAIN = {
    "region": "5,5",
    "direction": "y",
    "frequency": 31.974,
    "before": 1.2345,
    "before_error": 0.02,
    "after": 11.9,
    "after_error": 0.1,
    "after_limit": 0.05,
    "ratio": 9.64,
    "ratio_error": 0.2,
    "warnings": [],
}


def region(name: str, *tones: dict[str, Any]) -> dict[str, Any]:
    verdict = "vibrates" if tones else "noise: nothing above the detection limit"
    return {
        "name": name,
        "vibrates": any(tone["cause"] == "motion" for tone in tones),
        "verdict": verdict,
        "tones": list(tones),
        "limit": [0.021, 0.017],
        "limit_frequency": 62.5,
    }


RECORD: dict[str, Any] = {
    "clip": {
        "name": "fork.mp4",
        "width": 640,
        "height": 420,
        "frames": 888,
        "rate": 50.0,
        "seconds": 17.76,
        "bytes": 180659,
        "sha256": "ab" * 32,
    },
    "frames": 888,
    "rate": 250.0,
    "unit": "px",
    "reading": "peak",
    "mm_per_px": None,
    "regions": [region("9,9"), region("5,5", TONE)],
    "warnings": ["less than < 5 frames & more"],
    "magnified": {
        "file": "magnified.mp4",
        "sha256": "cd" * 32,
        "factor": 10.0,
        "bands": [[28.8, 35.2]],
        "gain": GAIN,
    },
    "settings": {"roi": ["1,2,30,40"], "steady": False, "factor": 10.0},
    "magkit": "9.8.7",
}


class Page(HTMLParser):
    """The text, the tags and the attributes of a page; asserts that its tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.refers, self.words = list[str](), list[str](), [""], [""]
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.refers += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def changed(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(RECORD), **changes}


def test_it_refers_to_nothing_outside_and_has_no_script() -> None:
    text = page(RECORD, FIGURES)
    made = Page(text)
    beside = {"", PIXEL, "magnified.mp4", "measurement.json"}
    assert set(made.refers) == beside
    assert not {"script", "link", "iframe", "object", "video", "audio"} & set(made.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_it_says_what_was_measured() -> None:
    text = Page(page(RECORD, FIGURES)).text
    for words in (
        "1 of 2 regions vibrates. The strongest motion is 1.23 ± 0.02 px (peak) at 31.97 Hz",
        "640 x 420 pixels",
        "888 frames, 17.76 s",
        "250 frames per second, in 3.55 s",
        "31.974 ± 0.004",
        "0.0143",
        "noise: nothing above the detection limit 0.017",
        "9.6 ± 0.2 , of 10 asked for",
        "11.9 ± 0.1 px",
        "28.8 to 35.2 Hz",
        "9.8.7",
        "ab" * 32,
        "cd" * 32,
        "less than < 5 frames & more",
        "1,2,30,40",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    "record",
    [
        changed(clip={**RECORD["clip"], "name": HOSTILE}),
        changed(settings={HOSTILE: HOSTILE}),
        changed(warnings=[HOSTILE]),
        changed(regions=[region(HOSTILE, TONE), region(HOSTILE)]),
        changed(magnified={**RECORD["magnified"], "gain": {**GAIN, "region": HOSTILE}}),
    ],
)
def test_text_from_outside_stays_text(record: dict[str, Any]) -> None:
    made = Page(page(record, FIGURES))
    assert "script" not in made.tags
    assert " ".join(HOSTILE.split()) in made.text


def test_a_hostile_region_in_a_chart() -> None:
    made = Page(page(RECORD, Figures(PIXEL, (Chart(HOSTILE, PIXEL, PIXEL),))))
    assert "script" not in made.tags
    assert HOSTILE in made.text


def test_noise_alone() -> None:
    record = changed(regions=[region("9,9")], magnified=None, warnings=[])
    made = Page(page(record, Figures(PIXEL, ())))
    assert "No region moves above its detection limit. What is measured is noise." in made.text
    assert "the clip was not magnified" in made.text
    assert "magnified.mp4" not in made.refers
    assert made.tags.count("img") == 1


def test_only_the_camera_moves() -> None:
    record = changed(regions=[region("9,9", {**TONE, "cause": "camera"})], magnified=None)
    text = Page(page(record, Figures(PIXEL, ()))).text
    assert "Other causes are in the table" in text
    assert "camera" in text


def test_a_band_without_motion_has_no_gain() -> None:
    record = changed(magnified={**RECORD["magnified"], "gain": None})
    text = Page(page(record, FIGURES)).text
    assert "there is no gain to state" in text
    assert "Ratio" not in text


def test_nothing_left_after_magnification() -> None:
    gone = {**GAIN, "after": None, "after_error": None, "ratio": None, "ratio_error": None}
    record = changed(magnified={**RECORD["magnified"], "factor": 0.0, "gain": gone})
    text = Page(page(record, FIGURES)).text
    assert "nothing above the detection limit, 0.05 px" in text
    assert "none , of 0 asked for" in text


def test_a_unit_and_a_folder_of_frames() -> None:
    clip = {**RECORD["clip"], "bytes": None, "sha256": None}
    record = changed(clip=clip, unit="um", reading="pp", mm_per_px=0.25)
    text = Page(page(record, FIGURES)).text
    assert "Amplitude (um, peak to peak)" in text
    assert "0.25 mm" in text
    assert "it is a folder of frames" in text


def test_a_fine_grid_is_cut_with_those_that_vibrate_first() -> None:
    still = [region(str(number)) for number in range(MOST_ROWS)]
    made = Page(page(changed(regions=[*still, region("mover", TONE)]), FIGURES))
    assert made.tags.count("tr") == MOST_ROWS + 1
    assert "And 1 more row, in" in made.text
    assert made.text.index("mover y") < made.text.index("noise: nothing")


def test_numbers_have_the_digits_of_their_intervals() -> None:
    tones = [
        {**TONE, "amplitude": 1234.56, "amplitude_error": 20.0},
        {**TONE, "amplitude": 3e-9, "amplitude_error": 2e-11},
        {**TONE, "amplitude": 0.5, "amplitude_error": 0.0},
    ]
    text = Page(page(changed(regions=[region("5,5", *tones)]), FIGURES)).text
    for amplitude in ("1235 ± 20", "3.000e-09 ± 2e-11", " 0.5 "):
        assert re.search(re.escape(amplitude), text), amplitude
