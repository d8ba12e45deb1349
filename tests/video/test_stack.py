"""TIFF files of many pages are clips."""

import logging
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions, open_video
from magkit.video.tiff import open_stack

TONES = (100, 2000, 4095)


def frames(*tones: int, size: tuple[int, int] = (6, 4)) -> list[NDArray[np.uint16]]:
    return [np.full(size[::-1], tone, np.uint16) for tone in tones]


def save(
    path: Path,
    pages: list[NDArray[np.uint16]] | list[NDArray[np.uint8]],
    description: str = "",
    compression: str = "raw",
) -> Path:
    first, *rest = [Image.fromarray(page) for page in pages]
    first.save(
        path,
        save_all=True,
        append_images=rest,
        compression=compression,
        description=description,
    )
    return path


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_pages_are_frames(tmp_path: Path, compression: str) -> None:
    path = save(tmp_path / "a.tif", frames(*TONES), compression=compression)
    info, stream = open_stack(path, ReadOptions(bits=12, deep=True))
    assert (info.width, info.height, info.frames, info.bits) == (6, 4, 3, 12)
    assert [int(frame[3, 5, 2]) for frame in stream(0, 3)] == [
        round(tone * 65535 / 4095) for tone in TONES
    ]
    info, stream = open_stack(path, ReadOptions(bits=12))
    assert [int(frame[0, 0, 0]) for frame in stream(1, 3)] == [round(2000 * 255 / 4095), 255]


def test_every_code_of_twelve_bits_survives(tmp_path: Path) -> None:
    codes = np.arange(4096, dtype=np.uint16).reshape(2, 32, 64)
    path = save(tmp_path / "a.tif", list(codes))
    deep = np.stack(list(open_video(path, ReadOptions(bits=12, deep=True))))
    assert (np.rint(deep * (4095 / 65535)) == codes[..., None]).all()


def test_colour_pages_are_read_one_after_another(tmp_path: Path) -> None:
    pages = [np.full((4, 6, 3), tone, np.uint8) for tone in range(9)]
    _, stream = open_stack(save(tmp_path / "a.tif", pages))
    assert [int(frame[0, 0, 0]) for frame in stream(2, 7)] == [2, 3, 4, 5, 6]


def test_a_stack_that_tells_no_rate_plays_at_24_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "a.tif", frames(*TONES))
    with caplog.at_level(logging.WARNING):
        assert open_stack(path, ReadOptions(bits=12))[0].rate == 24
    assert "--fps" in caplog.text
    caplog.clear()
    assert open_stack(path, ReadOptions(bits=12, rate=Fraction(250)))[0].rate == 250
    assert not caplog.records


@pytest.mark.parametrize(
    ("description", "rate"),
    [
        ("ImageJ=1.54f\nimages=3\nfinterval=0.05\nfps=7\n", Fraction(20)),
        ("ImageJ=1.54f\nimages=3\nfinterval=4.0\ntunit=ms\n", Fraction(250)),
        ("ImageJ=1.54f\nimages=3\nfps=29.97\n", Fraction(30000, 1001)),
        ('<OME><Pixels TimeIncrement="0.02" SizeT="3"/></OME>', Fraction(50)),
        ('<Pixels TimeIncrement="2" TimeIncrementUnit="ms"/>', Fraction(500)),
    ],
)
def test_the_rate_is_what_the_file_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, description: str, rate: Fraction
) -> None:
    path = save(tmp_path / "a.tif", frames(*TONES), description)
    assert open_stack(path, ReadOptions(bits=12))[0].rate == rate
    assert not caplog.records


def test_a_page_of_another_size_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", [*frames(9, 9), *frames(9, size=(3, 2))])
    with pytest.raises(MagkitError, match=r"page 3 is 3x2, .* 6x4"):
        open_video(path)


def test_a_smaller_version_of_a_page_is_no_frame(tmp_path: Path) -> None:
    small = Image.fromarray(frames(9, size=(3, 2))[0])
    tags = ImageFileDirectory_v2()
    tags[254] = 1
    small.encoderinfo = {"tiffinfo": tags}
    pages = [Image.fromarray(page) for page in frames(*TONES)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=[pages[1], small, pages[2]])
    info, stream = open_stack(tmp_path / "a.tif", ReadOptions(bits=12))
    assert info.frames == 3
    assert [int(frame[0, 0, 0]) for frame in stream(0, 3)][2] == 255
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=[small])
    with pytest.raises(MagkitError, match="still picture"):
        open_video(tmp_path / "b.tif")


def test_the_first_page_tells_the_depth_of_all(tmp_path: Path) -> None:
    first, *rest = [Image.fromarray(page) for page in frames(*TONES)]
    for page in rest:
        page.encoderinfo = {"description": "another page"}
    text = "ImageJ=1.54f\nimages=3\nfps=9\nmin=0.0\nmax=4095.0\n"
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest, description=text)
    assert open_stack(tmp_path / "a.tif")[0].bits == 12


@pytest.mark.parametrize("held", ["slices=3", "frames=3", "channels=99"])
def test_a_lone_axis_is_time(tmp_path: Path, held: str) -> None:
    text = f"ImageJ=1.54f\nimages=3\n{held}\nfps=9\n"
    assert (
        open_stack(save(tmp_path / "a.tif", frames(*TONES), text), ReadOptions(bits=12))[0].frames
        == 3
    )


@pytest.mark.parametrize("held", ["channels=3", "slices=2\nframes=3"])
def test_channels_and_slices_are_no_frames(tmp_path: Path, held: str) -> None:
    path = save(tmp_path / "a.tif", frames(*TONES), f"ImageJ=1.54f\nimages=3\n{held}\n")
    with pytest.raises(MagkitError, match=r"3 (channels|frames)"):
        open_video(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_images_without_pages_of_their_own_are_frames(tmp_path: Path, order: str) -> None:
    # ImageJ writes stacks above 4 GB so, and other programs all stacks.
    path = tmp_path / "a.tif"
    path.write_bytes(_big_stack(frames(*TONES), order))
    info, stream = open_stack(path, ReadOptions(bits=12, rate=Fraction(9)))
    assert info.frames == 3
    assert [int(frame[2, 3, 1]) for frame in stream(0, 3)] == [6, 125, 255]
    with pytest.raises(MagkitError, match=r"a\.tif holds 3 frames"):
        open_video(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MagkitError, match="breaks off after 2 of 3"):
        open_stack(path)


def test_a_description_of_images_that_are_not_there_is_passed_over(tmp_path: Path) -> None:
    # Programs that write one page copy the description of the stack it is from.
    text = "ImageJ=1.54f\nimages=999999999\n"
    path = save(tmp_path / "1.tif", frames(9), text)
    assert open_video(tmp_path).info.frames == 1
    with pytest.raises(MagkitError, match="still picture"):
        open_video(path)


def _big_stack(pages: list[NDArray[np.uint16]], order: str) -> bytes:
    """One directory, a description, then the pixels of every page."""
    text = f"ImageJ=1.54f\nimages={len(pages)}\nslices={len(pages)}\n\0".encode()
    height, width = pages[0].shape
    text_at = 8 + 2 + 12 * 9 + 4
    offset = text_at + len(text)
    numbers = {256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: offset}
    numbers |= {277: 1, 279: 2 * width * height}
    entries = {tag: struct.pack(order + "HHII", tag, 4, 1, n) for tag, n in numbers.items()}
    entries[270] = struct.pack(order + "HHII", 270, 2, len(text), text_at)
    directory = struct.pack(order + "H", 9) + b"".join(entries[tag] for tag in sorted(entries))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    pixels = np.stack(pages).astype(f"{order}u2").tobytes()
    return head + directory + struct.pack(order + "I", 0) + text + pixels


def test_numbers_of_unknown_range_are_refused_by_name(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.zeros((4, 6), np.float32))] * 2
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(MagkitError, match=r"a\.tif .*floating"):
        open_video(tmp_path / "a.tif")


def test_a_value_above_the_stated_depth_names_the_page(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", frames(*TONES))
    with pytest.raises(MagkitError, match=r"page 2: .*2,000") as caught:
        list(open_stack(path, ReadOptions(bits=10))[1](0, 3))
    assert "--bits 12" in caught.value.hint
    for bits in (7, 17):
        with pytest.raises(UsageError, match=f"not {bits}"):
            open_stack(path, ReadOptions(bits=bits))
