"""Verdicts on clips: what moves, what only seems to, and what is noise."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from magkit.errors import MagkitError
from magkit.measure.checks import cautions
from magkit.measure.clip import Measurement, measure_frames
from magkit.measure.read import brightness, measure_file
from magkit.measure.regions import Region
from magkit.video import plain_info, write_video
from magkit.video.coding import code_x264
from tests.measure.textures import Array, Texture, sine

COUNT, RATE, SIZE = 96, 32.0, (144, 192)
OBJECT = Region(72, 48, 48, 48, "object")
AROUND = np.s_[40:104, 64:128]


def scene(x: Array, camera: Array | None = None, light: Array | None = None) -> Iterator[Array]:
    """A square of texture that moves before a background, seen by a camera."""
    ground, thing = Texture(*SIZE, seed=1), Texture(64, 64, seed=2)
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        shake = 0.0 if camera is None else camera[number]
        frame = ground.displaced(shake)
        frame[AROUND] = thing.displaced(x[number] + shake)
        frame = frame * (1.0 if light is None else light[number])
        yield frame + 0.004 * rng.standard_normal(SIZE)


NONE = np.zeros(COUNT)


def causes(found: Measurement, name: str = "object") -> set[str]:
    [result] = [each for each in found.regions if each.track.region.name == name]
    return {finding.cause for finding in result.findings}


def test_a_vibration_is_found_with_its_amplitude_and_the_rest_is_noise() -> None:
    still = Region(8, 8, 40, 40, "still")
    found = measure_frames(scene(sine(COUNT, 0.05, 12)), RATE, [OBJECT, still])
    moving, quiet = found.regions
    assert moving.vibrates
    assert not quiet.vibrates
    [finding] = moving.findings
    assert finding.direction == "x"
    assert finding.cause == "motion"
    assert finding.tone.frequency == pytest.approx(4, abs=0.02)
    assert finding.tone.amplitude == pytest.approx(0.05, abs=finding.tone.amplitude_error * 2)
    assert found.frames == COUNT
    assert not found.warnings


def test_a_shaking_camera_is_told_and_can_be_taken_out() -> None:
    shake = sine(COUNT, 0.3, 20)
    found = measure_frames(scene(sine(COUNT, 0.05, 12), shake), RATE, [OBJECT])
    assert causes(found) == {"camera", "motion"}
    assert found.camera_spectra is not None
    [tone] = found.camera_spectra[0].tones
    assert tone.amplitude == pytest.approx(0.3, rel=0.02)
    assert any("the whole picture moves by 0.3 px" in note for note in cautions(found))
    steady = measure_frames(scene(sine(COUNT, 0.05, 12), shake), RATE, [OBJECT], steady=True)
    assert causes(steady) == {"motion"}
    assert not any("whole picture" in note for note in cautions(steady))


def test_light_that_changes_is_no_motion() -> None:
    """Clipped highlights grow and shrink with the light, as if their edges moved."""
    light = 1 + sine(COUNT, 0.2, 15)
    frames = (frame.clip(0, 0.55) for frame in scene(NONE, light=light))
    found = measure_frames(frames, RATE, [OBJECT])
    assert not found.regions[0].vibrates
    assert any("brightness changes by" in note and "5 Hz" in note for note in cautions(found))


def test_lamps_on_the_mains_are_named() -> None:
    light = 1 + sine(COUNT, 0.05, 12)  # 4 Hz: 100 Hz at 32 frames per second
    found = measure_frames(scene(NONE, light=light), RATE, [OBJECT])
    assert any("lamps flicker at 100 Hz" in note for note in cautions(found))


def test_what_fills_too_little_of_the_picture_is_no_camera() -> None:
    """All texture is on the object: whether the camera moves is unknown."""
    thing = Texture(64, 64, seed=2)

    def frames() -> Iterator[Array]:
        for x in sine(COUNT, 0.1, 12):
            frame = np.full((240, 320), 0.5)
            frame[AROUND] = thing.displaced(x)
            yield frame

    found = measure_frames(frames(), RATE, [OBJECT])
    assert found.camera is None
    assert causes(found) == {"motion"}
    assert any("too few places" in note for note in cautions(found))


def test_fast_vibrations_may_be_aliases() -> None:
    found = measure_frames(scene(sine(COUNT, 0.1, 30)), RATE, [OBJECT])
    [note] = [each for each in cautions(found) if "alias" in each]
    assert "at 10 Hz" in note
    assert "50 frames per second" in note


def test_repeated_pixels_are_told_of_coded_clips_alone() -> None:
    found = measure_frames(scene(sine(COUNT, 0.1, 12)), RATE, [OBJECT])
    assert found.repeated < 0.01
    repeated = replace(found, repeated=0.8)
    assert not any("repeat" in note for note in cautions(repeated))
    assert any("80 % of the pixels repeat" in note for note in cautions(repeated, 0.02))


def test_a_lost_region_is_told() -> None:
    frames = [*scene(NONE)]
    frames[40:50] = np.random.default_rng(0).random((10, *SIZE))
    assert any(
        "not found again in 10 %" in n for n in cautions(measure_frames(frames, RATE, [OBJECT]))
    )


def test_uneven_times_are_made_even() -> None:
    """Half of the frames come late; the displacement is that of their times."""
    times = (np.arange(COUNT + 1) + 0.4 * (np.arange(COUNT + 1) % 2)) / RATE
    moves = 0.2 * np.sin(2 * np.pi * 4 * times[:COUNT])
    found = measure_frames(scene(moves), RATE, [OBJECT], times=tuple(times))
    tones = [f.tone for f in found.regions[0].findings]
    assert [round(t.frequency, 1) for t in tones] == [4.0]
    assert tones[0].amplitude == pytest.approx(0.2, rel=0.03)


def test_places_are_chosen_where_none_are_named() -> None:
    found = measure_frames(scene(sine(COUNT, 0.1, 12)), RATE)
    assert len(found.regions) >= 10
    assert 0 < sum(each.vibrates for each in found.regions) < len(found.regions)


@pytest.mark.parametrize("count", [0, 1, 15])
def test_clips_that_are_too_short(count: int) -> None:
    frames = [frame for frame, _ in zip(scene(NONE), range(count), strict=False)]
    with pytest.raises(MagkitError, match=r"too short|no frames"):
        measure_frames(frames, RATE, [OBJECT])


def test_clips_without_texture() -> None:
    with pytest.raises(MagkitError, match="enough texture"):
        measure_frames([np.full((60, 60), 0.5)] * 20, RATE)


@pytest.mark.parametrize("crf", [18, 28])
def test_a_still_coded_clip_is_noise(crf: int) -> None:
    rgb = np.array([np.repeat(frame[..., None], 3, 2) for frame in scene(NONE)])
    coded = code_x264((rgb.clip(0, 1) * 255).round().astype(np.uint8), crf, preset="veryfast")
    found = measure_frames((brightness(frame) for frame in coded), RATE)
    assert sum(each.vibrates for each in found.regions) == 0


def test_brightness_of_either_depth() -> None:
    eight = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    expected = eight / 255 @ (0.2126, 0.7152, 0.0722)
    np.testing.assert_allclose(brightness(eight), expected, atol=1e-12)
    np.testing.assert_allclose(brightness(eight.astype(np.uint16) * 257), expected, atol=1e-12)
    assert brightness(np.full((1, 1, 3), 255, np.uint8), "smpte170m") == pytest.approx(1)
    assert brightness(eight, "unheard of").shape == (4, 5)


def test_a_file_filmed_at_another_rate(tmp_path: Path) -> None:
    frames = (
        np.repeat((f.clip(0, 1) * 255).round().astype(np.uint8)[..., None], 3, 2)
        for f in scene(sine(COUNT, 0.5, 12))
    )
    write_video(tmp_path / "slow.mkv", frames, plain_info(SIZE[1], SIZE[0], Fraction(25), COUNT))
    found = measure_file(tmp_path / "slow.mkv", [OBJECT], capture_rate=500)
    assert found.rate == 500
    assert found.regions[0].findings[0].tone.frequency == pytest.approx(500 / 8, rel=0.002)
