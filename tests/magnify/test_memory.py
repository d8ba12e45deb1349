"""The peak of memory doesn't depend on how long a clip is."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import resource, sys
from fractions import Fraction
from itertools import repeat
from pathlib import Path
import numpy as np
import torch
from magkit.magnify.fast import MagnetFast
from magkit.magnify.band import Band
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.pipeline import magnify
from magkit.video import plain_info, write_video

torch.set_num_threads(1)
model = MagnetFast(FastConfig(stem=4, width=8, guide=4, hidden=4)).eval()
rng = np.random.default_rng(0)
picture = rng.integers(10, 240, (48, 64, 3))  # changes between frames are small: no cuts
frames = ((picture + rng.integers(-9, 10, picture.shape)).astype(np.uint8) for _ in range(900))

def report(done, total):
    if done in (100, 900):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)

out = magnify(frames, model, 10, band=Band(1, 3), rate=30)
write_video(Path(sys.argv[1]), out, plain_info(64, 48, Fraction(30), 900), progress=report)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells no peak of memory")
def test_900_frames_need_no_more_than_100(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "out.mp4")],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    early, late = map(int, done.stdout.split())
    assert late <= 1.1 * early
