"""Draw slices, a line of pixels over time, of clips that may be shown anywhere.

    python benchmarks/slices.py -o docs/images --fork CLIP

`rendered-slices.png`: three clips that magkit renders of procedural textures, an object swinging by
a tenth of a pixel; before, magnified 50 times, and as they should be: rendered 50 times as far.
`fork-slice.png`: a filmed tuning fork (MIT licence), before and 5 times as far, across both prongs.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from fork import BAND, CAPTURE_RATE, FACTOR, Frame, find_prongs
from PIL import Image

from magkit.evaluate.cases import Case, sinusoid_cases
from magkit.evaluate.clips import PERIOD, shown, swung
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify, magnify_file
from magkit.protocols import Magnifier
from magkit.synth.build import build_sources
from magkit.synth.render import Sources, render
from magkit.video import open_video
from magkit.video.slice import beside, time_slice

CLIPS, SWINGS, RENDERED_FACTOR = 3, 3, 50.0
STRETCH = 6  # pixels a frame of the short rendered clips
FORK_FRAMES, FORK_STRETCH, AROUND = 100, 3, 12


def rendered(magnifier: Magnifier, case: Case, sources: Sources) -> Frame:
    """Before, magnified and exact, beside one another: (H, W, 3)."""
    scenes = [swung(case.scene, index) for index in range(PERIOD * SWINGS + 1)]
    truths = [render([scene], case.config, sources) for scene in scenes]
    before, exact = [shown(t.b) for t in truths], [shown(t.m) for t in truths]
    after = list(magnify(before, magnifier, case.factor))
    column = int(np.stack(exact).std(0).sum((0, 2)).argmax())
    slices = [time_slice(clip, column) for clip in (before, after, exact)]
    return beside([each.repeat(STRETCH, 1) for each in slices])


def rendered_clips(magnifier: Magnifier) -> Frame:
    """Three clips, one below the other."""
    sources = build_sources([], None, None, 64)
    cases = (case for case in sinusoid_cases(sources, 40) if case.factor == RENDERED_FACTOR)
    rows = [rendered(magnifier, case, sources) for case in islice(cases, CLIPS)]
    gap = np.full((8, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (gap, row)][1:])


def fork(magnifier: Magnifier, clip: Path) -> Frame:
    """Both prongs' tips over time, before and after: (H, W, 3), time to the right."""
    with TemporaryDirectory() as folder:
        result = Path(folder) / "fork.mkv"
        magnify_file(clip, result, magnifier, FACTOR, band=BAND, capture_rate=CAPTURE_RATE)
        left, right = find_prongs(open_video(clip))
        row, columns = (
            (left.top + left.bottom) // 2,
            slice(left.left - AROUND, right.right + AROUND),
        )
        clips = [islice(open_video(path), FORK_FRAMES) for path in (clip, result)]
        slices = [time_slice(frames, row, "row")[:, columns].swapaxes(0, 1) for frames in clips]
    return beside([each.repeat(FORK_STRETCH, 1) for each in slices])


def main() -> None:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description="Draw slices of clips that may be shown.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--fork", type=Path, help="the clip of a tuning fork")
    parser.add_argument("--weights", help="other weights than those that ship")
    given = parser.parse_args()
    magnifier = load_magnifier(weights=given.weights)
    given.output.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rendered_clips(magnifier)).save(given.output / "rendered-slices.png")
    if given.fork:
        Image.fromarray(fork(magnifier, given.fork)).save(given.output / "fork-slice.png")


if __name__ == "__main__":
    main()
