"""Decodes masks: the object label of each pixel, and the masks of a frame's objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError
from magkit.invert.davis import MAX_OBJECTS, ClipFrame
from magkit.synth.pictures import decode_errors, open_picture
from magkit.synth.storage import read_bytes

FORMATS = ("BMP", "PNG", "TIFF", "WEBP")
LAST_NUMBER = 20  # a higher level of grey is a shade somebody drew with, not a count of objects
MOST_SOFT = 0.25  # of a mask's pixels; of a blurred mask of DAVIS (8 pixels) 0.09 to 0.15
_WHITE = 255
_HINT = f"a mask is black but for its objects, at most {MAX_OBJECTS}, each of one even colour"

Labels = NDArray[np.uint8]


def read_labels(path: Path) -> Labels:
    """Return the label of each pixel, (H, W) uint8, 0 for the background.

    Edges may be soft: a mask in black and white with a little grey along its edges is cut at 128.
    Alpha is ignored unless the colour is the same everywhere: then alpha is the mask.

    Raises:
        MagkitError: The file is missing, damaged, no picture, a JPEG or GIF, a film, larger than
            64 megapixels, or has more than 64 objects, or colours or levels too alike or too large.
    """
    image = _opened(path)
    with decode_errors(str(path)):
        return _labels(_without_alpha(image))


def present_labels(labels: Labels) -> list[int]:
    """Return the labels of the objects in a mask, ascending; 0 is the background."""
    seen = np.zeros(256, bool)
    seen[labels] = True
    values: list[int] = np.flatnonzero(seen).tolist()
    return [value for value in values if value]


def _opened(path: Path) -> Image.Image:
    image = open_picture(read_bytes(str(path)), str(path))
    if image.format not in FORMATS:
        problem = f"{path} is a {image.format}, which does not keep the labels of a mask"
        raise MagkitError(problem, f"save masks as one of {', '.join(FORMATS)}")
    with decode_errors(str(path)):
        if getattr(image, "is_animated", False):
            raise MagkitError("it holds several pictures", "a mask is a file for each frame")
    return image


def _without_alpha(image: Image.Image) -> Image.Image:
    """Return a picture without its alpha, or alpha alone where nothing else can be the mask."""
    if image.mode not in ("LA", "RGBA"):
        return image
    colour, alpha = image.convert(image.mode[:-1]), image.getchannel("A")
    is_even = colour.getcolors(1) is not None
    return alpha if is_even and np.asarray(alpha).min() < 255 else colour


def _labels(image: Image.Image) -> Labels:
    match image.mode:
        case "1" | "L":
            return _of_grey(np.asarray(image.convert("L")))
        case "P":
            return _of_palette(image)
        case "RGB":
            return _of_colours(image)
        case "I" | "I;16" | "I;16B" | "I;16L":
            return _of_grey(_narrowed(np.asarray(image)))
        case mode:
            raise MagkitError(f"masks can't be read from pixels of the kind {mode}", _HINT)


def _of_palette(image: Image.Image) -> Labels:
    indices = np.asarray(image)
    palette = np.array(image.getpalette() or [0, 0, 0]).reshape(-1, 3)
    if palette[0].any():  # a palette in an order of its own: its indices mean nothing
        return _of_colours(image.convert("RGB"))
    if _tells_greys(palette, [0, *present_labels(indices)]):
        return _of_grey(np.asarray(image.convert("L")))
    return _numbered(indices, last_number=254)


def _tells_greys(palette: NDArray[np.integer], used: list[int]) -> bool:
    """Tell whether a palette is all of greys, of which each index that is used has its own."""
    if used[-1] >= len(palette) or (palette != palette[:, :1]).any():
        return False
    return len(np.unique(palette[used, 0])) == len(used)


def _of_grey(levels: Labels) -> Labels:
    if _is_soft(levels):
        return (levels >= 128).astype(np.uint8)
    return _numbered(levels, last_number=LAST_NUMBER)


def _is_soft(levels: Labels) -> bool:
    """Tell soft edges from levels that are labels: levels in between, none of them in areas.

    An object has an inside, where a pixel is like its neighbours on the right and below. That holds
    for over 0.9 of its pixels, for less than 0.05 of those of a resized, blurred or JPEG-coded
    edge, and for less than half of them after such a mask was enlarged by repeating pixels.
    """
    between = (levels > 0) & (levels < _WHITE)
    count = np.count_nonzero(between)
    if not 0 < count <= MOST_SOFT * levels.size or levels.max() < 128:
        return False
    if len(present_labels(levels)) < 2:  # one thin object of a single shade
        return False
    here = levels[:-1, :-1]
    inside = (here == levels[:-1, 1:]) & (here == levels[1:, :-1]) & between[:-1, :-1]
    return bool(np.count_nonzero(inside) < count / 2)


def _numbered(labels: Labels, last_number: int) -> Labels:
    """Return labels with 255 settled: void beside a label up to `last_number`, otherwise 1."""
    present = present_labels(labels)
    if len(present) > MAX_OBJECTS:
        raise MagkitError(
            f"it has {len(present)} levels or colours, as a photograph has, not a mask", _HINT
        )
    white = 0 if present and present[0] <= last_number else 1
    return np.where(labels == _WHITE, np.uint8(white), labels)


def _narrowed(levels: NDArray[np.integer]) -> Labels:
    """Return 16 bits as 8: the same numbers if these are small, otherwise shades."""
    white, wide = 65535, levels.astype(np.int64)
    shades = wide[wide < white]
    if wide.min() < 0 or wide.max() > white:
        raise MagkitError("its levels do not fit into 16 bits", _HINT)
    if shades.max(initial=0) <= 255:
        return np.minimum(wide, _WHITE).astype(np.uint8)
    if wide.max() < white:
        raise MagkitError(f"its labels go up to {wide.max()}, and must end at 255", _HINT)
    return ((wide + 128) // 257).astype(np.uint8)


def _of_colours(image: Image.Image) -> Labels:
    pixels = np.asarray(image)
    if (pixels == pixels[..., :1]).all():
        return _of_grey(pixels[..., 0])
    found = image.getcolors(MAX_OBJECTS + 1)
    if found is None:
        raise MagkitError("it has too many colours, as a photograph has, not a mask", _HINT)
    if len(np.unique(_number(np.array([colour for _, colour in found], np.uint8)))) < len(found):
        raise MagkitError(
            "some of its colours are too alike to be told apart in every frame",
            f"{_HINT}; or save it with a palette, whose indices are the labels",
        )
    return _number(pixels)


def _number(colours: Labels) -> Labels:
    """Return the labels of RGB colours (..., 3) by DAVIS' palette, that of PASCAL VOC.

    There the bits of a label from the lowest on are the highest bits of red, green and blue, then
    their second highest, and so on. Black is 0, (128, 0, 0) is 1, (0, 128, 0) is 2.
    """
    labels = np.zeros(colours.shape[:-1], np.uint8)
    for bit in range(8):
        labels |= (colours[..., bit % 3] >> (7 - bit // 3) & 1) << bit
    labels[(colours == _WHITE).all(-1)] = 1
    return labels


def read_frame_masks(frame: ClipFrame) -> tuple[tuple[int, int], dict[int, NDArray[np.bool_]]]:
    """Decode a frame's masks.

    Files of single objects show theirs wherever they aren't 0, and may overlap.

    Returns:
        Height and width; and by label the mask (H, W) of each object that is seen.

    Raises:
        MagkitError: a file can't be read, or they differ in size.
    """
    if not frame.objects:
        labels = read_labels(frame.mask)
        return _size(labels), {label: labels == label for label in present_labels(labels)}
    read = [(label, path, read_labels(path) > 0) for label, path in frame.objects]
    size = _size(read[0][2])
    for _, path, mask in read:
        if _size(mask) != size:
            shown, other = (f"{width}x{height}" for height, width in (mask.shape, size))
            raise MagkitError(f"{path} is {shown}, but {frame.mask} of the same frame is {other}")
    return size, {label: mask for label, _, mask in read if mask.any()}


def _size(labels: NDArray[Any]) -> tuple[int, int]:
    return labels.shape[0], labels.shape[1]
