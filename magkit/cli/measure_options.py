"""Options that `magkit measure` and `magkit report` share, and the regions that they name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from magkit.cli.parameters import parse_rectangle, whole_numbers
from magkit.errors import UsageError

At = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="X,Y", help="Measure around this pixel; may be given again."),
]
Rois = Annotated[
    list[str] | None,
    typer.Option("--roi", metavar="X,Y,W,H", help="Measure this rectangle; may be given again."),
]
Grid = Annotated[
    str | None,
    typer.Option(
        "--grid", metavar="COLSxROWS", help="Measure equal rectangles that fill the frame."
    ),
]
Side = Annotated[
    int, typer.Option("--side", min=8, help="Side of the square around a pixel of --at, in pixels.")
]
CaptureFps = Annotated[
    float | None,
    typer.Option(
        "--capture-fps",
        help="Frame rate at which the scene was captured, if the clip plays slower.",
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="SCALE",
        help="Size of a pixel: two points and their distance, X1,Y1,X2,Y2=120mm, or 3.5px/mm.",
    ),
]
UnitName = Annotated[
    Literal["px", "um", "mm", "mil", "in", "mm/s", "in/s", "g"],
    typer.Option(
        "--unit", help="Unit of amplitudes; waveforms are in the matching unit of length."
    ),
]
ReadingName = Annotated[
    Literal["peak", "pp", "rms"],
    typer.Option("--reading", help="Amplitudes as peak, peak to peak, or root mean square."),
]
Steady = Annotated[bool, typer.Option("--steady", help="Take out the motion of the whole picture.")]
Start = Annotated[float | None, typer.Option("--start", help="Begin at this time, in seconds.")]
End = Annotated[float | None, typer.Option("--end", help="End before this time, in seconds.")]


def read_scale(scale: str | None, unit: str) -> float | None:
    """Return the millimetres of a pixel; UsageError: no scale, or the unit needs one."""
    from magkit.measure.units import check_unit, parse_scale

    size = None if scale is None else parse_scale(scale)
    check_unit(unit, size)
    return size


def check_capture_fps(rate: float | None) -> None:
    """Raise UsageError unless the rate is above 0, or not given."""
    if rate is not None and not 0 < rate < float("inf"):
        raise UsageError(f"the frame rate must be above 0, not {rate:g}")


def read_places(
    points: list[str] | None, boxes: list[str] | None, grid: str | None
) -> dict[str, Any]:
    """Return what --at, --roi and --grid name, as arguments of `magkit.measure`.

    Raises:
        UsageError: one isn't written as it should be.
    """
    cells = None
    if grid is not None:
        cells = whole_numbers(grid.lower().replace("x", ","), 2, "--grid COLSxROWS, as 8x6")
        if min(cells) < 1:
            raise UsageError(f"'{grid}' is no grid", "--grid COLSxROWS, as 8x6")
    return {
        "at": [whole_numbers(text, 2, "--at X,Y") for text in points or ()],
        "roi": [parse_rectangle(text, "--roi") for text in boxes or ()],
        "grid": cells,
    }
