"""What names no file or folder of this machine is refused before any work, with a way out."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from magkit.cli import run

Clip = Callable[..., Path]
Captured = pytest.CaptureFixture[str]

READ = ["magnify", "stitch", "evaluate clip"]


def refused(line: str, capsys: Captured) -> tuple[str, str]:
    """The message and the hint."""
    assert run(line.split()) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert second.startswith("  hint: ")
    return first.removeprefix("magkit: "), second.removeprefix("  hint: ")


@pytest.mark.parametrize("command", READ)
@pytest.mark.parametrize(
    ("path", "words", "way"),
    [
        ("-", "'-'", "to a file"),
        ("/dev/stdin", "'/dev/stdin'", "to a file"),
        ("/dev/fd/63", "'/dev/fd/63'", "to a file"),
        ("pipe:0", "'pipe:0'", "to a file"),
        ("https://host/a.mp4?b=1", "https://host/a.mp4?b=1 is a URL", "download"),
        (f"https://host/{'a' * 300}", "is a URL", "download"),
        ("HTTP://host/a.mp4", "http://host/a.mp4 is a URL", "download"),
        ("s3://bucket/a.mp4", "s3://bucket/a.mp4 is a URL", "copy"),
        ("rtsp://camera/1", "rtsp://camera/1 is a URL", "ffmpeg -i 'rtsp://camera/1'"),
        ("file:///a%20b/c.mp4", "is a URL", "/a b/c.mp4"),
        ("file://localhost/c.mp4", "is a URL", ": /c.mp4"),
        ("/dev/video0", "/dev/video0 is a camera", "-i /dev/video0"),
        (os.devnull, "is a device", ""),
    ],
)
def test_what_is_read(
    here: Path, capsys: Captured, command: str, path: str, words: str, way: str
) -> None:
    if os.name != "posix" and path.startswith("/dev"):
        pytest.skip("no such names here")
    message, hint = refused(f"{command} {path}", capsys)
    assert words in message
    assert way in hint
    assert not list(here.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("command", READ)
def test_a_pipe_is_not_waited_for(here: Path, capsys: Captured, command: str) -> None:
    os.mkfifo(here / "clip.mp4")
    message, hint = refused(f"{command} clip.mp4", capsys)
    assert "'clip.mp4'" in message
    assert "to a file" in hint


def test_any_of_several_clips(clip: Clip, here: Path, capsys: Captured) -> None:
    assert "'-'" in refused(f"magnify {clip()} -", capsys)[0]
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        "magnify CLIP -f 1",
        "stitch CLIP",
        "evaluate clip CLIP",
        "evaluate magnifier",
        "demo",
        "gen-data",
        "pretrain --method byol",
        "finetune",
        "invert --video bear",
        "completion bash",
    ],
)
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("-", "'-'"),
        ("/dev/stdout", "'/dev/stdout'"),
        ("pipe:1", "'pipe:1'"),
        ("gs://bucket/a", "gs://bucket/a is a URL"),
        ("file:///a/b", "file:///a/b is a URL"),
    ],
)
def test_what_is_written(
    clip: Clip, here: Path, capsys: Captured, command: str, path: str, words: str
) -> None:
    line = f"{command.replace('CLIP', str(clip()))} -o {path}"
    assert words in refused(line, capsys)[0]
    assert not list(here.iterdir())


@pytest.mark.parametrize("line", ["finetune --encoder", "invert --davis", "stitch . --beside"])
def test_other_options_that_name_files(here: Path, capsys: Captured, line: str) -> None:
    assert "is a URL" in refused(f"{line} https://host/a", capsys)[0]
    assert "'-'" in refused(f"{line} -", capsys)[0]


@pytest.mark.skipif(os.name == "nt", reason="no such names here")
def test_a_path_may_look_like_a_url(clip: Clip, here: Path) -> None:
    (here / "https:").mkdir()
    clip(count=2).rename(here / "https:" / "a.mp4")
    assert run(["magnify", "https://a.mp4", "-f", "1", "-o", "made.mp4"]) == 0
