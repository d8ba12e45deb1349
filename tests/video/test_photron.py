"""Recordings of Photron cameras, written by the test."""

import logging
import tracemalloc
from collections import deque
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions, open_video, write_video
from magkit.video.raw_frames import unpack

Codes = NDArray[np.uint16]

DEEP = ReadOptions(deep=True)


def packed(codes: Codes, bits: int) -> bytes:
    """Values one after another, the most significant bit first."""
    text = "".join(f"{code:0{bits}b}" for code in codes.ravel())
    text += "0" * (-len(text) % 8)
    return bytes(int(text[place : place + 8], 2) for place in range(0, len(text), 8))


def stored(codes: Codes, bits: int) -> bytes:
    return packed(codes, 12) if bits == 12 else codes.astype(f"<u{bits // 8}").tobytes()


def entries(codes: Codes, bits: int, **changes: object) -> dict[str, object]:
    """The entries of a header of frames (T, H, W) or (T, H, W, 3)."""
    colour = codes.ndim == 4
    told: dict[str, object] = {
        "Record Rate(fps)": 15000,
        "Total Frame": len(codes),
        "Image Width": codes.shape[2],
        "Image Height": codes.shape[1],
        "Color Type": "Color" if colour else "Mono",
        "Color Bit": 3 * bits if colour else bits,
        "File Format": "MRaw",
        "EffectiveBit Depth": min(bits, 12),
        "EffectiveBit Side": "Lower",
    }
    told.update({name.replace("_", " "): value for name, value in changes.items()})
    return told


def cih(told: dict[str, object]) -> bytes:
    lines = [f"{name} : {value}" for name, value in told.items() if value is not None]
    return "\r\n".join(["#Camera Information Header", *lines, "", "Image Width : 9"]).encode()


def cihx(told: dict[str, object]) -> bytes:
    text = {name: str(value) for name, value in told.items()}
    xml = (
        f"<fileInfo><date>2026/1/1</date></fileInfo>"
        f"<recordInfo><recordRate>{text['Record Rate(fps)']}</recordRate></recordInfo>"
        f"<frameInfo><totalFrame>{text['Total Frame']}</totalFrame></frameInfo>"
        f"<imageFileInfo><fileFormat>{text['File Format']}</fileFormat></imageFileInfo>"
        f"<imageDataInfo><resolution><width>{text['Image Width']}</width>"
        f"<height>{text['Image Height']}</height></resolution>"
        f"<colorInfo><type>{text['Color Type']}</type><bit>{text['Color Bit']}</bit></colorInfo>"
        f"<effectiveBit><depth>{text['EffectiveBit Depth']}</depth>"
        f"<side>{text['EffectiveBit Side']}</side></effectiveBit></imageDataInfo>"
    )
    return b"\x01\0CIHX\xff\r\n<cih>\r\n" + xml.encode() + b"\r\n</cih>\r\n\0\xfe"


def save(folder: Path, codes: Codes, bits: int, **changes: object) -> Path:
    (folder / "shot.mraw").write_bytes(stored(codes, bits))
    path = folder / "shot.cih"
    path.write_bytes(cih(entries(codes, bits, **changes)))
    return path


def ramp(bits: int, *shape: int) -> Codes:
    """Codes from 0 to the highest."""
    codes: Codes = np.linspace(0, 2**bits - 1, int(np.prod(shape))).astype(np.uint16)
    return codes.reshape(shape)


def codes_of(path: Path, bits: int, options: ReadOptions = DEEP) -> Codes:
    """The codes that deep frames stand for, rounded back."""
    frames = np.stack(list(open_video(path, options)))
    white = 255 if frames.dtype == np.uint8 else 65535
    codes: Codes = np.rint(frames / white * (2**bits - 1)).astype(np.uint16)
    return codes


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(("bits", "significant"), [(8, 8), (12, 12), (16, 12)])
def test_codes_are_read(tmp_path: Path, bits: int, significant: int, *, colour: bool) -> None:
    codes = ramp(significant, *((3, 4, 6, 3) if colour else (3, 4, 6)))
    path = save(tmp_path, codes, bits)
    info = open_video(path, DEEP).info
    assert (info.width, info.height, info.frames, info.bits) == (6, 4, 3, significant)
    assert info.rate == 15000
    read = codes_of(path, significant)
    assert read.shape == (3, 4, 6, 3)
    assert (read == (codes if colour else codes[..., None])).all()
    flat = np.stack(list(open_video(path)))
    assert flat.dtype == np.uint8
    expected = np.floor(codes * 255.0 / (2**significant - 1) + 0.5)
    assert (flat == (expected if colour else expected[..., None])).all()


def test_every_code_of_twelve_bits_survives(tmp_path: Path) -> None:
    codes = np.arange(4096, dtype=np.uint16).reshape(2, 32, 64)
    path = save(tmp_path, codes, 12)
    frames = list(open_video(path, DEEP))
    assert (np.stack(frames)[..., 1] == np.rint(codes * 65535.0 / 4095)).all()
    assert (codes_of(path, 12) == codes[..., None]).all()
    write_video(tmp_path / "out", frames, open_video(path, DEEP).info)
    again = open_video(tmp_path / "out", DEEP)
    assert (again.info.rate, again.info.bits) == (Fraction(15000), 12)
    assert (codes_of(tmp_path / "out", 12) == codes[..., None]).all()


def test_the_significant_bits_may_be_the_upper_ones(tmp_path: Path) -> None:
    codes = ramp(12, 2, 3, 4)
    told = {"EffectiveBit_Side": "Higher"}
    path = save(tmp_path, codes * np.uint16(16), 16, **told)
    assert (codes_of(path, 12) == codes[..., None]).all()
    assert open_video(path, DEEP).info.bits == 12
    stated = ReadOptions(deep=True, bits=12)
    path = save(tmp_path, codes * np.uint16(16), 16, EffectiveBit_Depth=16, **told)
    assert (codes_of(path, 12, stated) == codes[..., None]).all()
    # The depth of the camera says nothing of frames that were saved with 8 bits.
    path = save(tmp_path, ramp(8, 2, 3, 4), 8, EffectiveBit_Depth=12, **told)
    assert open_video(path, DEEP).info.bits == 8
    assert (codes_of(path, 8) == ramp(8, 2, 3, 4)[..., None]).all()


@pytest.mark.parametrize("given", ["shot.cih", "shot.cihx", "shot.mraw"])
def test_either_file_may_be_given(tmp_path: Path, given: str) -> None:
    codes = ramp(12, 3, 4, 6)
    save(tmp_path, codes, 12)
    if given == "shot.cihx":
        (tmp_path / "shot.cih").unlink()
        (tmp_path / given).write_bytes(cihx(entries(codes, 12, **{"Record Rate(fps)": "62.50"})))
    assert (codes_of(tmp_path / given, 12) == codes[..., None]).all()
    rate = Fraction(125, 2) if given == "shot.cihx" else Fraction(15000)
    assert open_video(tmp_path / given).info.rate == rate


@pytest.mark.parametrize(
    ("text", "rate"), [("29.97", Fraction(2997, 100)), ("1000000", Fraction(10**6))]
)
def test_the_rate_is_exact(tmp_path: Path, text: str, rate: Fraction) -> None:
    path = save(tmp_path, ramp(8, 3, 4, 6), 8, **{"Record Rate(fps)": text})
    assert open_video(path).info.rate == rate
    assert open_video(path, ReadOptions(rate=Fraction(5))).info.rate == 5


@pytest.mark.parametrize("text", ["External", "0", None])
def test_a_header_without_a_rate_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    path = save(tmp_path, ramp(8, 3, 4, 6), 8, **{"Record Rate(fps)": text})
    assert open_video(path).info.rate == 24
    assert "--fps" in caplog.text


def test_frames_that_were_thinned_out_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path, ramp(8, 3, 4, 6), 8, Save_Step=100)
    assert open_video(path).info.rate == 15000
    assert "--fps 150" in caplog.text


def test_parts_are_cut_at_the_frame(tmp_path: Path) -> None:
    codes = ramp(8, 10, 4, 6)
    path = save(tmp_path, codes, 8, **{"Record Rate(fps)": 1_000_000})
    part = open_video(path, start=3e-6, end=7e-6)
    assert part.info.frames == 4
    assert (np.stack(list(part))[..., 0] == codes[3:7]).all()


def test_a_stated_depth_counts(tmp_path: Path) -> None:
    path = save(tmp_path, ramp(14, 2, 3, 4), 16, EffectiveBit_Depth=16)
    stated = ReadOptions(deep=True, bits=14)
    assert open_video(path, stated).info.bits == 14
    assert (codes_of(path, 14, stated) == ramp(14, 2, 3, 4)[..., None]).all()
    wrong = save(tmp_path, ramp(14, 2, 3, 4), 16)
    with pytest.raises(MagkitError, match=r"shot\.mraw, frame 1: .*above the 4,095") as caught:
        list(open_video(wrong))
    assert "--bits" in caught.value.hint
    with pytest.raises(UsageError, match="8 bits"):
        open_video(save(tmp_path, ramp(8, 2, 3, 4), 8), ReadOptions(bits=12))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = save(tmp_path, ramp(8, 3, 4, 6), 8)
    (tmp_path / "shot.mraw").unlink()
    with pytest.raises(MagkitError, match=r"shot\.mraw is missing"):
        open_video(path)
    path.rename(tmp_path / "shot.mraw")
    with pytest.raises(MagkitError, match=r"shot\.cih or shot\.cihx is missing"):
        open_video(tmp_path / "shot.mraw")


def test_truncated_frames_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path, ramp(8, 3, 4, 6), 8)
    video = open_video(path)
    frames = tmp_path / "shot.mraw"
    frames.write_bytes(frames.read_bytes()[:-1])
    with pytest.raises(MagkitError, match=r"breaks off in frame 3 of 3"):
        list(video)
    with pytest.raises(MagkitError, match=r"breaks off after 2 of 3 frames"):
        open_video(path)


def test_a_file_of_another_size_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path, ramp(8, 3, 4, 6), 8, Image_Width=5)
    assert open_video(path).info.frames == 3
    assert "another recording" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Image_Width": None}, "no header"),
        ({"Image_Height": None}, "'Image Height'"),
        ({"Image_Width": "six"}, "'six'"),
        ({"Image_Width": 0}, "above 0"),
        ({"Total_Frame": -3}, "above 0"),
        ({"Total_Frame": 10**9}, "breaks off after 3 of 1000000000"),
        ({"Image_Width": 10**9, "Image_Height": 10**9}, "breaks off after 0 of 3"),
        ({"Image_Width": 10**4000}, "'Image Width'"),
        ({"Color_Bit": 7}, "7 bits a pixel"),
        ({"Color_Type": "Bayer"}, "bayer, not Mono"),
        ({"File_Format": "AVI"}, "AVI, not MRaw"),
        ({"EffectiveBit_Depth": 3}, "3 bits are in use"),
        ({"EffectiveBit_Depth": "x"}, "'EffectiveBit Depth'"),
        ({"Color_Bit": 12, "Image_Width": 3, "Image_Height": 3}, "fill whole bytes"),
    ],
)
def test_a_wrong_header_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    codes = ramp(8, 3, 4, 6)
    (tmp_path / "shot.mraw").write_bytes(stored(codes, 8))
    told = entries(codes, 8, **changes)
    text = cih(told)
    if told["Image Width"] is None:
        text = text.replace(b"Image Width : 9", b"")
    (tmp_path / "shot.cih").write_bytes(text)
    with pytest.raises(MagkitError, match=message):
        open_video(tmp_path / "shot.cih")


@pytest.mark.parametrize("damage", [b"<cih><a></cih>", b"<cih>&x;</cih>", b"<cih></cih>", b"\xff"])
def test_a_damaged_cihx_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "shot.mraw").write_bytes(b"1" * 72)
    (tmp_path / "shot.cihx").write_bytes(damage)
    with pytest.raises(MagkitError, match=r"shot\.cihx"):
        open_video(tmp_path / "shot.cihx")


@given(st.integers(9, 15).flatmap(lambda bits: st.tuples(
    st.just(bits), st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40)
)))  # fmt: skip
def test_packed_values_are_unpacked(drawn: tuple[int, list[int]]) -> None:
    bits, values = drawn
    codes = np.array(values, np.uint16)
    data = np.frombuffer(packed(codes, bits), np.uint8)
    assert (unpack(data, bits)[: codes.size] == codes).all()


def test_a_large_file_is_streamed(tmp_path: Path) -> None:
    count, width, height = 3000, 1024, 1024
    with (tmp_path / "big.mraw").open("wb") as file:
        file.truncate(count * width * height)  # 3 GB without content
        file.seek((count - 1) * width * height)
        file.write(b"\x07" * 100)
    told = {
        "Record Rate(fps)": 1000, "Total Frame": count, "Image Width": width,
        "Image Height": height, "Color Type": "Mono", "Color Bit": 8,
    }  # fmt: skip
    (tmp_path / "big.cih").write_bytes(cih(told))
    tracemalloc.start()
    (last,) = deque(open_video(tmp_path / "big.cih", start=2.9), maxlen=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last[0, :101, 0].tolist() == [7] * 100 + [0]
    assert peak < 12 * width * height  # bytes: some copies of a frame


def test_pymraw_agrees(tmp_path: Path) -> None:
    reader = pytest.importorskip("pyMRAW")
    path = save(tmp_path, ramp(12, 3, 4, 6), 12)
    images, _ = reader.load_video(str(path))
    assert (codes_of(path, 12)[..., 0] == np.asarray(images)).all()


def test_a_sound_recording_is_read_without_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        list(open_video(save(tmp_path, ramp(12, 3, 4, 6), 12)))
    assert not caplog.records


def test_a_comment_of_any_bytes_does_no_harm(tmp_path: Path) -> None:
    codes = ramp(12, 3, 4, 6)
    save(tmp_path, codes, 12)
    (tmp_path / "shot.cih").unlink()
    comment = (
        b"<basicInfo><comment>" + "振動".encode("shift_jis") + b"\x02\xff</comment></basicInfo>"
    )
    text = cihx(entries(codes, 12)).replace(b"<fileInfo>", comment + b"<fileInfo>")
    (tmp_path / "shot.cihx").write_bytes(text)
    assert (codes_of(tmp_path / "shot.cihx", 12) == codes[..., None]).all()
