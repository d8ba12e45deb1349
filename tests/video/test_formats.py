"""What is a picture, what a video made of pictures, and what isn't read."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError
from magkit.video import open_video
from magkit.video.formats import READABLE, clip_format, image_format

without_heif = pytest.mark.skipif("HEIC" in READABLE, reason="pillow-heif reads HEIC")

rng = np.random.default_rng(0)


def picture(kind: str, size: tuple[int, int] = (32, 24), tone: int = 90, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (tone,) * 3).save(file, kind, **options)
    return file.getvalue()


def test_raw_motion_jpeg_is_a_video(tmp_path: Path, ffmpeg: Callable[..., str]) -> None:
    path = tmp_path / "a.mjpeg"
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1"]
    ffmpeg(*source, "-c:v", "mjpeg", "-f", "mjpeg", path)
    assert clip_format(path) is None
    assert len(list(open_video(path))) == 25


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG"])
def test_pictures_one_after_another_are_a_video(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "stream.bin"
    path.write_bytes(b"".join(picture(kind, tone=tone) for tone in (50, 90, 130)))
    assert clip_format(path) is None
    tones = [int(frame[0, 0, 0]) for frame in open_video(path)]
    assert tones == pytest.approx([50, 90, 130], abs=2)
    path.write_bytes(picture(kind, tone=50) + b"\0" * 64 + picture(kind, tone=90)[:-20])
    assert (clip_format(path) is not None) == (
        kind != "JPEG"
    )  # zeros fill up frames of motion JPEG alone


def with_thumbnail() -> bytes:
    image = Image.new("RGB", (32, 24))
    exif = image.getexif()
    # A JPEG inside of a tag of the photograph's EXIF block.
    exif[0x9286] = picture("JPEG", (32, 24))
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def multi_picture(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 24)).save(
        file, "MPO", save_all=True, append_images=[Image.new("RGB", size)]
    )
    return file.getvalue()


STILLS = {
    "trailing text": picture("JPEG") + b"SEFT trailer of a camera" * 9,
    "trailing smaller picture": picture("JPEG") + picture("JPEG", (16, 12)),
    "trailing video": picture("JPEG") + b"\0\0\0\x18ftypmp42" + bytes(99),
    "thumbnail": with_thumbnail(),
    "MPO": multi_picture((16, 12)),
    "MPO of one size": multi_picture((32, 24)),
    "listed in XMP": picture("JPEG", xmp=b"<Container:Directory/>") + picture("JPEG"),
    "cut": picture("JPEG")[:300],
    "zeros": picture("PNG") + bytes(99),
    "text after PNG": picture("PNG") + b"more",
}


@pytest.mark.parametrize("name", STILLS)
def test_a_photograph_is_a_still_picture_whatever_follows_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_bytes(STILLS[name])
    assert clip_format(tmp_path / "a.jpg")
    with pytest.raises(MagkitError, match=r"a\.jpg"):
        open_video(tmp_path / "a.jpg")


def test_a_noisy_jpeg_is_one_picture(tmp_path: Path) -> None:
    # Coded noise holds every pair of bytes, such as those that begin and end pictures.
    image = Image.fromarray(rng.integers(0, 256, (256, 256, 3), np.uint8))
    for progressive in (False, True):
        image.save(tmp_path / "a.jpg", quality=95, progressive=progressive)
        assert clip_format(tmp_path / "a.jpg")


def test_tiffs_are_stacks(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(picture("TIFF"))
    assert image_format(tmp_path / "a.bin") == "TIFF"
    (tmp_path / "a.bin").write_bytes(picture("PNG"))
    assert image_format(tmp_path / "a.bin") != "TIFF"


def box(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + bytes(40)


UNREAD = {
    "a.heic": (box(b"heic"), "HEIC"),
    "a.jpg": (box(b"mif1"), "HEIC"),
    "a.cr3": (box(b"crx "), "camera raw"),
    "a.cr2": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "camera raw"),
    "a.NEF": (b"MM\0*" + bytes(40), "camera raw"),
    "a.dng": (b"II*\0" + bytes(40), "camera raw"),
    "a.psd": (b"8BPS\0\x01" + bytes(40), "Photoshop"),
    "a.svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "a.exr": (b"v/1\x01\x02" + bytes(40), "OpenEXR"),
    "a.hdr": (b"#?RADIANCE\n" + bytes(40), "Radiance HDR"),
    "a.jxl": (b"\xff\x0a" + bytes(40), "JPEG XL"),
    "b.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
    "a.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 " + bytes(40), "JPEG 2000"),
}


@without_heif
@pytest.mark.parametrize("name", UNREAD)
def test_pictures_that_are_not_read_are_named(tmp_path: Path, name: str) -> None:
    content, kind = UNREAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert image_format(path) == kind
    with pytest.raises(MagkitError, match=rf"{name} is {kind}") as caught:
        open_video(path)
    assert "convert it" in caught.value.hint


def test_a_video_is_no_picture(clip: Path, tmp_path: Path) -> None:
    assert image_format(clip) is None
    motion = tmp_path / "a.mj2"
    motion.write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2" + bytes(40))
    assert image_format(motion) is None


def save(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder


@without_heif
@pytest.mark.parametrize("name", ["IMG_1.HEIC", "1.jxl", "1.cr3", "1.pgm", "1.dpx"])
def test_a_folder_of_pictures_that_are_not_read_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(MagkitError, match=rf"{name} is ") as caught:
        open_video(save(tmp_path / "a", name, box(b"heic")))
    assert "convert it" in caught.value.hint


@without_heif
def test_a_frame_of_a_kind_that_is_not_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for number in (1, 3):
        save(folder, f"IMG_{number}.jpg", picture("JPEG"))
    save(folder, "IMG_2.HEIC", box(b"heic"))
    with pytest.raises(MagkitError, match=r"IMG_2\.HEIC is HEIC"):
        open_video(folder)
    # Under a false name as well.
    (folder / "IMG_2.HEIC").rename(folder / "IMG_2.jpg")
    with pytest.raises(MagkitError, match=r"IMG_2\.jpg is HEIC"):
        open_video(folder)


def test_raw_twins_and_other_files_beside_frames_are_no_frames(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for number in (1, 2):
        save(folder, f"IMG_{number}.jpg", picture("JPEG"))
        save(folder, f"IMG_{number}.CR3", box(b"crx "))
    save(folder, "result_x10.gif", picture("GIF"))
    save(folder, "plan.svg", b"<svg/>")
    assert open_video(folder).info.frames == 2
