"""What is written is to another reader what was given: size, count, rate and colours."""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.video import VideoInfo, WriteOptions, open_video, plain_info, write_video

Frames = list[NDArray[np.uint8]]
Describe = Callable[[Path], str]
Ffmpeg = Callable[..., str]

NTSC = Fraction(30000, 1001)
VIDEOS = [".mp4", ".m4v", ".mov", ".mkv", ".webm"]


def _frames(width: int, height: int, count: int) -> Frames:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize("suffix", VIDEOS)
@pytest.mark.parametrize("size", [(64, 48), (65, 47), (1, 1), (5, 3)])
def test_size_count_and_rate_are_exact(
    tmp_path: Path,
    describe: Describe,
    count: Callable[[Path], int],
    suffix: str,
    size: tuple[int, int],
) -> None:
    path = tmp_path / f"out{suffix}"
    assert write_video(path, _frames(*size, 10), plain_info(*size, NTSC)) == 10
    said = describe(path)
    assert count(path) == 10
    assert f" s:{size[0]}x{size[1]} " in said
    assert "29.97 fps" in said
    assert open_video(path).info.rate == NTSC
    if suffix in {".mp4", ".m4v", ".mov"}:
        assert "frame_rate: 30000/1001" in said
        times = [int(t) for t in re.findall(r"\] n: *\d+ pts: *(\d+)", said)]
        # The clock of the file counts the frames exactly: no frame is early or late.
        assert len({b - a for a, b in pairwise(times)}) == 1


@pytest.mark.parametrize("suffix", [*VIDEOS, ".gif"])
def test_one_frame_is_a_video(tmp_path: Path, count: Callable[[Path], int], suffix: str) -> None:
    path = tmp_path / f"one{suffix}"
    write_video(path, _frames(16, 16, 1), plain_info(16, 16, Fraction(25)))
    assert count(path) == 1
    assert sum(1 for _ in open_video(path)) == 1


@pytest.mark.parametrize(
    ("size", "suffix", "codec", "pixels"),
    [
        ((64, 48), ".mp4", "h264", "yuv420p"),
        ((65, 48), ".mp4", "vp9", "yuv420p"),
        ((64, 48), ".webm", "vp9", "yuv420p"),
        ((65, 48), ".mov", "prores", "yuv422p10le"),
    ],
)
def test_codecs_are_those_that_players_show(
    tmp_path: Path,
    describe: Describe,
    size: tuple[int, int],
    suffix: str,
    codec: str,
    pixels: str,
) -> None:
    path = tmp_path / f"out{suffix}"
    write_video(path, _frames(*size, 2), plain_info(*size, Fraction(25)))
    assert re.search(rf"Video: {codec} .*{pixels}", describe(path))


COLOURS = [
    *product([".mp4"], ["smpte170m", "bt470bg", "bt709", "bt2020nc"], ["tv", "pc"]),
    *product([".mov", ".mkv"], ["smpte170m"], ["pc"]),
    *product([".webm"], ["smpte170m", "bt709"], ["tv", "pc"]),
]


@pytest.mark.parametrize(("suffix", "matrix", "span"), COLOURS)
def test_colours_come_back_without_a_bias_and_tagged(
    tmp_path: Path, describe: Describe, colourful: Frames, suffix: str, matrix: str, span: str
) -> None:
    path = tmp_path / f"out{suffix}"
    info = replace(
        plain_info(96, 64, Fraction(25)),
        color_matrix=matrix,
        color_range="pc" if span == "pc" else "tv",
        color_primaries="bt709",
        color_transfer="smpte170m",
    )
    write_video(path, colourful, info, WriteOptions(quality=4))
    tags = f"color_range:{span} color_space:{matrix} color_primaries:bt709 color_trc:smpte170m"
    assert tags in describe(path)
    back = open_video(path)
    assert back.info == replace(info, frames=6)
    error = np.stack(list(back)).astype(float) - np.stack(colourful)
    assert np.abs(error).mean() < 0.8
    assert np.abs(error.mean((0, 1, 2))).max() < 0.25


def test_unknown_primaries_stay_unknown(
    tmp_path: Path, describe: Describe, colourful: Frames
) -> None:
    info = replace(
        plain_info(96, 64, Fraction(25)), color_primaries="unknown", color_transfer="unknown"
    )
    write_video(tmp_path / "out.mp4", colourful, info)
    assert "color_primaries:unknown color_trc:unknown" in describe(tmp_path / "out.mp4")


def test_chroma_is_placed_where_h264_has_it(
    tmp_path: Path, ffmpeg: Ffmpeg, colourful: Frames
) -> None:
    """A red edge stays within a quarter of a pixel when another program reads it."""
    ramp = np.clip((np.arange(96) - 40) * 8, 0, 160).astype(np.uint8)
    frame = np.full((64, 96, 3), 40, np.uint8)
    frame[..., 0] += ramp
    path, raw = tmp_path / "edge.mp4", tmp_path / "edge.yuv"
    write_video(path, [frame], plain_info(96, 64, Fraction(25)), WriteOptions(quality=0))
    ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", raw)
    red = np.frombuffer(raw.read_bytes(), np.uint8)[96 * 64 + 48 * 32 :].reshape(32, 48)[16]
    # Left-sited chroma samples stand on the even columns of the luma.
    expected = 128 + 224 * 0.5 * frame[0, ::2, 0].astype(float) / 255 - 224 * 0.5 * 40 / 255
    slope = 224 * 0.5 * 8 / 255
    middle = slice(22, 29)
    assert abs((red[middle] - expected[middle]).mean()) < 0.25 * slope


@pytest.mark.parametrize("suffix", VIDEOS)
def test_pixel_aspect_is_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"wide{suffix}"
    info = replace(plain_info(60, 42, Fraction(25)), pixel_aspect=Fraction(7, 6))
    write_video(path, _frames(60, 42, 2), info)
    assert open_video(path).info.pixel_aspect == Fraction(7, 6)


def test_quality_is_high_by_default_and_can_be_set(tmp_path: Path, colourful: Frames) -> None:
    info = plain_info(96, 64, Fraction(25))
    sizes = []
    for quality in (0, None, 40):
        path = tmp_path / f"{quality}.mp4"
        write_video(path, colourful, info, WriteOptions(quality=quality))
        sizes.append(path.stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]
    error = np.stack(list(open_video(tmp_path / "None.mp4"))).astype(float) - np.stack(colourful)
    assert np.abs(error).mean() < 1


@pytest.mark.parametrize(("name", "quality"), [("a.mp4", 52), ("b.gif", 5), ("c", 5), ("d.avi", 5)])
def test_what_a_format_cannot_do_is_refused(tmp_path: Path, name: str, quality: int) -> None:
    with pytest.raises(UsageError):
        write_video(
            tmp_path / name,
            _frames(4, 4, 1),
            plain_info(4, 4, Fraction(25)),
            WriteOptions(quality=quality),
        )
    assert not list(tmp_path.iterdir())


def test_a_gif_keeps_count_rate_and_looks(
    tmp_path: Path, count: Callable[[Path], int], colourful: Frames
) -> None:
    path = tmp_path / "out.gif"
    # The last frames are equal: an encoder that drops repeats would shorten the clip.
    frames = [*colourful, colourful[-1], colourful[-1]]
    write_video(path, frames, plain_info(96, 64, Fraction(25)))
    assert count(path) == 8
    back = open_video(path)
    assert back.info.rate == 25
    assert back.info.frames == 8
    assert np.abs(np.stack(list(back)).astype(float) - np.stack(frames)).mean() < 6


def test_a_gif_that_players_would_slow_down_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 50"):
        write_video(tmp_path / "a.gif", _frames(4, 4, 1), plain_info(4, 4, Fraction(60)))


def test_progress_hears_every_frame(tmp_path: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    info = plain_info(16, 16, Fraction(25), frames=3)
    write_video(
        tmp_path / "a.mp4", _frames(16, 16, 3), info, progress=lambda *seen: heard.append(seen)
    )
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_frames_of_another_size_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frame 2"):
        write_video(
            tmp_path / "a.mp4",
            [*_frames(4, 4, 1), *_frames(6, 4, 1)],
            plain_info(4, 4, Fraction(25)),
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["evm_guitar.mp4", "crane_crop.mp4"])
def test_real_clips_pass_through_alike(data_root: Path, tmp_path: Path, name: str) -> None:
    source = data_root / "clips" / name
    video = open_video(source, end=0.5)
    path = tmp_path / "out.mp4"
    write_video(path, video, video.info, WriteOptions(quality=4), sound=video.sound)
    back = open_video(path)
    assert replace(back.info, frames=None) == replace(video.info, frames=None)
    before, after = np.stack(list(video)).astype(float), np.stack(list(back))
    # Colours outside what RGB holds are cut off once; all others come back.
    inside = ((before > 4) & (before < 251)).all(-1)
    error = (after - before)[inside]
    # The guitar's chroma is noise from pixel to pixel, half of it beside colours that are cut off.
    limit, bias = (1.5, 0.6) if name == "evm_guitar.mp4" else (1, 0.2)
    assert np.abs(error).mean() < limit
    assert np.abs(error.mean(0)).max() < bias


def test_info_is_what_another_clip_starts_from() -> None:
    info = plain_info(1280, 720, Fraction(25))
    assert isinstance(info, VideoInfo)
    assert info.color_matrix == info.color_primaries == info.color_transfer == "bt709"


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_same_clip_is_written_as_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        path = tmp_path / f"{name}{suffix}"
        write_video(path, _frames(16, 16, 2), plain_info(16, 16, Fraction(25)))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
