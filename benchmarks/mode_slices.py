"""Draw what the modes of magnification show of an object that travels and wobbles.

    python benchmarks/mode_slices.py -o docs/images

In a rendered clip of 60 frames an object travels 50 pixels and wobbles by .3 pixels, once in 6
frames. The pictures mode-static.png, mode-dynamic.png and mode-follow.png show a column of pixels
over time: before, and magnified ten times.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from magkit.evaluate.clips import to_uint8
from magkit.magnify.band import Mode
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify
from magkit.synth.build import build_sources
from magkit.synth.render import Sources, render
from magkit.synth.scene import Layer, Scene, SceneConfig
from magkit.video import Frame
from magkit.video.stitch import side_by_side, time_slice

CONFIG = SceneConfig(size=192)
FRAMES, TRAVEL, WOBBLE, PERIOD = 60, 50.0, 0.3, 6
FACTOR = 10.0
COLUMNS, COLUMN = slice(32, 160), 64  # shown to the magnifier, and which of them is drawn
STRETCH, COLOURS = 4, 128  # pixels a frame, and colours of a picture


def position(index: int) -> float:
    """Return how far down the object is, in pixels."""
    return TRAVEL * index / FRAMES + WOBBLE * math.sin(2 * math.pi * index / PERIOD)


def clip(sources: Sources) -> Iterator[Frame]:
    """Render the frames, (192, 128, 3)."""
    for index in range(FRAMES):
        motion = (0.0, position(index))
        scene = Scene(
            index=index,
            kind="static-background",
            factor=FACTOR,
            background=12,
            zoom=1.0,
            corner=(0.5, 0.5),
            flip=False,
            motion=(0.0, 0.0),
            layers=(Layer(number=12, extent=110, origin=(0.2, 0.1), motion=motion, flip=False),),
            gain=(1.0, 1.0, 1.0),
            offset=(0.0, 0.0, 0.0),
            noise_seed=index,
        )
        yield np.ascontiguousarray(to_uint8(render([scene], CONFIG, sources).b)[:, COLUMNS])


def main() -> None:
    """Draw a picture for each mode."""
    parser = argparse.ArgumentParser(description="Draw what the modes show of a moving object.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", help="other weights than those that ship")
    given = parser.parse_args()
    magnifier = load_magnifier(weights=given.weights)
    before = list(clip(build_sources([], None, None, 64)))
    for mode in get_args(Mode):
        after = magnify(before, magnifier, FACTOR, mode=mode)
        slices = [time_slice(frames, COLUMN).repeat(STRETCH, 1) for frames in (before, after)]
        picture = Image.fromarray(side_by_side(slices)).quantize(COLOURS)
        picture.save(given.output / f"mode-{mode}.png", optimize=True)


if __name__ == "__main__":
    main()
