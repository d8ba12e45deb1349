"""The figures of a measurement as HTML, for reports and notebooks; everything is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

MOST_DECIMALS = 6  # of a number without an exponent
READINGS = {"peak": "peak", "pp": "peak to peak", "rms": "root mean square"}

Record = Mapping[str, Any]
"""Of `export.as_record`."""


def headline(record: Record) -> str:
    """Return in a sentence what was found."""
    regions = record["regions"]
    moving = [each for each in regions if each["vibrates"]]
    if not moving:
        tones = any(each["tones"] for each in regions)
        rest = "Other causes are in the table below." if tones else "What is measured is noise."
        return f"No region moves above its detection limit. {rest}"
    region, tone = max(
        ((region, tone) for region in moving for tone in region["tones"] if _is_motion(tone)),
        key=lambda each: each[1]["amplitude_px"],
    )
    count, verb = len(moving), "vibrates" if len(moving) == 1 else "vibrate"
    return (
        f"{count} of {counted(len(regions), 'region')} {verb}. The strongest motion is "
        f"<strong>{_amplitude(tone, record)} at {tone['frequency']:.2f} Hz</strong>, in "
        f"{tone['direction']}, in the region {escape(region['name'])}."
    )


def _is_motion(tone: Record) -> bool:
    return bool(tone["cause"] == "motion")


def tones_table(record: Record, most_rows: int, rest: str) -> str:
    """Return the tones of all regions as a table, those that vibrate first.

    Args:
        record: of the measurement.
        most_rows: after which the table ends.
        rest: where the other rows are, in words.
    """
    regions = sorted(record["regions"], key=lambda each: not each["vibrates"])
    rows = [row for region in regions for row in _region(region)]
    more, body = "", "\n".join(rows[:most_rows])
    if len(rows) > most_rows:
        more = f"<p>And {counted(len(rows) - most_rows, 'more row')}, {rest}.</p>"
    unit, reading = escape(record["unit"]), READINGS[record["reading"]]
    return f"""<div class="wide"><table>
<thead><tr><th>Region</th><th></th><th class="n">Frequency (Hz)</th>
<th class="n">Amplitude ({unit}, {reading})</th><th class="n">Limit ({unit})</th><th>Cause</th></tr>
</thead>
<tbody>
{body}
</tbody>
</table></div>{more}
<p class="note">x runs to the right, y down. Intervals are of 95 %. A tone of noise alone is above
its limit in one of a thousand measurements of a direction. The limit of noise is the one at
{regions[0]["limit_frequency"]:.3g} Hz.</p>"""


def _region(region: Record) -> list[str]:
    """Return the rows of a region: its tones, or one that says that there is noise alone."""
    name = escape(region["name"])
    if not region["tones"]:
        limit, words = figure(min(region["limit"])), escape(region["verdict"])
        row = f'<th>{name}</th><td colspan="3">{words}</td><td class="n">{limit}</td><td>noise</td>'
        return [f'<tr class="noise">{row}</tr>']
    return [
        f"<tr><th>{name}</th><td>{tone['direction']}</td>"
        f'<td class="n">{interval(tone["frequency"], tone["frequency_error"])}</td>'
        f'<td class="n">{interval(tone["amplitude"], tone["amplitude_error"])}</td>'
        f'<td class="n">{figure(tone["limit"])}</td>'
        f'<td class="{tone["cause"]}">{tone["cause"]}</td></tr>'
        for tone in region["tones"]
    ]


def warnings_list(warnings: Iterable[str]) -> str:
    """Return sentences as a list."""
    rows = [f"<li>{escape(each)}</li>" for each in warnings]
    return f"<ul>{''.join(rows)}</ul>" if rows else "<p>There are none.</p>"


def _amplitude(tone: Record, record: Record) -> str:
    size = interval(tone["amplitude"], tone["amplitude_error"])
    return f"{size} {escape(record['unit'])} ({READINGS[record['reading']]})"


def interval(value: float, error: float) -> str:
    """Return a value with half of its interval, both to its first digit: 31.974 ± 0.004."""
    if not 0 < error < math.inf:
        return figure(value)
    decimals = max(0, -math.floor(math.log10(error)))
    if decimals > MOST_DECIMALS:
        return f"{value:.3e} ± {error:.0e}"
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def figure(value: float, digits: int = 3) -> str:
    """Return a number with so many digits, without an exponent up to 10000."""
    return f"{value:.0f}" if 10 ** (digits - 1) <= value < 1e4 else f"{value:.{digits}g}"


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 frame, 2 frames."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
