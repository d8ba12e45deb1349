"""Magnify every real clip of a folder in several ways, check the results and draw slices.

    python benchmarks/clips.py FOLDER -o OUT
    python benchmarks/clips.py FOLDER -o OUT --only evm_baby --end 3

Every clip is magnified 10 times in static and in dynamic mode, and clips of the literature also
with the published settings (`PUBLISHED`). The result must have exactly the number of frames, rate
and size of the source: both are decoded again and counted. OUT receives each result and a slice,
one line of pixels over time, before and after side by side. Only the source determines the line: it
is the column or row across which the brightness varies most, see `choose_line`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image

from magkit.magnify.band import Band, Mode
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify_file
from magkit.protocols import Magnifier
from magkit.video import VideoSource, WriteOptions, open_video
from magkit.video.stitch import side_by_side, time_slice

Frame = NDArray[np.uint8]
Line = Literal["row", "column"]

SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif"}
SLICE_WIDTH = 400  # pixels: slices of short clips are enlarged to about this


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings to magnify a clip; `capture_rate` in frames per second if not the file's rate."""

    factor: float
    mode: Mode = "static"
    band: Band | None = None
    capture_rate: float | None = None

    def __str__(self) -> str:
        band = "" if self.band is None else f"_{self.band.low:g}-{self.band.high:g}Hz"
        return f"{self.mode}_x{self.factor:g}{band}"


EVERY = (Setting(10), Setting(10, "dynamic"))
PUBLISHED = {
    "evm_baby": Setting(20, band=Band(0.04, 0.4)),
    "evm_guitar": Setting(50, band=Band(72, 92), capture_rate=600),
    "evm_wrist": Setting(10, band=Band(0.4, 3)),
    "crane_crop": Setting(20),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one clip and setting; `wrong` lists differences from the source."""

    clip: str
    setting: str
    frames: int
    rate: Fraction
    size: str
    line: str
    seconds: float
    wrong: str

    @property
    def speed(self) -> float:
        """Frames per second, including reading and writing."""
        return self.frames / self.seconds


def settings(clip: str) -> list[Setting]:
    """All settings with which a clip is magnified."""
    return [*EVERY, *([PUBLISHED[clip]] if clip in PUBLISHED else [])]


def choose_line(frames: Iterable[Frame]) -> tuple[Line, int]:
    """The column or row on which a slice shows most motion.

    Brightness varies over time by motion times gradient, and a slice shows the motion along it: a
    column is worth the variance over time at its places, each weighted by the part of the squared
    gradient that is vertical. Likewise for rows; the mean over the line decides.
    """
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for frame in frames:
        luma = scipy.ndimage.gaussian_filter(frame.mean(2), 1)
        count, total, squares = count + 1, total + luma, squares + luma**2
    mean = total / count
    variance = squares / count - mean**2
    down, across = (gradient**2 for gradient in np.gradient(mean))
    energy = down + across + 1.0
    columns, rows = (variance * down / energy).mean(0), (variance * across / energy).mean(1)
    if columns.max() >= rows.max():
        return "column", int(columns.argmax())
    return "row", int(rows.argmax())


def draw_slice(source: VideoSource, result: VideoSource, line: Line, position: int) -> Frame:
    """Before and after, side by side, with time to the right in each."""
    pictures = [time_slice(clip, position, line) for clip in (source, result)]
    if line == "row":
        pictures = [picture.swapaxes(0, 1) for picture in pictures]
    # Short clips are stretched in time alone, so that the height stays in the clip's pixels.
    times = max(1, round(SLICE_WIDTH / pictures[0].shape[1]))
    return side_by_side([picture.repeat(times, 1) for picture in pictures])


def difference(source: VideoSource, frames: int, result: VideoSource, after: int) -> str:
    """Properties of the source that a result has lost; empty if none."""
    old, new = source.info, result.info
    kept = {
        "frames": (frames, after),
        "rate": (old.rate, new.rate),
        "size": ((old.width, old.height), (new.width, new.height)),
        "aspect": (old.pixel_aspect, new.pixel_aspect),
    }
    return "; ".join(f"{k} {a} became {b}" for k, (a, b) in kept.items() if a != b)


def run(
    clip: Path, setting: Setting, folder: Path, magnifier: Magnifier, end: float | None
) -> Outcome:
    """Magnify a clip, check the result and write its slice."""
    name = f"{clip.stem}_{setting}"
    output = folder / f"{name}.mp4"
    source = open_video(clip, end=end)
    start = time.perf_counter()
    magnify_file(
        source,
        output,
        magnifier,
        setting.factor,
        mode=setting.mode,
        band=setting.band,
        capture_rate=setting.capture_rate,
        options=WriteOptions(overwrite=True),
    )
    seconds = time.perf_counter() - start
    result = open_video(output)
    frames, after = (sum(1 for _ in video) for video in (source, result))
    line, position = choose_line(source)
    Image.fromarray(draw_slice(source, result, line, position)).save(folder / f"{name}_slice.png")
    return Outcome(
        clip.stem,
        str(setting),
        after,
        result.info.rate,
        f"{result.info.width}x{result.info.height}",
        f"{line} {position}",
        seconds,
        difference(source, frames, result, after),
    )


def main() -> int:
    """Run the benchmark; exit code 0 if every result matches its source."""
    parser = argparse.ArgumentParser(description="Do real clips come out as they should?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    parser.add_argument("--only", action="append", metavar="NAME", help="clips; may be repeated")
    parser.add_argument("--setting", action="append", help="static_x10, ...; may be repeated")
    parser.add_argument("--weights", help="other weights than those that ship")
    parser.add_argument("--end", type=float, help="seconds of each clip")
    parser.add_argument("--json", action="store_true", help="print a JSON object instead")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    magnifier = load_magnifier(weights=given.weights)
    outcomes = []
    clips = sorted(path for path in given.folder.iterdir() if path.suffix.lower() in SUFFIXES)
    for clip in clips:
        if given.only and clip.stem not in given.only:
            continue
        for setting in settings(clip.stem):
            if not given.setting or str(setting) in given.setting:
                outcomes.append(run(clip, setting, given.output, magnifier, given.end))
                if not given.json:
                    show(outcomes[-1])
    if given.json:
        rows = [asdict(row) | {"rate": str(row.rate), "speed": row.speed} for row in outcomes]
        print(json.dumps({"results": rows}))
    if not outcomes:
        parser.error(f"nothing of {given.folder} was asked for")
    return 0 if not any(row.wrong for row in outcomes) else 1


def show(row: Outcome) -> None:
    """Print a line of the table."""
    print(
        f"{row.clip:12} {row.setting:24} {row.frames:4} frames  {row.rate!s:>10}/s  {row.size:9}"
        f" {row.seconds:7.1f} s {row.speed:6.2f} frames/s  {row.line:11} {row.wrong or 'ok'}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
