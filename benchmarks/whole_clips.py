"""Measure whether magnified real clips stay whole: their texture and folds, frame by frame.

    python benchmarks/whole_clips.py $DATA/clips -o OUT
    python benchmarks/whole_clips.py $DATA/clips --only bottle_moving --frames 20

The first two seconds of every clip of the folder and of its subfolder `moving` are magnified 10
times in static and in dynamic mode. The texture ratio is the mean absolute second difference of the
output's luma over that of the input frame, at full resolution: torn pictures are far above 1,
blurred ones below. Folds are the share of the picture whose displacement field folds over. The
exit code is 1 if the texture ratio of any frame is outside .85 to 1.15. OUT receives a picture of
each result: the frames of the lowest and of the highest ratio and the last one, input on the left.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.evaluate.whole import WholeFrame, magnify_whole, summarize_whole
from magkit.magnify.band import Mode
from magkit.magnify.load import load_magnifier
from magkit.protocols import Magnifier
from magkit.video import open_video

SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif"}
FACTOR, SECONDS = 10.0, 2.0
HEADER = "clip            mode        n  texture min, med, max  out    folds mean, max  seconds"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of all frames of one clip and mode."""

    clip: str
    mode: Mode
    found: dict[str, Any]  # see `summarize_whole`
    seconds: float

    def __str__(self) -> str:
        texture = " ".join(f"{value:6.3f}" for value in self.found["texture"].values())
        folds = " ".join(f"{value:7.2%}" for value in self.found["folds"].values())
        return (
            f"{self.clip:16}{self.mode:8} {len(self.found['frames']):4} {texture}"
            f"  {self.found['outside']:5.0%}  {folds}  {self.seconds:6.1f}"
        )


def clips(folder: Path) -> list[Path]:
    """All clips of the folder and of its subfolder `moving`."""
    files = [path for place in (folder, folder / "moving") for path in sorted(place.glob("*"))]
    return [path for path in files if path.suffix.lower() in SUFFIXES]


def run(
    clip: Path, mode: Mode, magnifier: Magnifier, frames: int | None, sheet: Path | None
) -> Outcome:
    """Magnify a clip, measure every frame, and write the picture `sheet`."""
    start = time.perf_counter()
    source = islice(open_video(clip, end=SECONDS), frames)
    shown = Shown()
    found = summarize_whole(shown.watch(magnify_whole(source, magnifier, FACTOR, mode=mode)))
    if sheet is not None:
        Image.fromarray(np.concatenate(list(shown.rows()))).save(sheet)
    return Outcome(clip.stem, mode, found, time.perf_counter() - start)


class Shown:
    """The frames of a picture: those of the lowest and of the highest ratio, and the last."""

    def __init__(self) -> None:
        self.lowest: WholeFrame | None = None
        self.highest: WholeFrame | None = None
        self.last: WholeFrame | None = None

    def watch(self, frames: Iterable[WholeFrame]) -> Iterator[WholeFrame]:
        """Pass frames on, and keep those to be shown."""
        for frame in frames:
            if self.lowest is None or frame.texture < self.lowest.texture:
                self.lowest = frame
            if self.highest is None or frame.texture > self.highest.texture:
                self.highest = frame
            self.last = frame
            yield frame

    def rows(self) -> Iterator[NDArray[np.uint8]]:
        """Yield each frame, input and output side by side, at full size."""
        for frame in (self.lowest, self.highest, self.last):
            if frame is not None:
                yield np.concatenate([frame.before, frame.after], 1)


def main() -> int:
    """Run the benchmark; exit code 0 if the texture ratio of every frame is within the range."""
    parser = argparse.ArgumentParser(description="Do magnified real clips stay whole?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder for pictures")
    parser.add_argument("--only", action="append", metavar="NAME", help="clips; may be repeated")
    parser.add_argument("--mode", action="append", choices=("static", "dynamic"))
    parser.add_argument("--frames", type=int, metavar="N", help="at most N frames of each clip")
    parser.add_argument("--weights", help="other weights than those that ship")
    given = parser.parse_args()
    if given.output is not None:
        given.output.mkdir(parents=True, exist_ok=True)
    magnifier = load_magnifier(weights=given.weights)
    print(HEADER)
    outcomes = []
    for clip in clips(given.folder):
        if given.only and clip.stem not in given.only:
            continue
        for mode in given.mode or ("static", "dynamic"):
            sheet = given.output and given.output / f"{clip.stem}_{mode}.png"
            outcomes.append(run(clip, mode, magnifier, given.frames, sheet))
            print(outcomes[-1], flush=True)
    if not outcomes:
        parser.error(f"nothing of {given.folder} was asked for")
    return 1 if any(outcome.found["outside"] for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
