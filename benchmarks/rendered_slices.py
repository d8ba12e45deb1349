"""Draw slices, a line of pixels over time, of rendered clips.

    python benchmarks/rendered_slices.py -o docs/images/rendered-slices.png

In each of three clips of procedural textures an object oscillates by a tenth of a pixel. The slices
show it before, magnified 50 times, and rendered with 50 times the motion, which is the exact
result.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.evaluate.cases import Case, sinusoid_cases
from magkit.evaluate.clips import PERIOD, oscillate, to_uint8
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify
from magkit.protocols import Magnifier
from magkit.synth.build import build_sources
from magkit.synth.render import Sources, render
from magkit.video.stitch import side_by_side, time_slice

Frame = NDArray[np.uint8]

CLIPS, SWINGS, FACTOR = 3, 3, 50.0
STRETCH = 6  # pixels a frame
GAP = 8  # pixels between clips


def slices(magnifier: Magnifier, case: Case, sources: Sources) -> Frame:
    """Before, magnified and exact, beside one another: (H, W, 3)."""
    scenes = [oscillate(case.scene, index) for index in range(PERIOD * SWINGS + 1)]
    truths = [render([scene], case.config, sources) for scene in scenes]
    before, exact = [to_uint8(t.b) for t in truths], [to_uint8(t.m) for t in truths]
    after = list(magnify(before, magnifier, case.factor))
    column = int(np.stack(exact).std(0).sum((0, 2)).argmax())
    lines = [time_slice(clip, column) for clip in (before, after, exact)]
    return side_by_side([line.repeat(STRETCH, 1) for line in lines])


def main() -> None:
    """Draw three clips, one below the other."""
    parser = argparse.ArgumentParser(description="Draw slices of clips that magkit renders.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PNG")
    parser.add_argument("--weights", help="other weights than those that ship")
    given = parser.parse_args()
    magnifier = load_magnifier(weights=given.weights)
    sources = build_sources([], None, None, 64)
    cases = (case for case in sinusoid_cases(sources, CLIPS) if case.factor == FACTOR)
    rows = [slices(magnifier, case, sources) for case in islice(cases, CLIPS)]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    sheet = np.concatenate([part for row in rows for part in (gap, row)][1:])
    Image.fromarray(sheet).save(given.output)


if __name__ == "__main__":
    main()
