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


def full_range(frame: Frame, matrix: str, bits: int = 8) -> Frame:
    """The planes Y, Cb and Cr.

    Args:
        frame: (H, W, 3) RGB, uint8 or uint16.
        matrix: As ffmpeg spells it.
        bits: Of the result, 8 (uint8) or 10 (uint16, little-endian).

    Returns:
        (3, H, W): luma 0 to 2^bits - 1, chroma about 2^(bits - 1).
    """
    red, blue = _WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    rows = [luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)]
    most, neutral = 2**bits - 1, 2 ** (bits - 1)
    scale = most / np.iinfo(frame.dtype).max
    weights = (scale * np.stack(rows)).astype(np.float32)
    planes = weights @ frame.reshape(-1, 3).T.astype(np.float32)
    planes += np.array([[0.5], [neutral + 0.5], [neutral + 0.5]], np.float32)  # the half rounds
    kind = np.dtype(np.uint8) if bits == 8 else np.dtype("<u2")
    made: Frame = planes.clip(0, most).astype(kind).reshape(3, *frame.shape[:2])
    return made
