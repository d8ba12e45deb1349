"""PNG files of 16-bit colours, which neither Pillow nor imageio's plugin for it writes."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS, _RGB = 16, 2
_UP = 2  # the filter: a row's difference to the row above


def encode_png16(frame: NDArray[np.uint16], level: int) -> bytes:
    """A frame (H, W, 3) as the content of a PNG file (PNG, third edition, sections 5, 9 and 11).

    Args:
        frame: RGB, up to 65535.
        level: Of zlib's compression, 0 to 9.
    """
    height, width, _ = frame.shape
    rows = frame.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]  # modulo 256
    header = struct.pack(">IIBBBBB", width, height, _BITS, _RGB, 0, 0, 0)
    pixels = zlib.compress(filtered.tobytes(), level)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
