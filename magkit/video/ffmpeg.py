"""imageio-ffmpeg's ffmpeg binary, run with restricted inputs.

Inputs may use only the protocol `file`, and demuxers that open no other files. So no playlist,
script or link in a file makes ffmpeg fetch an address or read files that the user didn't name.
"""

import atexit
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from typing import IO

import imageio_ffmpeg

from magkit.errors import MagkitError
from magkit.video.formats import raw_image_demuxer

# Playlists, scripts, name patterns, network sessions, drawings that link to pictures, plain text.
REFUSED = frozenset(
    (
        *("hls", "applehttp", "dash", "webm_dash_manifest", "imf", "concat", "ffmetadata"),
        *("sdp", "rtsp", "rtp", "lavfi", "avisynth", "vapoursynth", "vobsub", "dvdvideo"),
        *("image2", "image2pipe", "alias_pix", "brender_pix", "svg_pipe", "tty"),
    )
)

_KEPT_ERRORS = 100

SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""Flags of ffmpeg's scaler: exact rounding, and chroma at full resolution."""

# Transport and program streams and Ogg may restart their clock in the middle of a file. ffmpeg
# takes any step of 10 s for a restart; paused clips have longer true steps. The limit is well below
# the 26.5 hours after which MPEG's 33-bit clock wraps. Steps back are always corrected.
_LONGEST_STEP = 6 * 3600  # seconds


@cache
def binary() -> str:
    """The path of the ffmpeg to run (the variable IMAGEIO_FFMPEG_EXE names another).

    Raises:
        MagkitError: There is none.
    """
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MagkitError(
            "no ffmpeg was found", hint="install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE"
        ) from error


@cache
def _table(name: str) -> str:
    """One of ffmpeg's lists of its capabilities."""
    done = subprocess.run(
        [binary(), "-hide_banner", f"-{name}"],
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    return done.stdout


@cache
def _demuxers() -> str:
    """The demuxers that may open a file, as ffmpeg's `-format_whitelist` takes them."""
    # A `d` after the D of "demuxer" marks devices: cameras, screens, generators.
    names = re.findall(r"^ D {2,3}([\w,]+) ", _table("demuxers"), flags=re.MULTILINE)
    return ",".join(n for n in names if REFUSED.isdisjoint(n.split(",")))


def has_decoder(codec: str) -> bool:
    """Whether ffmpeg has a decoder of this codec."""
    return bool(re.search(rf"^ D\S+ {re.escape(codec)} ", _table("codecs"), flags=re.MULTILINE))


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How pixels are stored.

    Args:
        name: ffmpeg's.
        bits: Of a channel.
        alpha: Whether there is a channel of opacity, or a palette that may hold it.
    """

    name: str
    bits: int
    alpha: bool


def pixel_format(name: str) -> PixelFormat:
    """A pixel format by ffmpeg's name; 8 bits and opaque if it is unknown."""
    row = rf"^\S{{3}}(\S)\S {re.escape(name)} +(\d+) +\d+ +(\d+)"
    match = re.search(row, _table("pix_fmts"), flags=re.MULTILINE)
    if match is None:
        return PixelFormat(name, 8, alpha=False)
    # Floating-point formats count 16 or 32; what is read of them has 16.
    bits = min(int(match[3]), 16)
    return PixelFormat(name, bits, match[1] == "P" or match[2] in "24")


def input_args(path: Path) -> list[str]:
    """The arguments that open `path` alone."""
    # `file:` protects names such as `concat:a|b` or `-y`.
    source = f"file:{path.absolute()}"
    # ffmpeg takes raw motion JPEG with the suffix .jpg for one picture.
    stream = raw_image_demuxer(path)
    form = ["-f", stream] if stream else []
    allowed = ["-protocol_whitelist", "file", "-format_whitelist", _demuxers()]
    return ["-dts_delta_threshold", str(_LONGEST_STEP), *allowed, *form, "-i", source]


class Log:
    """The log of a running ffmpeg, read by a thread."""

    def __init__(self, pipe: IO[bytes], watch: Callable[[str], None] | None = None) -> None:
        self.errors: list[str] = []
        self._watch = watch
        self._thread = Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        for raw in pipe:
            line = raw.decode(errors="replace").rstrip()
            if re.search(r"\[(error|fatal|panic)\]", line):
                # Keep the first errors and the last.
                del self.errors[_KEPT_ERRORS - 1 : -1]
                self.errors.append(strip_prefixes(line))
            if self._watch is not None:
                self._watch(line)

    def close(self) -> None:
        """Wait until the last message is read."""
        self._thread.join()

    def cause(self) -> str:
        """The error that led to the others, or an empty string."""
        telling = (line for line in self.errors if not _CONSEQUENCE.search(line))
        return next(telling, self.errors[0] if self.errors else "")


# Messages that follow the cause.
_CONSEQUENCE = re.compile(
    "Terminating thread|Task finished|Error sending frames|Nothing was written|Conversion failed"
    "|Error opening (in|out)put file|maybe incorrect parameters|before EOF"
)


def strip_prefixes(line: str) -> str:
    """A line of ffmpeg's log without the [parts and levels] that lead it."""
    return re.sub(r"^(\[[^\]]*\] )+", "", line)


class FFmpegProcess:
    """One running ffmpeg: its process and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Log) -> None:
        self.process = process
        self.log = log

    def finish(self) -> int:
        """Wait for the end; the exit status."""
        status = self.process.wait()
        self.log.close()
        return status

    def end(self) -> None:
        """Stop it, if it still runs, and read its log to the end."""
        if self.process.poll() is None:
            self.process.kill()
        self.finish()

    def cause(self) -> str:
        """The cause of its failure."""
        status = self.process.returncode
        return self.log.cause() or f"ffmpeg ended with status {status}"


_running: set[FFmpegProcess] = set()


@atexit.register
def _end_all() -> None:
    # An interrupt can leave a block open until the interpreter exits.
    for child in list(_running):
        child.end()


@contextmanager
def ffmpeg(
    args: Sequence[str], *, feed: bool = False, watch: Callable[[str], None] | None = None
) -> Iterator[FFmpegProcess]:
    """Run ffmpeg for the length of a block, at whose end it is stopped.

    Args:
        args: The arguments.
        feed: Open standard input for writing, instead of the output for reading.
        watch: Called with every line of the log, in another thread.
    """
    # In its own process group ffmpeg doesn't receive the terminal's Ctrl-C.
    new_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    process = subprocess.Popen(
        [binary(), "-hide_banner", "-nostats", "-loglevel", "level+info", *args],
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if feed else subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=os.name == "posix",
        creationflags=new_group | hidden,
    )
    assert process.stderr is not None
    child = FFmpegProcess(process, Log(process.stderr, watch))
    _running.add(child)
    try:
        yield child
    finally:
        child.end()
        _running.discard(child)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
