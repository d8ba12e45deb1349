"""The demo: a rendered clip with a known sub-pixel vibration, magnified and measured.

One object oscillates with an amplitude of a fifth of a pixel; others and the background are still.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from magkit.evaluate.magnifier import achieved_gain
from magkit.magnify.pipeline import magnify
from magkit.progress import Progress, silent
from magkit.protocols import Magnifier
from magkit.runtime.files import atomic_path, check_folder
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources, render
from magkit.synth.scene import Layer, Scene, SceneConfig
from magkit.video import open_video, plain_info, write_video
from magkit.video.stitch import side_by_side, time_slice, upscale

Frame = NDArray[np.uint8]

WIDTH, HEIGHT = 320, 240
RATE = Fraction(30)
FRAMES = 75
AMPLITUDE = 0.2  # pixels
FREQUENCY = 2.5  # hertz: a period is twelve frames
FACTOR = 20.0
COLUMN = 238  # of the time slice, through the vibrating object
PEAKS = range(3, FRAMES, 18)  # turning points of the vibration, to either side in turn
FILES = ("input.mp4", "magnified.mp4", "side_by_side.mp4", "slice.png")

# Scenes are square: the clip shows their middle rows.
TOP = (WIDTH - HEIGHT) // 2
CONFIG = SceneConfig(size=WIDTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """Files and measurements of the demo.

    Attributes:
        folder: of the files.
        frequency: of the vibration, in Hz.
        displacement: its amplitude in the input, in pixels.
        factor: the requested factor.
        gain: achieved over requested factor, median of `gains`.
        gains: the gain at each turning point of the vibration.
    """

    folder: Path
    frequency: float = FREQUENCY
    displacement: float = AMPLITUDE
    factor: float = FACTOR
    gain: float
    gains: tuple[float, ...]

    @property
    def files(self) -> list[Path]:
        """The videos and the picture."""
        return [self.folder / name for name in FILES]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, and the files."""
        return {**asdict(self), "files": self.files}


def run_demo(
    folder: Path,
    magnifier: Magnifier,
    *,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> Demo:
    """Render the clip, magnify it, write both, and measure the gain in the result's file.

    Args:
        folder: of the files, written atomically.
        magnifier: on `device`.
        device: on which frames are magnified.
        overwrite: whether the files of an earlier demo are replaced.
        progress: called for every frame rendered, magnified or measured.

    Raises:
        MagkitError: the folder exists, or can't be written.
    """
    check_folder(folder, FILES, "demo", overwrite=overwrite)
    total = 2 * FRAMES + len(PEAKS)
    info = plain_info(WIDTH, HEIGHT, RATE, FRAMES)
    sources = _sources()
    with atomic_path(folder, kind="folder", overwrite=overwrite) as made:
        source, output, both, picture = (made / name for name in FILES)
        clip = []
        for frame in _rendered(sources):
            clip.append(frame)
            progress(len(clip), total)
        write_video(source, clip, info)
        write_video(
            output,
            # Not from the file: coding reduces so small a motion.
            magnify(clip, magnifier, FACTOR, device=device),
            info,
            progress=lambda done, _: progress(FRAMES + done, total),
        )
        before, after = open_video(source), open_video(output)
        pairs = (side_by_side(pair) for pair in zip(before, after, strict=True))
        write_video(both, pairs, replace(info, width=2 * WIDTH + 8))
        slices = [upscale(time_slice(video, COLUMN), 3) for video in (before, after)]
        Image.fromarray(side_by_side(slices)).save(picture)
        gains = []
        for index, frame in _turning_points(output):
            gains.append(measure_gain(frame, index, sources))
            progress(2 * FRAMES + len(gains), total)
    return Demo(folder=folder, gain=median(gains), gains=tuple(gains))


def measure_gain(frame: Frame, index: int, sources: Sources) -> float:
    """Return the achieved over the requested factor of a magnified frame.

    Args:
        frame: frame `index` of the magnified clip.
        index: not one at which the displacement is 0.
        sources: of the scene.
    """
    scene = _scene(index)
    moving = render([scene], CONFIG, sources).moving[0]
    moving[:, :TOP] = moving[:, TOP + HEIGHT :] = 0
    output = torch.zeros(3, WIDTH, WIDTH)
    output[:, TOP : TOP + HEIGHT] = torch.from_numpy(frame).permute(2, 0, 1) / 255
    return achieved_gain(output, (moving > 0.5).float(), scene, CONFIG, sources)


def _sources() -> Sources:
    return Sources(ProceduralPictures(64), ProceduralCutouts(64))


def _scene(index: int) -> Scene:
    """Return the scene whose frame A shows the object at rest and B at frame `index`."""
    shift = AMPLITUDE * math.sin(2 * math.pi * FREQUENCY * index / float(RATE))
    still, moved = (0.0, 0.0), (0.0, shift)
    return Scene(
        index=index,
        kind="static-background",
        factor=FACTOR,
        background=12,
        zoom=1.0,
        corner=(0.5, 0.5),
        flip=False,
        motion=still,
        layers=(
            Layer(number=13, extent=108, origin=(0.04, 0.16), motion=still, flip=False),
            Layer(number=31, extent=108, origin=(0.06, 0.5), motion=still, flip=False),
            Layer(number=12, extent=152, origin=(0.45, 0.28), motion=moved, flip=False),
        ),
        gain=(1.0, 1.0, 1.0),
        offset=(0.0, 0.0, 0.0),
        noise_seed=index,
    )


def _rendered(sources: Sources) -> Iterator[Frame]:
    for index in range(FRAMES):
        frame = render([_scene(index)], CONFIG, sources).b[0, :, TOP : TOP + HEIGHT]
        yield (frame.permute(1, 2, 0) * 255).round().byte().contiguous().numpy()


def _turning_points(clip: Path) -> Iterator[tuple[int, Frame]]:
    """Yield the frames at the turning points, with their numbers."""
    for index, frame in enumerate(islice(open_video(clip), PEAKS[-1] + 1)):
        if index in PEAKS:
            yield index, frame
