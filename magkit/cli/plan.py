"""`magkit plan`: whether a recording will show a vibration, before it is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magkit.cli.output import Output
from magkit.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from magkit.measure.plan import Outlook, Recording

_SIZE = re.compile(r"(\d{1,9})[x\u00d7](\d{1,9})", re.IGNORECASE)
SCALES = "--length with --pixels, --field with --width, or --distance, --focal and --pixel-size"


def plan(
    out: Output,
    *,
    frequency: Annotated[
        list[float],
        typer.Option(metavar="HZ", help="Frequency of the vibration; may be given again."),
    ],
    fps: Annotated[float, typer.Option(help="Frames per second of the recording.")],
    seconds: Annotated[float, typer.Option(help="Length of the recording.")] = 10.0,
    exposure: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Milliseconds of a frame's exposure; unset: 1000 / fps."),
    ] = None,
    length: Annotated[
        float | None,
        typer.Option(metavar="MM", help="A known length in the picture, with --pixels."),
    ] = None,
    pixels: Annotated[float | None, typer.Option(metavar="N", help="Its length in pixels.")] = None,
    field: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Width that the picture shows, with --width or --size."),
    ] = None,
    width: Annotated[
        float | None, typer.Option(metavar="N", help="Width of the picture in pixels.")
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            help="Metres from the lens to the object, with --focal and --pixel-size.",
        ),
    ] = None,
    focal: Annotated[
        float | None, typer.Option(metavar="MM", help="Focal length of the lens.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Distance of the sensor's pixels.")
    ] = None,
    amplitude: Annotated[
        float | None, typer.Option(metavar="VALUE", help="Expected vibration, in --unit.")
    ] = None,
    unit: Annotated[
        Literal["um", "mm", "mil", "in", "mm/s", "in/s", "g"],
        typer.Option(help="Unit of --amplitude."),
    ] = "mm/s",
    reading: Annotated[
        Literal["peak", "pp", "rms"],
        typer.Option(help="--amplitude as peak, peak to peak, or root mean square."),
    ] = "rms",
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Size of the picture in pixels, for the file's rate."),
    ] = None,
    noise: Annotated[
        float, typer.Option(help="Standard deviation of a pixel, in grey levels of 255.")
    ] = 2.5,
    region: Annotated[
        int, typer.Option(help="Side of the square that is measured, in pixels.")
    ] = 64,
    contrast: Annotated[
        float | None,
        typer.Option(
            help="Root mean square gradient of the texture, in grey levels of 255 per pixel; "
            "unset: 13 (rich) and 2 (weak)."
        ),
    ] = None,
) -> None:
    """Tell what a recording will show of a vibration, before it is made.

    The size of a pixel comes from a known length (--length, --pixels), from the width of the view
    (--field, --width), or from the lens (--distance, --focal, --pixel-size).
    """
    from magkit.measure.plan import TEXTURES, Expected, Recording, advice, check_positive, outlook

    frame = None if size is None else _size(size)
    scale = _scale(
        {
            "length": (length, pixels),
            "field": (field, frame[0] if width is None and frame and field is not None else width),
            "lens": (distance, focal, pixel_size),
        }
    )
    check_positive("frame rate", fps)
    open_seconds = 1 / fps if exposure is None else exposure / 1000
    recording = Recording(scale, fps, seconds, open_seconds, noise, region, frame)
    expected = None if amplitude is None else Expected(amplitude, unit, reading)
    textures = TEXTURES if contrast is None else {"given": contrast}
    found = [outlook(recording, each, textures, expected) for each in frequency]
    notes = advice(recording, found)
    out.show(_recording_table(recording))
    out.show(_frequency_table(found))
    out.show(_limit_table(found))
    for each in found:
        for one in each.detections:
            out.show(f"{each.frequency:.4g} Hz, {one.texture} texture: {one.verdict}")
    for note in notes:
        out.show(note)
    out.finish(_record(recording, textures, found, notes))


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"'{text}' is no size of a picture", "--size WxH, as 1920x1080")
    return int(match[1]), int(match[2])


def _scale(ways: dict[str, tuple[float | None, ...]]) -> float:
    """Return the millimetres of a pixel by the one way that is given whole."""
    from magkit.measure.plan import check_positive, lens_scale

    given = [name for name, values in ways.items() if any(v is not None for v in values)]
    if len(given) != 1:
        fault = "is given in several ways" if given else "is not known"
        raise UsageError(f"the size of a pixel {fault}", f"one of: {SCALES}")
    [way] = given
    values = [each for each in ways[way] if each is not None]
    if len(values) < len(ways[way]):
        raise UsageError("the size of a pixel needs options that go together", SCALES)
    if way == "lens":
        return lens_scale(*values)
    check_positive("length" if way == "length" else "width of the view", values[0])
    check_positive("number of pixels", values[1])
    return values[0] / values[1]


def _record(
    recording: Recording, textures: dict[str, float], found: list[Outlook], notes: list[str]
) -> dict[str, Any]:
    from dataclasses import asdict

    from magkit.measure.plan import DEPTHS

    limits = {name: recording.limit(gradient) for name, gradient in textures.items()}
    return {
        "um_per_px": 1000 * recording.scale,
        "frames": recording.frames,
        "rate": recording.rate,
        "exposure_ms": 1000 * recording.exposure,
        "noise": recording.noise,
        "region": recording.side,
        "textures": [
            {
                "texture": name,
                "gradient": gradient,
                "limit_px": limits[name],
                "limit_um": 1000 * recording.scale * limits[name],
            }
            for name, gradient in textures.items()
        ],
        "megabytes_per_second": {
            str(bits): recording.megabytes_per_second(bits) for bits in DEPTHS
        },
        "frequencies": [asdict(each) for each in found],
        "advice": notes,
    }


def _recording_table(recording: Recording) -> Table:
    from rich import box
    from rich.table import Table

    from magkit.measure.plan import DEPTHS

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    cells = {
        "um per px": f"{1000 * recording.scale:.3g}",
        "frames": f"{recording.frames:.7g}",
        "per second": f"{recording.rate:g}",
        "exposure": f"{1000 * recording.exposure:.3g} ms",
    }
    for bits in DEPTHS:
        rate = recording.megabytes_per_second(bits)
        if rate is not None:
            cells[f"raw, {bits} bits"] = f"{rate:.3g} MB/s"
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    return table


def _frequency_table(found: list[Outlook]) -> Table:
    """A row for each frequency: sampling and blur."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    expected = any(each.expected_px is not None for each in found)
    for name in ("Hz", "frames in\na period", "least\nfps", "alias\nHz", "left by\nexposure"):
        table.add_column(name, justify="right")
    for name in ("longest\nexposure", *(("expected\npx", "blur\npx") if expected else ())):
        table.add_column(name, justify="right")
    for each in found:
        table.add_row(
            f"{each.frequency:.4g}",
            f"{each.frames_per_period:.3g}",
            f"{each.least_rate:.4g}",
            _number(each.alias),
            f"{100 * each.exposure_factor:.3g} %",
            f"{each.longest_exposure_ms:.2g} ms",
            *((_number(each.expected_px), _number(each.blur_px)) if expected else ()),
        )
    return table


def _limit_table(found: list[Outlook]) -> Table:
    """A row for each frequency and texture: the smallest vibration above the limit."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("Hz", justify="right")
    table.add_column("texture")
    expected = any(each.expected_px is not None for each in found)
    names = ("limit px", "um", "mm/s rms", "g rms", *(("expected / limit",) if expected else ()))
    for name in names:
        table.add_column(name, justify="right")
    for each in found:
        for one in each.detections:
            values = (one.limit_px, one.limit_um, one.limit_mm_s, one.limit_g)
            cells = [_number(value) for value in values]
            margin = [_number(one.margin)] if expected else []
            table.add_row(f"{each.frequency:.4g}", one.texture, *cells, *margin)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
