"""Whatever is wrong with a file, a disk or the user's patience: one sentence, nothing left over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from magkit.errors import MagkitError, UsageError
from magkit.video import WriteOptions, open_video, plain_info, write_video
from magkit.video import ffmpeg as running
from magkit.video.decode import _DamageDetector, declared_size

Ffmpeg = Callable[..., str]

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="does not exist"):
        open_video(tmp_path / "nothing.mp4")


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{clip}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {clip}\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="x"/>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5 RTP/AVP 96\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat", ".mpd", ".sdp", ".svg", ""])
def test_a_file_that_opens_others_is_refused(
    tmp_path: Path, clip: Path, kind: str, suffix: str
) -> None:
    path = tmp_path / f"list{suffix}"
    path.write_text(PLAYLISTS[kind].format(clip=clip.name))
    with pytest.raises(MagkitError, match=r"playlist|text file|not a video"):
        open_video(path)


def test_a_name_is_never_a_pattern_or_a_protocol(tmp_path: Path, clip: Path) -> None:
    for name in ("concat:a|b.mp4", "%03d.mp4", "-y.mp4", "http:x.mp4"):
        if sys.platform == "win32" and set(name) & set(":|"):
            continue
        path = tmp_path / name
        path.write_bytes(clip.read_bytes())
        assert sum(1 for _ in open_video(path)) == 50


def test_no_demuxer_that_opens_other_files_is_allowed() -> None:
    allowed = set(running._demuxers().split(","))
    assert {"mov", "matroska", "avi", "gif"} <= allowed
    assert not allowed & {"hls", "concat", "dash", "image2", "sdp", "rtsp", "lavfi", "imf"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"hello\n" * 50, "text file"),
        (bytes(range(256)) * 20, "not a video"),
        (b"\0\0\0\x18ftypmp42" + bytes(400), "cut short|not a video"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(MagkitError, match=sentence):
        open_video(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts", ".avi", ".mpg"])
def test_a_cut_clip_is_never_taken_for_a_shorter_one(
    tmp_path: Path, ffmpeg: Ffmpeg, suffix: str
) -> None:
    path = tmp_path / f"clip{suffix}"
    front = ["-movflags", "+faststart"] if suffix == ".mp4" else []
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=4", "-g", "25", *front, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.6)])
    frames: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []
    with pytest.raises(MagkitError, match="breaks off after") as broken:
        frames.extend(open_video(path))
    assert f"after {len(frames)} frames" in broken.value.message
    assert 30 < len(frames) < 90
    # What lies before the break can be had.
    assert sum(1 for _ in open_video(path, end=1.0)) == 25


def test_damage_is_seen_where_two_threads_share_a_line() -> None:
    watcher = _DamageDetector()
    for n in range(50):
        watcher(f"[Parsed_showinfo_0 @ 0x7f] [info] n:{n:4} pts: {n * 3600} pts_time:1")
    assert watcher.verdict() == ""
    watcher("[Parsed_showinfo_0 @ 0x7f] [info] n:  50 pts: 180000 type:P corrupt decoded frame")
    assert watcher.verdict() == "corrupt decoded frame"
    assert watcher.frames == 51
    watcher(
        "[Parsed_showinfo_0 @ 0x7f] [info] n:  51 pts: 183600 Decoding error: Invalid data found"
    )
    assert watcher.verdict() == "Decoding error: Invalid data found"
    watcher(
        "[Parsed_showinfo_0 @ 0x7f] [info] n:  52 pts: 187200 stream 0, offset 0x5: partial file"
    )
    assert watcher.verdict() == "partial file"


def test_what_is_lost_before_the_first_frame_is_no_damage() -> None:
    watcher = _DamageDetector()
    watcher(
        "[Parsed_showinfo_0 @ 0x7f] [info] n:   0 pts: 0 Error submitting packet to decoder: bad"
    )
    assert (watcher.verdict(), watcher.frames) == ("", 1)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_no_frame_is_lost_unnoticed_wherever_a_clip_is_cut(
    tmp_path: Path, ffmpeg: Ffmpeg, suffix: str
) -> None:
    path = tmp_path / f"clip{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", path)
    whole = path.read_bytes()
    for missing in range(50, 2050, 250):
        path.write_bytes(whole[:-missing])
        with pytest.raises(MagkitError, match="breaks off after"):
            list(open_video(path))


def test_the_size_that_a_clip_promises(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path, live = tmp_path / "clip.mkv", tmp_path / "live.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", path)
    assert declared_size(path) == path.stat().st_size
    ffmpeg("-i", path, "-c", "copy", "-live", "1", live)
    assert declared_size(live) is None
    assert sum(1 for _ in open_video(live)) == 10
    for content in (b"", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\xff" + bytes(9), b"RIFF"):
        path.write_bytes(content)
        assert declared_size(path) is None


def test_a_cut_clip_whose_index_is_lost(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:5000])
    with pytest.raises(MagkitError, match="cut short"):
        open_video(path)


def _black(count: int) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return repeat(np.zeros((48, 64, 3), np.uint8), count)


INFO = plain_info(64, 48, Fraction(25))


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
def test_no_frames_leave_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(MagkitError, match="no frames"):
        write_video(tmp_path / name, [], INFO)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_source_is_never_written_to(tmp_path: Path, clip: Path, overwrite: bool) -> None:
    before = clip.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    for path in (clip, link):
        with pytest.raises(UsageError, match="input itself"):
            write_video(
                path,
                _black(1),
                INFO,
                WriteOptions(overwrite=overwrite),
                sound=open_video(clip).sound,
            )
    assert clip.read_bytes() == before


def test_an_output_that_exists_is_kept(clip: Path) -> None:
    before = clip.read_bytes()
    with pytest.raises(MagkitError, match="exists"):
        write_video(clip, _black(1), INFO)
    assert clip.read_bytes() == before


@pytest.mark.parametrize("name", ["a.mp4", "frames"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, MagkitError("reading broke")])
def test_frames_that_break_off_leave_no_file(
    tmp_path: Path, name: str, stop: BaseException | type[BaseException]
) -> None:
    def frames() -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        yield from _black(5)
        raise stop

    with pytest.raises(stop if isinstance(stop, type) else type(stop)):
        write_video(tmp_path / name, frames(), INFO)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match=r"could not be written: .*does not support resolutions"):
        write_video(tmp_path / "a.gif", _wide(), plain_info(70_000, 1, Fraction(25)))
    assert not list(tmp_path.iterdir())


def _wide() -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return repeat(np.zeros((1, 70_000, 3), np.uint8), 3)


NO_ROOM = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from magkit.errors import MagkitError
from magkit.video import plain_info, write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
frames = (rng.integers(0, 256, (96, 96, 3), np.uint8) for _ in range(200))
try:
    write_video(Path(sys.argv[1]), frames, plain_info(96, 96, Fraction(25)))
except MagkitError as error:
    print(error.message)
"""


@POSIX
@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
def test_a_full_disk_leaves_no_file(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = _python(NO_ROOM, out / name)
    said, errors = done.communicate(timeout=60)
    assert ("could not be written" in said) or ("disk is full" in said), (said, errors)
    assert errors == ""
    assert not list(out.iterdir())


ENDLESS = """
import itertools, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from magkit.video import open_video, plain_info, write_video
video = open_video(Path(sys.argv[2]))
frames = (frame for _ in itertools.count() for frame in video)
def started(done, total):
    if done == 30:
        print("started", flush=True)
try:
    write_video(Path(sys.argv[1]), frames, video.info, progress=started)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


@POSIX
@pytest.mark.parametrize("name", ["a.mp4", "frames"])
def test_an_interrupt_leaves_no_file_and_no_process(tmp_path: Path, clip: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    # Its own group, and the signal to all of it: that is what Ctrl-C in a terminal does.
    child = _python(ENDLESS, out / name, clip)
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    os.killpg(child.pid, signal.SIGINT)
    said, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert (said, errors) == ("interrupted\n", "")
    assert not list(out.iterdir())
    assert not _running_with(str(tmp_path))


def _python(code: str, *args: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def _running_with(text: str) -> list[str]:
    """The processes that name `text` on their command line, a moment later."""
    time.sleep(0.2)
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def test_parts_of_a_clip_that_hold_no_frame_are_refused(clip: Path) -> None:
    with pytest.raises(UsageError, match="no frame"):
        list(open_video(clip, start=0.401, end=0.402))
