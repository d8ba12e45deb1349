"""The band of what vibrates most, and clips that have none."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from magkit.cli import run
from magkit.errors import MagkitError
from magkit.evaluate.automatic import automatic_band
from magkit.magnify.band import Band
from magkit.video import Frame, WriteOptions, open_video, plain_info, write_video
from tests.measure.textures import Texture, sine

COUNT, RATE, HEIGHT, WIDTH = 64, 32, 96, 144


def written(path: Path, amplitude: float, shake: float = 0.0) -> Path:
    """A square of texture vibrates at 4 Hz; the camera at 7 Hz, by more."""
    ground, thing = Texture(HEIGHT, WIDTH, seed=1), Texture(64, 64, seed=2)
    rng = np.random.default_rng(0)

    def frames() -> Iterator[Frame]:
        for x, camera in zip(sine(COUNT, amplitude, 8), sine(COUNT, shake, 14), strict=True):
            picture = ground.displaced(camera)
            picture[16:80, 72:136] = thing.displaced(x + camera)
            noisy = picture + 0.005 * rng.standard_normal(picture.shape)
            yield np.repeat((noisy.clip(0, 1) * 255).round().astype(np.uint8)[..., None], 3, 2)

    info = plain_info(WIDTH, HEIGHT, Fraction(RATE), COUNT)
    write_video(path, frames(), info, WriteOptions(quality=0))
    return path


def test_the_band_is_around_the_vibration_not_the_camera(tmp_path: Path) -> None:
    clip = open_video(written(tmp_path / "clip.mkv", 0.2, shake=0.6))
    band, reason = automatic_band(clip)
    assert band.low < 4 < band.high < 5.5
    assert "at 4" in reason
    assert " Hz in x" in reason
    assert "times the detection limit" in reason
    faster, _ = automatic_band(clip, capture_rate=320)
    assert faster.low == pytest.approx(10 * band.low, rel=0.01)


def test_a_still_clip_has_no_band(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="above the detection limit"):
        automatic_band(open_video(written(tmp_path / "still.mkv", 0.0)))


def test_magnify_with_the_band_it_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "clip.mkv", 0.2)
    command = ["magnify", "clip.mkv", "--band", "auto"]
    assert run(command) == 0
    assert "times the detection limit" in capsys.readouterr().err
    assert Path("clip_x10_auto.mkv").is_file()
    written(tmp_path / "still.mkv", 0.0)
    assert run([*command[:1], "still.mkv", *command[2:]]) == 1
    assert not Path("still_x10_auto.mkv").exists()
    assert run([*command, "still.mkv", "--overwrite"]) == 2  # one band for two clips
    assert run([*command, "--mode", "dynamic", "--overwrite"]) == 2


def test_a_band_that_is_not_known_yet_is_one_that_any_mode_may_have() -> None:
    from magkit.magnify.band import ANY_BAND, check_request

    assert isinstance(ANY_BAND, Band)
    check_request(10, "follow", ANY_BAND)
