"""The page of a report: one HTML file without scripts, which asks for nothing outside itself.

Charts stand beside still pictures only, and the magnified clip is a file beside the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from magkit.evaluate.report_figures import Chart, Figures
from magkit.evaluate.report_style import STYLE
from magkit.measure.html import (
    READINGS,
    Record,
    counted,
    figure,
    headline,
    interval,
    tones_table,
    warnings_list,
)

MOST_ROWS = 200  # of the table: of a fine grid, the rest is in the record
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(record: Record, figures: Figures) -> str:
    """Return the HTML of a report.

    Args:
        record: of `report.write_report`.
        figures: its pictures.
    """
    name = escape(record["clip"]["name"])
    sections = [
        ("Clip", _clip(record)),
        ("Regions", _still(figures)),
        ("Tones", tones_table(record, MOST_ROWS, "in measurement.json")),
        ("Waveforms and spectra", _charts(record, figures)),
        ("Warnings", warnings_list(record["warnings"])),
        ("Magnified clip", _magnified(record)),
        ("Settings and origin", _origin(record)),
    ]
    body = "\n".join(f"<section>\n<h2>{title}</h2>\n{text}\n</section>" for title, text in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>Vibration report: {name}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header>
<p class="kind">Vibration report</p>
<h1>{name}</h1>
<p class="verdict">{headline(record)}</p>
</header>
{body}
</main>
</body>
</html>
"""


def _clip(record: Record) -> str:
    clip = record["clip"]
    rows = {
        "Size": f"{clip['width']} x {clip['height']} pixels",
        "Length": f"{counted(record['frames'], 'frame')}, {clip['seconds']:.2f} s",
        "Frame rate": f"{clip['rate']:g} per second",
    }
    if record["rate"] != clip["rate"]:
        filmed = record["frames"] / record["rate"]
        rows["Filmed at"] = f"{record['rate']:g} frames per second, in {filmed:.3g} s"
    if clip["bytes"] is not None:
        rows["File"] = f"{clip['bytes']:,} bytes"
    if record["mm_per_px"] is not None:
        rows["A pixel"] = f"{record['mm_per_px']:.4g} mm"
    return _list(rows)


def _still(figures: Figures) -> str:
    return (
        f'<figure><img src="{figures.still}" alt="The first frame with the measured regions">'
        "<figcaption>The first frame. Regions in red vibrate, those in white do not."
        "</figcaption></figure>"
    )


def _charts(record: Record, figures: Figures) -> str:
    moving = sum(each["vibrates"] for each in record["regions"])
    if not moving:
        return "<p>No region vibrates, so there is nothing to draw.</p>"
    more = ""
    if moving > len(figures.charts):
        more = f"<p>The {len(figures.charts)} that move most, of {moving}.</p>"
    return more + "\n".join(_chart(each) for each in figures.charts)


def _chart(chart: Chart) -> str:
    name = escape(chart.region)
    return (
        f'<figure class="pair"><img src="{chart.waveform}" alt="Waveform of the region {name}">'
        f'<img src="{chart.spectrum}" alt="Spectrum of the region {name} with noise floor and '
        f'detection limit"><figcaption>Region {name}: displacement over time, and its spectrum '
        "as peak displacement, with the noise floor (dotted) and the detection limit (dashed)."
        "</figcaption></figure>"
    )


def _magnified(record: Record) -> str:
    made = record["magnified"]
    if made is None:
        return (
            "<p>Nothing moves above the detection limit, so the clip was not magnified. "
            "<code>--band LO-HI</code> names a band to magnify all the same.</p>"
        )
    bands = " and ".join(f"from {low:.4g} to {high:.4g} Hz" for low, high in made["bands"])
    link = (
        f'<p><a href="{escape(made["file"])}">{escape(made["file"])}</a>, beside this page, shows '
        f"the motion {bands} {made['factor']:g} times as large.</p>"
    )
    if made["gain"] is None:
        band = "this band" if len(made["bands"]) == 1 else "these bands"
        return link + (
            f"<p>No motion in {band} is above the detection limit of the clip, so there is no "
            "gain to state. What moves in the magnified clip may be noise.</p>"
        )
    return link + _gain(record, made["gain"], made["factor"])


def _gain(record: Record, gain: Record, factor: float) -> str:
    unit, reading = escape(record["unit"]), READINGS[record["reading"]]
    if gain["after"] is None:
        limit = gain["after_limit"]
        above = "" if limit is None else f", {figure(limit)} {unit}"
        after = f"nothing above the detection limit{above}"
        ratio = "none"
    else:
        after = f"{interval(gain['after'], gain['after_error'])} {unit}"
        ratio = interval(gain["ratio"], gain["ratio_error"])
    rows = {
        "Measured in": f"region {escape(gain['region'])}, {gain['direction']}, "
        f"{gain['frequency']:.2f} Hz",
        "Amplitude before": f"{interval(gain['before'], gain['before_error'])} {unit}, {reading}",
        "Amplitude after": after,
        "Ratio": f"<strong>{ratio}</strong>, of {factor:g} asked for",
    }
    return _list(rows) + (warnings_list(gain["warnings"]) if gain["warnings"] else "")


def _origin(record: Record) -> str:
    made, settings = record["magnified"], record["settings"]
    rows = {escape(name): f"{escape(_text(value))}" for name, value in settings.items()}
    rows["magkit"] = escape(record["magkit"])
    digest = record["clip"]["sha256"]
    rows["SHA-256 of the clip"] = (
        f"<code>{digest}</code>" if digest else "none: it is a folder of frames"
    )
    if made is not None:
        rows["SHA-256 of the magnified clip"] = f"<code>{made['sha256']}</code>"
    return _list(rows) + (
        '<p>All figures are also in <a href="measurement.json">measurement.json</a>, beside this '
        "page.</p>"
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _list(rows: Mapping[str, str]) -> str:
    """Return names and values, both HTML."""
    items = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
    return f"<dl>{items}</dl>"
