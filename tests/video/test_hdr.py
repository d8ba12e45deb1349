"""Static HDR metadata stays with a clip: in every container of 10 bits, and in a folder."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from magkit.errors import MagkitError
from magkit.video import ReadOptions, open_video, write_video
from magkit.video.folder import open_folder
from magkit.video.info import StaticHdr
from magkit.video.showinfo import parse_hdr

Ffmpeg = Callable[..., str]
Describe = Callable[[Path], str]

# Display P3 as x265 takes it: chromaticities in units of 0.00002, luminances of 0.0001 cd/m2.
P3 = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
DISPLAY = StaticHdr(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)), (0.005, 1000))
BOTH = replace(DISPLAY, light_levels=(1000, 400))


@pytest.fixture
def pq(tmp_path: Path, ffmpeg: Ffmpeg) -> Callable[[str], Path]:
    """Makes three frames in PQ, with these options of x265 besides."""

    def make(told: str) -> Path:
        path = tmp_path / "pq.mp4"
        tags = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
        picture = ["-f", "lavfi", "-i", f"testsrc2=s=64x48:r=30000/1001:d=0.1,{tags}"]
        coded = ["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-tag:v", "hvc1"]
        ffmpeg(*picture, *coded, "-x265-params", f"log-level=error:{told}", path)
        return path

    return make


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (f"master-display={P3}:max-cll=1000,400", BOTH),
        (f"master-display={P3}", DISPLAY),
        ("max-cll=1000,400", StaticHdr(light_levels=(1000, 400))),
        ("aq-mode=2", None),
    ],
)
def test_what_is_told_is_read(
    pq: Callable[[str], Path], told: str, expected: StaticHdr | None
) -> None:
    assert open_video(pq(told)).info.hdr == expected


def _told(listing: str) -> set[str]:
    """The lines that ffmpeg itself lists of the stream and of each frame."""
    found = re.findall(r"((?:Mastering display|Content light level) metadata: .*)", listing)
    return {line.strip() for line in found}


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("height", "times"), [(48, None), (47, (0.0, 0.1, 0.3, 0.4))])
def test_it_stays_in_every_container(
    pq: Callable[[str], Path],
    describe: Describe,
    tmp_path: Path,
    suffix: str,
    height: int,
    times: tuple[float, ...] | None,
) -> None:
    source, path = pq(f"master-display={P3}:max-cll=1000,400"), tmp_path / f"out{suffix}"
    video = open_video(source, ReadOptions(deep=True))
    info = replace(video.info, height=height, times=times)
    write_video(path, (frame[:height] for frame in video), info)
    assert _told(describe(path)) == _told(describe(source))
    assert len(_told(describe(path))) == 2
    again = open_video(path).info
    assert (again.frames, again.bits, again.color_transfer) == (3, 10, "smpte2084")
    assert again.rate == Fraction(30000, 1001) if times is None else again.times is not None


def test_frames_are_the_same_with_and_without(pq: Callable[[str], Path], tmp_path: Path) -> None:
    video = open_video(pq(f"master-display={P3}"), ReadOptions(deep=True))
    decoded = []
    for name, info in (("with", video.info), ("without", replace(video.info, hdr=None))):
        path = tmp_path / f"{name}.webm"
        write_video(path, video, info)
        decoded.append([frame.tobytes() for frame in open_video(path, ReadOptions(deep=True))])
    assert decoded[0] == decoded[1]


def test_eight_bits_do_not_have_it(
    pq: Callable[[str], Path], describe: Describe, tmp_path: Path
) -> None:
    video, path = open_video(pq(f"master-display={P3}:max-cll=1000,400")), tmp_path / "out.mp4"
    write_video(path, video, video.info)
    assert not _told(describe(path))


@pytest.mark.parametrize("hdr", [BOTH, DISPLAY, StaticHdr(light_levels=(1000, 0)), None])
def test_a_folder_keeps_it(
    pq: Callable[[str], Path], tmp_path: Path, hdr: StaticHdr | None
) -> None:
    video, folder = open_video(pq("aq-mode=2"), ReadOptions(deep=True)), tmp_path / "frames"
    write_video(folder, video, replace(video.info, hdr=hdr))
    assert open_video(folder).info.hdr == hdr


@pytest.mark.parametrize(
    "hdr",
    [
        [],
        "P3",
        {"brightness": 3},
        {"light_levels": [1000]},
        {"light_levels": [1000, 70_000]},
        {"light_levels": [1000.5, 2]},
        {"luminance": [1000, 0.005]},
        {"luminance": [0, float("nan")]},
        {"luminance": "10"},
        {"primaries": [[0.3, 0.3]] * 3},
        {"primaries": [[0.3, 0.3], [0.3, 0.3], [0.3, 0.3], [0.3, 1.5]]},
        {"primaries": [[0.3, 0.3], [0.3, 0.3], [0.3, 0.3], 0.3]},
    ],
)
def test_a_sidecar_with_wrong_values_is_refused(tmp_path: Path, hdr: object) -> None:
    from PIL import Image

    Image.new("RGB", (2, 2)).save(tmp_path / "000000.png")
    (tmp_path / "magkit.json").write_text(json.dumps({"hdr": hdr}))
    with pytest.raises(MagkitError, match=r"magkit\.json"):
        open_folder(tmp_path)


FRAME = (
    "Mastering display metadata: has_primaries:{} has_luminance:{} r(0.6800,0.3200) "
    "g(0.2650,0.6900) b(0.1500 0.0600) wp(0.3127, 0.3290) min_luminance={}, max_luminance={}\n"
    "Content light level metadata: MaxCLL={}, MaxFALL={}"
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 1, "0.005000", "1000.000000", 1000, 400), BOTH),
        ((1, 0, "0.000000", "0.000000", 0, 0), replace(DISPLAY, luminance=None)),
        ((0, 1, "0.005000", "1000.000000", 0, 0), StaticHdr(luminance=(0.005, 1000))),
        ((0, 0, "-nan", "nan", 0, 7), StaticHdr(light_levels=(0, 7))),
        ((0, 0, "0.000000", "0.000000", 0, 0), None),
        ((0, 1, "5.000000", "1.000000", 99_999, 7), None),
    ],
)
def test_what_cannot_be_true_is_left_out(
    values: tuple[object, ...], expected: StaticHdr | None
) -> None:
    assert parse_hdr(FRAME.format(*values)) == expected
