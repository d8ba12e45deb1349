"""Clips written as multi-page TIFF files."""

from collections.abc import Iterable
from pathlib import Path

from magkit.video.depth import grey_levels
from magkit.video.info import Frame, VideoInfo

STACKS = (".tif", ".tiff")
"""The suffixes of stacks that are written."""

BITS_KEY = "magkit_bits"
"""The entry of the description that tells the depth of the source."""

# Offsets of a plain TIFF have 32 bits. Directories and tags need less than 512 bytes a page.
_LARGEST, _OVERHEAD = 2**32 - 2**20, 512


def write_stack(path: Path, frames: Iterable[Frame], info: VideoInfo) -> int:
    """Write frames as the pages of a TIFF file, uncompressed, one at a time.

    The pixels of all pages follow one another, as ImageJ expects it. A file that would exceed 4 GB,
    or might, is a BigTIFF.

    Args:
        path: The file.
        frames: (H, W, 3), at least one, all uint8 or all uint16: the depth of the pages.
        info: The record. Grey clips become grey pages; rate and depth go into the description.

    Returns:
        Number of frames written.
    """
    import tifffile  # a tenth of a second

    written = 0
    with tifffile.TiffWriter(path, bigtiff=_is_big(info), byteorder="<") as file:
        for written, frame in enumerate(frames, 1):  # noqa: B007 - it is the number of frames
            file.write(
                grey_levels(frame) if info.grey else frame,
                photometric="minisblack" if info.grey else "rgb",
                contiguous=True,
                metadata=None,
                description=_description(info, info.frames or 0),
                software="magkit",
            )
    if written != info.frames:
        tifffile.tiffcomment(path, _description(info, written))
    return written


def _is_big(info: VideoInfo) -> bool:
    if info.frames is None:
        return True
    channels, size = 1 if info.grey else 3, 2 if info.bits > 8 else 1
    page = info.width * info.height * channels * size + _OVERHEAD
    return info.frames * page > _LARGEST


def _description(info: VideoInfo, count: int) -> str:
    """The description of a stack in ImageJ's form; ImageJ ignores entries that it doesn't know."""
    entries = {
        "ImageJ": "1.11a",
        "images": count,
        "frames": count,
        "fps": float(info.rate),
        "finterval": float(1 / info.rate),
        "tunit": "s",
        "loop": "false",
        BITS_KEY: info.bits,
    }
    return "".join(f"{name}={value}\n" for name, value in entries.items())
