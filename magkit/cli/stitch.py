"""`magkit stitch`: encodes frames as a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magkit.cli.magnify import Quality
from magkit.cli.options import Overwrite
from magkit.cli.output import Output
from magkit.runtime.files import fitted

if TYPE_CHECKING:
    from magkit.video.stitch import Stitch

# A list of more would be the size of the gap, not of the folder.
MOST_MISSING = 1000

Frames = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="The folder of the frames, or of a job that keeps them as */frames."
    ),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A video by its suffix, or a folder of PNG frames without one. Unset: here, DIR's "
        "name, as mp4.",
    ),
]
Fps = Annotated[
    str | None,
    typer.Option(
        "--fps",
        metavar="FPS",
        help="Frame rate, such as 24 or 30000/1001; what DIR's sidecar says, or 24, if unset.",
    ),
]
Beside = Annotated[
    list[Path] | None,
    typer.Option(
        "--beside",
        metavar="DIR",
        help="Show the images of the same names in this folder beside the frames; may be given "
        "again.",
    ),
]
Panels = Annotated[
    str | None,
    typer.Option(
        "--panels",
        metavar="NAMES",
        help="Show these folders beside DIR's frames, from left to right: masks,frames,seen,real.",
    ),
]
Gaps = Annotated[bool, typer.Option("--gaps", help="Accept missing frame numbers.")]
Pattern = Annotated[
    str,
    typer.Option(
        metavar="GLOB",
        help="Take only images of DIR with names such as '*.png' or 'img_*', in any case.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=16,
        help="Bits used of 16-bit images, such as 12; what the files say, if unset.",
    ),
]


def stitch(
    out: Output,
    folder: Frames,
    *,
    output: To = None,
    fps: Fps = None,
    beside: Beside = None,
    panels: Panels = None,
    gaps: Gaps = False,
    pattern: Pattern = "*",
    bits: Bits = None,
    quality: Quality = None,
    overwrite: Overwrite = False,
) -> None:
    """Encode frames as a video, in the order of their numbers.

    Colours and the shape of pixels are those of the sidecar that magkit writes into a folder.
    """
    from magkit.video import ReadOptions, WriteOptions
    from magkit.video.stitch import open_stitch, parse_rate, write_stitch

    rate = None if fps is None else parse_rate(fps)
    strip = open_stitch(
        folder,
        ReadOptions(rate=rate, gaps=gaps, pattern=pattern, bits=bits),
        others=beside or (),
        panels=[name.strip() for name in panels.split(",")] if panels else (),
    )
    _report_gaps(out, strip)
    target = output or Path(fitted(strip.name, ".mp4"))
    options = WriteOptions(quality=quality, overwrite=overwrite)
    with out.progress(str(folder)) as progress:
        count = write_stitch(strip, target, options, progress=progress)
    info = strip.info
    out.finish(
        {
            "output": target,
            "frames": count,
            "fps": float(info.rate),
            "rate": f"{info.rate.numerator}/{info.rate.denominator}",
            "size": [info.width, info.height],
            "missing": strip.missing.first(MOST_MISSING),
            "missing_count": strip.missing.count,
            "foreign": strip.foreign,
        },
        wrote=[target],
        then="play it; --beside and --panels show other pictures beside the frames",
    )


def _report_gaps(out: Output, strip: Stitch) -> None:
    """Report missing frames and files that are left out."""
    from magkit.video.frame_names import summarize

    if strip.missing.count:
        out.warn(f"strung without the frames that are missing: {strip.missing}")
    if strip.foreign:
        others = summarize(strip.foreign, len(strip.foreign))
        out.warn(f"left out, for they are no frames: {others}")
    if strip.spare:
        others = summarize(strip.spare, len(strip.spare))
        out.note(f"left out, for no frame has their name: {others}")
