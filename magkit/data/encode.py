"""Scenes as files: frames and motion as PNG, the rest as one JSON object."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from magkit.data.plan import Kind, Plan
from magkit.errors import MagkitError
from magkit.runtime.text import json_object
from magkit.synth.records import Layer, Scene, as_table
from magkit.synth.render import Sources, render
from magkit.synth.scene import draw_scene
from magkit.synth.triplets import Triplets

ZERO = 32768  # the level of no displacement
PNG_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGB and alpha"}
"""Colour types of a PNG header (PNG specification, 11.2.1)."""


def max_png_bytes(height: int, width: int) -> int:
    """Return the maximal size of a PNG of a frame or a motion map: three planes of 16 bits."""
    return 7 * height * width + (64 << 10)


def encode_frame(frame: torch.Tensor) -> bytes:
    """Return float RGB (3, H, W) in [0, 1] as a PNG."""
    levels = (frame * 255).round().byte().permute(1, 2, 0)
    return _png(Image.fromarray(np.ascontiguousarray(levels)))


def decode_frame(png: bytes, shape: tuple[int, int] | None = None) -> torch.Tensor:
    """Return a PNG as float RGB (3, H, W) in [0, 1].

    Raises:
        MagkitError: it is damaged, not of the given height and width, of more than 8 bits per
            channel, or transparent. Grey and palettes are accepted.
    """
    levels = _decode_png(png, shape, _rgb)
    return torch.from_numpy(levels).permute(2, 0, 1).float() / 255


def encode_motion(motion: torch.Tensor, moving: torch.Tensor) -> tuple[bytes, float]:
    """Return a PNG of displacements (2, H, W) and the moving mask (1, H, W), and its unit."""
    unit = float(motion.abs().max()) / (ZERO - 1)
    # In double precision, to round once.
    steps = torch.round(motion.double() / unit) if unit else torch.zeros_like(motion)
    planes = torch.cat([steps + ZERO, torch.round(moving.double() * 65535)])
    levels = planes.flatten(0, 1).numpy().astype(np.uint16)
    return _png(Image.fromarray(levels)), unit


def decode_motion(
    png: bytes, unit: float, shape: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return displacements (2, H, W) in pixels and the moving mask (1, H, W) in [0, 1].

    Raises:
        MagkitError: the PNG is damaged, of other frames, or not of one channel of 16 bits.
    """
    height, width = shape
    levels = _decode_png(png, (3 * height, width), _deep_grey)
    planes = torch.from_numpy(levels.reshape(3, height, width))
    return ((planes[:2] - ZERO).double() * unit).float(), (planes[2:].double() / 65535).float()


def frame_shape(png: bytes) -> tuple[int, int]:
    """Return height and width of a PNG, from its header alone.

    Raises:
        MagkitError: it is no PNG.
    """
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            return image.height, image.width
    except Exception as error:  # Pillow raises what comes its way
        raise MagkitError(f"not a PNG that can be read: {error}") from error


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    # Dithered pictures hardly compress.
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


Levels = npt.NDArray[np.uint8] | npt.NDArray[np.int32]
PngFormat = tuple[int, str]  # bits per channel, colour type


def _rgb(image: Image.Image, form: PngFormat) -> Levels:
    if form[0] > 8 or image.has_transparency_data:
        raise MagkitError(f"a picture of {_said(image, form)} in place of 8-bit RGB")
    return np.array(image.convert("RGB"))


def _deep_grey(image: Image.Image, form: PngFormat) -> Levels:
    if form != (16, "grey"):
        raise MagkitError(f"a map of motion of {_said(image, form)} in place of 16-bit grey")
    return np.array(image, np.int32)


def _said(image: Image.Image, form: PngFormat) -> str:
    transparent = image.has_transparency_data and "alpha" not in form[1]
    return f"{form[0]}-bit {form[1]}{' with transparency' * transparent}"


def _form(png: bytes) -> PngFormat:
    """Return the format that the header states; Pillow reduces some deeper ones to 8 bits."""
    if len(png) < 26 or png[12:16] != b"IHDR":
        raise MagkitError("a PNG that can't be read: it doesn't begin with its header")
    return png[24], PNG_COLOUR_TYPES.get(png[25], "unknown")


def _decode_png(
    png: bytes, shape: tuple[int, int] | None, pixels: Callable[[Image.Image, PngFormat], Levels]
) -> Levels:
    """Return a PNG's pixels; its size is checked before it is decoded."""
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if shape is not None and (image.height, image.width) != shape:
                asked = f"{shape[1]}x{shape[0]}"
                raise MagkitError(f"a picture of {image.width}x{image.height} in place of {asked}")
            return pixels(image, _form(png))
    except MagkitError:
        raise
    except Exception as error:  # Pillow raises what comes its way
        raise MagkitError(f"a PNG that can't be read: {error}") from error


FRAMES = ("a", "b", "c", "m")
MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EncodedScene:
    """The files of a scene by their names, and its record."""

    files: Mapping[str, bytes]
    record: Mapping[str, Any]


def picture_names(kind: Kind) -> tuple[str, ...]:
    """Return the names of a scene's pictures."""
    return ("a.png",) if kind == "frames" else (*(f"{n}.png" for n in FRAMES), "motion.png")


def encode(plan: Plan, sources: Sources, index: int) -> EncodedScene:
    """Render scene `index` of a plan."""
    counts = len(sources.pictures), len(sources.cutouts)
    scene = draw_scene(plan.config, *counts, plan.seed, index)
    made = render([scene], plan.config, sources)
    record = scene_record(scene, plan, sources)
    if plan.kind == "frames":
        return EncodedScene({"a.png": encode_frame(made.a[0])}, record)
    files = {f"{name}.png": encode_frame(getattr(made, name)[0]) for name in FRAMES}
    if plan.format == "published":
        return EncodedScene(files, record)
    files["motion.png"], unit = encode_motion(made.motion[0], made.moving[0])
    return EncodedScene(files, {**record, "motion_unit": unit})


def scene_record(scene: Scene, plan: Plan, sources: Sources) -> dict[str, Any]:
    """Return the record of a scene; lengths are in pixels."""
    objects = [
        {
            "source": sources.cutouts.name(layer.number),
            "origin": [plan.config.size * v for v in layer.origin],
            "motion": layer.motion,
            **_recorded(layer, "deformation"),
        }
        for layer in scene.layers
    ]
    picture = sources.pictures.name(scene.background)
    background = {
        "source": picture if scene.ground is None else f"ground {scene.ground}",
        "motion": scene.motion,
        **_recorded(scene, "deformation"),
    }
    return {
        "index": scene.index,
        "seed": plan.seed,
        "kind": scene.kind,
        "factor": scene.factor,
        "background": background,
        "objects": objects,
        "colour": {"gain": scene.gain, "offset": scene.offset},
        **_recorded(scene, "shutter", "exposure", "flicker"),
    }


def _recorded(part: Scene | Layer, *names: str) -> dict[str, Any]:
    """Return the named fields, but for those that are off."""
    return {name: value for name, value in as_table(part).items() if name in names}


def decode(files: Mapping[str, bytes], line: bytes, shape: tuple[int, int]) -> Triplets:
    """Return a stored scene; motion has a resolution of 1/32767 of its maximum.

    Raises:
        MagkitError: a file or the record is invalid.
    """
    said = json_object(line, "what is said about it")
    factor, unit = _number(said, "factor", 1000), _number(said, "motion_unit", 1)
    motion, moving = decode_motion(files["motion.png"], unit, shape)
    return Triplets(
        **{name: decode_frame(files[f"{name}.png"], shape)[None] for name in FRAMES},
        factor=torch.tensor([factor]),
        motion=motion[None],
        moving=moving[None],
    )


def _number(said: Mapping[str, Any], key: str, largest: float) -> float:
    """Return a number of a scene's record, in [0, `largest`].

    Raises:
        MagkitError: it isn't there, or no such number.
    """
    value = said.get(key)
    if isinstance(value, int | float) and 0 <= value <= largest:  # which NaN is not
        return float(value)
    raise MagkitError(f"its '{key}' is {value!s:.80}")
