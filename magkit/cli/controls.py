"""Options of `magkit magnify` that say which part of the motion is magnified, and what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from magkit.cli.parameters import parse_rectangle
from magkit.errors import MagkitError, UsageError

if TYPE_CHECKING:
    from magkit.magnify.band import Band
    from magkit.magnify.region import Controls
    from magkit.magnify.stabilize import Stabilize
    from magkit.video import VideoSource
    from magkit.video.compare import Line

FromFrame = Annotated[
    Literal["static", "dynamic", "follow"],
    typer.Option(
        "--mode",
        help="Motion relative to the first frames, to the previous frame, or to the smooth path "
        "of each place.",
    ),
]
_ONLY = "Only motion of these frequencies, in Hz; may be given again"
Bands = Annotated[
    list[str] | None,
    typer.Option("--band", metavar="LO-HI", help=f"{_ONLY}."),
]
BandsOrAuto = Annotated[
    list[str] | None,
    typer.Option(
        "--band",
        metavar="LO-HI|auto",
        help=f"{_ONLY}. auto: around the strongest vibration that is above its detection limit.",
    ),
]
Limit = Annotated[
    float | None,
    typer.Option(
        metavar="PX",
        help="How far anything is shown to move, softly; 0: no limit. Unset: 8 % of the shorter "
        "side, at least 16.",
    ),
]
Average = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Frames whose aligned mean is the reference of static mode; 8 if unset."
    ),
]
Axis = Annotated[
    float | None,
    typer.Option(
        "--axis",
        metavar="DEG",
        help="Magnify only motion along this direction: 0 is horizontal, 90 vertical, 45 rises to "
        "the right.",
    ),
]
MaskFile = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="Magnify where this picture is white, not where it is black, and less where it is "
        "grey; or an .npy array (H, W) from 0 to 1.",
    ),
]
Roi = Annotated[
    str | None,
    typer.Option(
        "--roi",
        metavar="X,Y,W,H",
        help="Magnify only inside this rectangle: its left and top edge, width and height in "
        "pixels.",
    ),
]
Ramped = Annotated[
    str | None,
    typer.Option(
        "--ramp",
        metavar="A-B",
        help="The factor changes with time from A at the first frame to B at the last.",
    ),
]
Stabilized = Annotated[
    bool,
    typer.Option(
        "--stabilize",
        help="Take out the camera's motion first, so that it isn't magnified: the result shows the "
        "view of the first frame.",
    ),
]
KeepCamera = Annotated[
    bool,
    typer.Option(
        "--keep-camera-motion",
        help="With --stabilize, put the camera's motion back into the result, unmagnified.",
    ),
]
Compare = Annotated[
    bool, typer.Option("--compare", help="Show the input and the result side by side.")
]
Slice = Annotated[
    Path | None,
    typer.Option(
        "--slice",
        metavar="FILE.png",
        help="Also write a picture of one line of pixels over time, the input above the result.",
    ),
]
SliceAt = Annotated[
    str | None,
    typer.Option(
        "--slice-at",
        metavar="x=N|y=N",
        help="The column or row of --slice; through the place of the greatest motion if unset.",
    ),
]


def parse_bands_or_auto(texts: Sequence[str] | None) -> tuple[tuple[Band, ...], bool]:
    """Parse the values of --band: returns the bands, and whether one is to be found.

    Raises:
        UsageError: One is no band, two overlap, or auto is not alone.
    """
    from magkit.magnify.band import parse_bands

    if texts and "auto" in texts:
        if len(texts) > 1:
            raise UsageError("--band auto finds the only band", "leave out the other --band")
        return (), True
    return parse_bands(texts or ()), False


def stabilize_how(stabilize: bool, *, keep: bool) -> Stabilize | None:
    """Returns what is asked for by --stabilize and --keep-camera-motion.

    Raises:
        UsageError: The second is given alone.
    """
    if not stabilize:
        if keep:
            raise UsageError(
                "--keep-camera-motion needs --stabilize, which takes the camera's motion out",
                "add --stabilize",
            )
        return None
    return "back" if keep else "out"


def read_controls(
    videos: Sequence[VideoSource], axis: float | None, mask: Path | None, roi: str | None
) -> list[Controls]:
    """Returns the controls of each clip, whose mask has the size of its frames.

    Raises:
        UsageError: One is impossible, or doesn't fit a clip.
        MagkitError: The mask can't be read.
    """
    from magkit.magnify.region import Controls, read_mask

    place = None if roi is None else parse_rectangle(roi, "--roi")
    found = []
    for video in videos:
        size = video.info.height, video.info.width
        values = None if mask is None else read_mask(mask, *size)
        found.append(Controls(axis=axis, mask=values, roi=place))
        found[-1].check_size(*size)
    return found


@dataclass(frozen=True, slots=True)
class SliceRequest:
    """A picture of a line of a clip over time; `line` None: through the greatest motion."""

    path: Path
    line: Line | None
    overwrite: bool

    def line_of(self, video: VideoSource, controls: Controls, camera: Stabilize | None) -> Line:
        """Returns the line that is shown of a clip.

        Raises:
            UsageError: The frames don't have it.
            MagkitError: None is named, and nothing moves in the clip.
        """
        if self.line is None:
            return _busiest_line(video, controls, camera)
        self.line.check_size(video.info.height, video.info.width)
        return self.line

    def write(self, line: Line, video: VideoSource, result: Path, *, compare: bool) -> None:
        """Writes the picture of a clip and its result, which may show both side by side."""
        from magkit.video import open_video
        from magkit.video.compare import right_halves, save_slices

        frames = open_video(result)
        after = right_halves(frames, video.info) if compare else frames
        save_slices(self.path, video, after, line, overwrite=self.overwrite)


def parse_slice(
    path: Path | None, place: str | None, inputs: Sequence[Path], *, overwrite: bool
) -> SliceRequest | None:
    """Returns what is asked for by --slice and --slice-at; None: nothing.

    Raises:
        UsageError: It is impossible: the name of the picture, the line, or there are several clips.
        MagkitError: The picture exists and must not be replaced.
    """
    if path is None:
        if place is not None:
            raise UsageError("--slice-at needs --slice, which names the picture")
        return None
    if path.suffix.lower() != ".png":
        raise UsageError(f"the slice {path} must end in .png")
    if len(inputs) > 1:
        raise UsageError("a slice is made of one clip", "magnify them one by one")
    if path.exists() and inputs[0].exists() and path.samefile(inputs[0]):
        raise UsageError(f"the slice {path} is the input itself", "choose another name")
    if path.exists() and not overwrite:
        raise MagkitError(f"{path} exists", "--overwrite replaces it")
    if place is None:
        return SliceRequest(path, None, overwrite)

    from magkit.video.compare import parse_line

    return SliceRequest(path, parse_line(place), overwrite)


def _busiest_line(video: VideoSource, controls: Controls, camera: Stabilize | None) -> Line:
    """Returns the line along the greatest motion where a clip is magnified, through its place."""
    from magkit.evaluate.vibration import find_patch
    from magkit.magnify.stabilize import without_camera
    from magkit.video.compare import Line

    try:
        amount = controls.amount(video.info.height, video.info.width)
        frames = without_camera(video) if camera else video
        shown = frames if amount is None else (frame * (amount > 0)[..., None] for frame in frames)
        patch = find_patch(shown)
    except MagkitError as error:
        raise MagkitError(error.message, "--slice-at x=N or y=N names a line") from error
    if patch.axis == "y":
        return Line("column", (patch.left + patch.right) // 2)
    return Line("row", (patch.top + patch.bottom) // 2)
