"""Compare frames, times and sound of every container with ffmpeg's decode.

    python benchmarks/containers.py [-o DIR]

ffmpeg (Pillow for WebP and APNG) writes two clips into every readable container: one of 25 frames
per second and one of unevenly spaced frames, each with a beep in a sound track that starts before
the picture. magkit copies each into every writable container. ffmpeg's decode of the copy is
compared with its decode of the source: the number of frames, the times of the first frame, the last
frame and the end, and the time of the beep relative to the first frame. A folder stores its times
in the sidecar. Exit code 1 if a copy differs by more than a tick of the container (1 ms, 10 ms in a
GIF) or 20 ms of sound.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from magkit import MagkitError, open_video
from magkit.video import write_video

OUTPUTS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif", "")
H264, AAC = ("-c:v", "libx264", "-bf", "2"), ("-c:a", "aac")
CODECS: dict[str, tuple[str, ...]] = {
    ".mp4": (*H264, *AAC),
    ".mov": (*H264, "-c:a", "pcm_s16le"),
    ".mkv": (*H264, "-c:a", "libopus"),
    ".webm": ("-c:v", "libvpx-vp9", "-c:a", "libopus"),
    ".avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    ".ts": (*H264, *AAC),
    ".m2ts": (*H264, "-c:a", "ac3"),
    ".flv": (*H264, *AAC),
    ".wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    ".gif": (),
}
PICTURES = (".gif", ".webp", ".apng", "")  # they hold no sound
SIZE, LEVELS = (64, 48), 211
LATE, BEEP = 0.4, 1.0  # seconds from the start of the sound: the picture, a beep
TICK, GIF_TICK, SOUND = 1.1e-3, 10.1e-3, 20e-3  # seconds

EVEN = tuple(number / 25 for number in range(51))
"""Times of frames, and the end of the last."""
UNEVEN = (*(number / 10 for number in range(10)), *(1 + number / 25 for number in range(26)))


@dataclass(frozen=True)
class Decoded:
    """The decode of ffmpeg: times in seconds from the first frame.

    Args:
        frames: How many there are.
        last: When the last one is shown.
        end: When it ends.
        sound: When the beep is heard; None without sound.
        first: When the first frame is shown, from the file's zero.
    """

    frames: int
    last: float
    end: float
    sound: float | None = None
    first: float = 0.0

    def __str__(self) -> str:
        heard = "" if self.sound is None else f", {self.sound:.3f}"
        return f"{self.frames}: {self.last:.3f}, {self.end:.3f}{heard}"


def ffmpeg(*args: str | Path | float) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg."""
    line = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, args)]
    return subprocess.run(line, capture_output=True, check=True)


def film(folder: Path, suffix: str, times: tuple[float, ...]) -> Path:
    """Write a source with frames at these times."""
    path = folder / f"source{suffix}"
    frames = [
        np.full((*SIZE[::-1], 3), 16 + 37 * n % LEVELS, np.uint8) for n in range(len(times) - 1)
    ]
    steps = np.diff(times)
    if suffix in {".webp", ".apng", ".gif"}:
        first, *others = (Image.fromarray(frame) for frame in frames)
        form = "PNG" if suffix == ".apng" else suffix[1:].upper()
        shown = [round(1000 * float(step)) for step in steps]
        first.save(path, form, save_all=True, append_images=others, duration=shown, lossless=True)
        return path
    pictures = path if not suffix else folder / "pictures"
    pictures.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(pictures / f"{number:06}.png")
    if not suffix:
        record = {"rate": "25/1"} if times == EVEN else {"rate": "25/1", "times": list(times)}
        (path / "magkit.json").write_text(json.dumps(record))
        return path
    listed = folder / "frames.txt"
    listed.write_text(
        "".join(
            f"file '{pictures}/{number:06}.png'\nduration {step:.6f}\n"
            for number, step in enumerate(steps)
        )
    )
    wave = f".8*sin(2*PI*1000*t)*between(t,{BEEP},{BEEP + 0.2})"
    tone = f"aevalsrc='{wave}':s=48000:d={times[-1] + LATE}"
    picture = ["-itsoffset", str(LATE), "-f", "concat", "-safe", "0", "-i", str(listed)]
    timed = ["-fps_mode", "passthrough", "-enc_time_base:v", "1/1000" if times != EVEN else "1/25"]
    ffmpeg(
        *picture, "-f", "lavfi", "-i", tone, *CODECS[suffix], "-pix_fmt", "yuv420p", *timed, path
    )
    return path


def decode(path: Path) -> Decoded:
    """Decode picture and sound of a file in one run of ffmpeg."""
    if path.is_dir():
        record = json.loads((path / "magkit.json").read_text())
        count = len(list(path.glob("*.png")))
        times = record.get("times") or [n / Fraction(record["rate"]) for n in range(count + 1)]
        return Decoded(count, float(times[-2]), float(times[-1]))
    if path.suffix == ".webp":
        return _by_pillow(path)
    frames = ["-c:v", "wrapped_avframe", "-enc_time_base:v", "demux", "-fps_mode", "passthrough"]
    both = ["-map", "0:V:0", "-map", "0:a:0?"]
    text = ffmpeg("-i", path, *both, *frames, "-f", "framecrc", "-").stdout.decode()
    bases = [Fraction(base) for base in re.findall(r"(?m)^#tb \d: (\S+)", text)]
    rows = re.findall(r"(?m)^(\d), +-?\d+, +(-?\d+), +(\d+),", text)
    shown = [
        (int(pts) * bases[0], int(step) * bases[0]) for stream, pts, step in rows if stream == "0"
    ]
    heard = [int(pts) * bases[1] for stream, pts, _ in rows if stream == "1"]
    first, last = shown[0][0], shown[-1]
    sound = float(heard[0] - first) + onset(path) if heard else None
    return Decoded(
        len(shown), float(last[0] - first), float(sum(last) - first), sound, float(first)
    )


def _by_pillow(path: Path) -> Decoded:
    with Image.open(path) as image:
        steps = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            steps.append(image.info["duration"] / 1000)
    return Decoded(len(steps), sum(steps[:-1]), sum(steps))


def onset(path: Path) -> float:
    """Seconds from the first sample to the beep."""
    raw = ffmpeg("-i", path, "-map", "0:a:0", "-ar", 8000, "-ac", 1, "-f", "s16le", "-").stdout
    return float((np.abs(np.frombuffer(raw, "<i2").astype(int)) > 5000).argmax() / 8000)


def copy(source: Path, output: Path) -> str:
    """Copy a clip with magkit; returns the error message, empty if none."""
    try:
        video = open_video(source)
        write_video(output, video, video.info, sound=video.sound)
    except MagkitError as error:
        return error.message
    return ""


def faults(source: Decoded, made: Decoded, suffix: str, *, silent: bool) -> Iterator[str]:
    """The differences of a copy from its source."""
    tick = GIF_TICK if suffix == ".gif" else TICK
    if made.frames != source.frames:
        yield f"{made.frames} frames, not {source.frames}"
    for name in ("last", "end"):
        wanted, got = getattr(source, name), getattr(made, name)
        if abs(wanted - got) > tick:
            yield f"{name} {got:.4f} s, not {wanted:.4f}"
    if not silent and source.sound is not None:
        if made.sound is None:
            yield "no sound"
        elif abs(made.sound - source.sound) > SOUND:
            yield f"sound at {made.sound:.3f} s, not {source.sound:.3f}"


def rows(folder: Path) -> Iterator[tuple[str, str, Decoded, dict[str, str]]]:
    """Each source: container, kind, decode of ffmpeg and faults of the copies."""
    for suffix in (*CODECS, ".webp", ".apng", ""):
        for kind, times in (("even", EVEN), ("uneven", UNEVEN)):
            place = folder / f"{suffix[1:] or 'folder'} {kind}"
            place.mkdir(parents=True)
            source = film(place, suffix, times)
            decoded = decode(source)
            wrong = {}
            for target in OUTPUTS:
                output = place / f"copy{target}"
                refused = copy(source, output)
                silent = target in PICTURES
                found = refused or "; ".join(faults(decoded, decode(output), target, silent=silent))
                wrong[target or "folder"] = found
            yield suffix or "folder", kind, decoded, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="a new folder where clips stay")
    options = parser.parse_args()
    failed = False
    targets = [suffix or "folder" for suffix in OUTPUTS]
    print("| from | frames | first | last | end | beep |", " | ".join(targets), "|")
    print("|", " | ".join(["---"] * (6 + len(targets))), "|")
    with tempfile.TemporaryDirectory() as temporary:
        for suffix, kind, decoded, wrong in rows(options.output or Path(temporary)):
            times = [f"{value:.3f}" for value in (decoded.first, decoded.last, decoded.end)]
            heard = "" if decoded.sound is None else f"{decoded.sound:.3f}"
            cells = [wrong[target] or "right" for target in targets]
            print(
                "|",
                " | ".join([f"{suffix}, {kind}", str(decoded.frames), *times, heard, *cells]),
                "|",
            )
            failed = failed or any(wrong.values())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
