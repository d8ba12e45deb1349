"""RGB to full-range YCbCr, rounded to nearest.

ffmpeg's scaler does this for studio range without a bias; into full range it leaves the chroma half
a step too low, which tints a clip a little more at every pass.
"""

import numpy as np

from magkit.video.info import Frame

# The weights of red and blue in luma: ITU-T H.273, table 4.
_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}

MATRICES = frozenset(_WEIGHTS)
"""The matrices that are read and written, as ffmpeg spells them."""


def full_range(frame: Frame, matrix: str) -> Frame:
    """The planes Y, Cb and Cr.

    Args:
        frame: (H, W, 3) RGB, uint8.
        matrix: As ffmpeg spells it.

    Returns:
        (3, H, W) uint8: luma 0-255, chroma about 128.
    """
    red, blue = _WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    rows = [luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)]
    planes = np.stack(rows).astype(np.float32) @ frame.reshape(-1, 3).T.astype(np.float32)
    planes += np.array([[0.5], [128.5], [128.5]], np.float32)  # the half rounds
    return planes.clip(0, 255).astype(np.uint8).reshape(3, *frame.shape[:2])
