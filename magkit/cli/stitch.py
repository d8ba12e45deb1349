"""`magkit stitch`: joins frames to a video."""

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

# A single far-off frame number could otherwise make the list arbitrarily long.
MAX_LISTED_MISSING = 1000

Frames = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A folder of frames, or a folder with a frames subfolder."),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A video file, a TIFF stack (.tif), or without a suffix a folder of PNG frames. "
        "Unset: DIR's name with .mp4, in the current folder.",
    ),
]
Fps = Annotated[
    str | None,
    typer.Option(
        "--fps",
        metavar="FPS",
        help="Frame rate, such as 24 or 30000/1001; if unset, that of DIR's sidecar, or 24.",
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
        help="Use only images of DIR that match, such as '*.png' or 'img_*'; ignores case.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=16,
        help="Significant bits of 16-bit images, such as 12; read from the files if unset.",
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
    """Join frames to a video, in the order of their numbers.

    Colour tags and pixel aspect ratio are read from the sidecar that magkit writes into a folder.
    """
    from magkit.video import ReadOptions, WriteOptions
    from magkit.video.stack_writer import STACKS
    from magkit.video.stitch import open_stitch, parse_rate, write_stitch

    rate = None if fps is None else parse_rate(fps)
    stacked = output is not None and output.suffix.lower() in STACKS
    strip = open_stitch(
        folder,
        ReadOptions(rate=rate, gaps=gaps, pattern=pattern, bits=bits, deep=stacked),
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
            "missing": strip.missing.first(MAX_LISTED_MISSING),
            "missing_count": strip.missing.count,
            "foreign": strip.foreign,
        },
        wrote=[target],
        then="play it; --beside and --panels show other pictures beside the frames",
    )


def _report_gaps(out: Output, strip: Stitch) -> None:
    """Report missing frames and ignored files."""
    from magkit.video.frame_names import summarize

    if strip.missing.count:
        out.warn(f"joined without missing frames: {strip.missing}")
    if strip.foreign:
        others = summarize(strip.foreign, len(strip.foreign))
        out.warn(f"ignored, not frames: {others}")
    if strip.unmatched:
        others = summarize(strip.unmatched, len(strip.unmatched))
        out.note(f"ignored, no frame of the same name: {others}")
