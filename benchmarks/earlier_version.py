"""Draw frames magnified by this checkout beside those of an earlier one.

    git worktree add ../earlier 21d125f
    python benchmarks/earlier_version.py CLIP --against ../earlier -o docs/images

CLIP is the tuning fork of `fork.py`. The second clip is rendered: a rectangle that turns by 8
degrees and moves by 13 pixels. Both are magnified ten times in static mode without a band. The
pictures large-fork.png and large-turn.png show a frame of the input, of the earlier checkout's
result, and of this one's.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from magkit.evaluate.clips import to_uint8
from magkit.evaluate.deformed import DeformedScene
from magkit.synth.deformation import Deformation
from magkit.synth.layers import sharpen
from magkit.synth.procedural import ProceduralPictures
from magkit.synth.sources import resize
from magkit.video import Frame, open_video, plain_info, write_video

HERE = Path(__file__).parents[1]
SHOWN = {"fork": 24, "turn": 22}  # the frame that is drawn
SIZE, SIDE = 192, 256  # pixels: of the rendered clip, and of its pictures
FRONT, BEHIND = 7, 12  # of the procedural pictures
HALF = (52.0, 40.0)  # pixels: half of the rectangle's sides
TURN, TRAVEL = math.radians(8), (12.0, -6.0)
COLOURS = 128


def turning() -> list[Frame]:
    """Render the rectangle, 24 frames."""
    pictures = ProceduralPictures()
    front, behind = (
        sharpen(resize(pictures.picture(number).float() / 255, SIDE, SIDE)).clamp(0, 1)
        for number in (FRONT, BEHIND)
    )
    rows = (math.cos(TURN) - 1, -math.sin(TURN)), (math.sin(TURN), math.cos(TURN) - 1)
    scene = DeformedScene(SIZE, Deformation(shift=TRAVEL, matrix=rows), front, behind, HALF, edge=1)
    frames = scene.frames(torch.linspace(0, 1, 24))
    return [np.ascontiguousarray(to_uint8(frame)) for frame in torch.split(frames, 1)]


def magnified(clip: Path, checkout: Path) -> Path:
    """Magnify a clip by a checkout's code, in a process of its own."""
    output = clip.with_name(f"{clip.stem}-{'this' if checkout == HERE else 'earlier'}.mp4")
    command = [sys.executable, "-P", "-m", "magkit", "magnify", str(clip), "-o", str(output)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run([*command, "--factor", "10"], env=environment, check=True)
    return output


def frame(clip: Path, index: int) -> Frame:
    """Read a frame of a clip."""
    (found,) = islice(open_video(clip), index, index + 1)
    return found


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description="Compare with an earlier checkout.")
    parser.add_argument("clip", type=Path, help="the tuning fork")
    parser.add_argument("--against", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    given = parser.parse_args()
    fork = [np.asarray(frame, np.uint8) for frame in islice(open_video(given.clip), 30)]
    clips = {"fork": fork, "turn": turning()}
    with tempfile.TemporaryDirectory() as folder:
        for name, frames in clips.items():
            clip, index = Path(folder, f"{name}.mp4"), SHOWN[name]
            height, width = frames[0].shape[:2]
            write_video(clip, iter(frames), plain_info(width, height, Fraction(30), len(frames)))
            results = (magnified(clip, place) for place in (given.against.resolve(), HERE))
            pictures = [frame(path, index) for path in (clip, *results)]
            sheet = Image.fromarray(np.concatenate(pictures, 1)).quantize(COLOURS)
            sheet.save(given.output / f"large-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
