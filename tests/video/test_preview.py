"""A clip within a page."""

import base64
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.video import open_video, preview
from magkit.video.arrays import open_source


def shown(html: str, folder: Path) -> Path:
    found = re.search(r'src="data:(?:video/mp4|image/jpeg);base64,([^"]+)"', html)
    assert found
    path = folder / "shown"
    path.write_bytes(base64.b64decode(found[1]))
    return path


def greys(count: int, height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    frames = np.arange(count * height * width).reshape(count, height, width) // 7
    return frames.astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "small"), [((24, 40), (24, 40)), ((25, 41), (24, 40)), ((600, 1200), (240, 480))]
)
def test_it_plays_everywhere(tmp_path: Path, size: tuple[int, int], small: tuple[int, int]) -> None:
    html = preview.preview(open_source(greys(6, *size), 12).video)
    video = open_video(shown(html, tmp_path))
    assert (video.info.height, video.info.width) == small
    assert video.info.rate == 12
    assert len(list(video)) == 6
    assert "small" not in html  # nothing to remark on


@pytest.mark.parametrize("fps", [Fraction(1, 10), Fraction(2000)])
def test_other_rates_are_shown_at_thirty(tmp_path: Path, fps: Fraction) -> None:
    html = preview.preview(open_source(greys(6, 24, 40), fps).video)
    assert open_video(shown(html, tmp_path)).info.rate == 30
    assert f"at 30 frames per second, of {float(fps):g}" in html


def test_a_long_clip_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "MOST_FRAMES", 5)
    html = preview.preview(open_source(greys(9, 24, 40), 12).video)
    assert len(list(open_video(shown(html, tmp_path)))) == 5
    assert "the first 5 of 9 frames" in html


def test_a_still_stands_for_what_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "MOST_BYTES", 1000)
    html = preview.preview(open_source(greys(9, 24, 40), 12).video)
    assert "too large for a preview" in html
    with Image.open(shown(html, tmp_path)) as picture:
        assert picture.size == (40, 24)


def test_noise_stays_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sooner or later, at a lower quality or as a still."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 64, 96), dtype=np.uint8)
    video, seen = open_source(noise, 30).video, set()
    for bound in (20_000, 60_000, 200_000):
        monkeypatch.setattr(preview, "MOST_BYTES", bound)
        html = preview.preview(video)
        assert len(html) <= bound + 1000
        seen.add(html[:4])
    assert seen == {"<img", "<vid"}
