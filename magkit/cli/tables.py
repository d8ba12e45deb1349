"""Tables of results for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


MOST_ROWS = 40  # of classes: those that are recognised least


def class_table(report: Mapping[str, Any]) -> Table:
    """A row for each class: the part of its pictures that each judge takes for it; also of noise.

    Of very many classes those are shown whose pictures are recognised least.
    """
    from rich import box
    from rich.table import Table

    looked = f"; verifier: {report['verifier']}" if report["verifier"] else ""
    title = f"taken for what was asked{looked}"
    # As wide as its title, which would be broken otherwise.
    table = Table(title=title, min_width=len(title), box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", overflow="fold")
    parts = list(report["mean"])
    for part in (*parts, *(f"noise:\n{part}" for part in parts)):
        table.add_column(part, justify="right")
    judge = parts[-1] if parts else ""
    rows = list(report["classes"].items())
    if len(rows) > MOST_ROWS:
        rows = sorted(rows, key=lambda row: row[1].get(judge, 1.0))[:MOST_ROWS]
        table.caption = f"{MOST_ROWS} of {len(report['classes'])} classes: the least recognised"
    for label, found in rows:
        table.add_row(label, *_class_cells(found, parts), *_class_cells(found["noise"], parts))
    table.add_section()
    table.add_row(
        "all",
        *_class_cells(report["mean"], parts),
        *_class_cells(report["noise"], parts),
        style="bold",
    )
    return table


def _class_cells(found: Mapping[str, Any], parts: list[str]) -> list[str]:
    return [f"{found[part]:.2f}" if part in found else "" for part in parts]


def encoder_table(report: Mapping[str, Any]) -> Table:
    """The encoder weights loaded into a magnifier, one row a group."""
    from rich.table import Table

    made = f"{report['method']}, {report['steps']} steps"
    table = Table("", title=f"the encoder {report['path']} ({made})")
    for name in ("tensors", "parameters"):
        table.add_column(name, justify="right")
    table.add_column("")
    for group in report["groups"]:
        said = "loaded" if group["loaded"] else "not loaded"
        about = f"{said}: {group['why']}" if group["why"] else said
        table.add_row(group["name"], str(group["tensors"]), f"{group['parameters']:,}", about)
    table.add_row("loaded in all", "", f"{report['parameters']:,}", "")
    return table


def fitness_table(found: Mapping[str, Any]) -> Table:
    """Measurements of an encoder's branches and of other weights, one row each."""
    from rich.table import Table

    title = f"{found['magnifier']}, {found['method']}, {found['steps']} steps"
    table = Table("branch", "weights", title=title)
    half, one = (found["distances"].index(d) for d in (0.5, 1.0))
    probed = "chance" in found
    for name in ("along", "linear", "read, px", "colour", "spread", "rank", "dead"):
        table.add_column(name, justify="right")
    for name in ("k-NN", "linear probe") if probed else ():
        table.add_column(name, justify="right")
    for row in sorted(found["rows"], key=lambda row: str(row["branch"])):
        fitness, collapse = row["fitness"], row["collapse"]
        along = 1 - fitness["equivariance"][half] / max(fitness["still"][half], 1e-12)
        table.add_row(
            row["branch"],
            row["weights"],
            f"{along:.2f}",
            f"{fitness['cosine'][one]:.2f}",
            f"{fitness['readout_mae']:.3f}",
            f"{fitness['colour_r2']:.2f}",
            f"{collapse['relative_spread']:.2f}",
            f"{collapse['rank']:.1f}",
            f"{collapse['dead']:.0%}",
            *(f"{row['labels'][name]:.0%}" for name in ("knn", "linear") if probed),
        )
    blind = found["rows"][0]["fitness"]["mean_mae"]
    table.caption = (
        "along: 1 moves with the frame by 0.5 px, 0 stays; linear: at 1 px; read: error of the"
        f" displacement, {blind:.3f} for who sees nothing; colour: R2"
    )
    if probed:
        table.caption += f"; classes: {found['chance']:.0%} by chance"
    return table


Report = Mapping[str, Any]

_MEASURES = ("gain", "ssim", "region_ssim")


def score_table(result: Report, axes: Sequence[str], extras: Mapping[str, str]) -> Table:
    """One magnifier: a row for all scenes and for each value of the axes.

    Gain is the median, SSIM the mean.

    Args:
        result: the report.
        axes: of its rows.
        extras: titles of further columns by their names.
    """
    from rich.table import Table

    right: tuple[str, ...]
    right = ("scenes", "gain", "within 10 %", "SSIM", "region", "SSIM still", "region still")
    if extras:  # a terminal has no room for all
        right = ("gain", "SSIM", "region", *extras.values())
    table = Table("", title=f"{result['magnifier']}: gain is the median, SSIM the mean")
    for name in right:
        table.add_column(name, justify="right")
    table.add_row("all", *_cells(result["all"], extras), end_section=True)
    for axis in axes:
        for row in result[axis]:
            end = row is result[axis][-1]
            table.add_row(label(axis, row[axis]), *_cells(row, extras), end_section=end)
    return table


def comparison_table(
    reports: Sequence[Report],
    axes: Sequence[str],
    behind: Sequence[Mapping[str, Any]],
    extras: Mapping[str, str],
) -> Table:
    """Several magnifiers: for each value of the axes a row for each, the judged one first.

    Its cells in which another, or the input as it is, does at least as well carry a star. Arguments
    as of `score_table`.
    """
    from rich.table import Table

    table = Table("", "", title="gain is the median, SSIM the mean")
    for name in ("gain", *(() if extras else ("within 10 %",)), "SSIM", "region", *extras.values()):
        table.add_column(name, justify="right")
    table.caption = "* not ahead of every other row" if behind else "ahead in every cell"
    starred = {(cell["by"], cell["value"], cell["measure"]) for cell in behind}
    first, *_ = reports
    places = [("all", None), *((axis, row[axis]) for axis in axes for row in first[axis])]
    for axis, value in places:
        rows = [_row(report, axis, value) for report in reports]
        _section(table, rows, reports, (axis, value), starred, extras)
    return table


def _row(report: Report, axis: str, value: float | str | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = report["all"]
    if value is not None:
        found = next(row for row in report[axis] if row[axis] == value)
    return found


def still_line(name: str, still: Mapping[str, float]) -> str:
    """The response to noise in a still clip, as a sentence."""
    return (
        f"{name}, still clips with noise of {still['sigma']:g}, x{still['factor']:g}: noise gain "
        f"{still['noise_gain']:.2f}, flicker {still['flicker']:.2f} grey levels (input "
        f"{still['input_flicker']:.2f}), {1000 * still['seconds']:.0f} ms a frame of 256 x 256"
    )


def vibration_table(result: Report) -> Table:
    """One vibration, before and after."""
    from rich.table import Table

    place = ",".join(map(str, result["at"]))
    table = Table("", title=f"{result['magnifier']}, x{result['factor']:g}, at {place}")
    for name in ("dominant frequency, Hz", "amplitude, px", "correlation, lowest"):
        table.add_column(name, justify="right")
    for when in ("before", "after"):
        frequency, amplitude = result[f"tone_{when}"], result[f"amplitude_{when}"]
        correlation = result[f"likeness_{when}"]
        table.add_row(when, f"{frequency:.2f}", f"{amplitude:.3f}", f"{correlation:.3f}")
    table.caption = (
        f"along {result['axis']}: the frequency is off by {result['tone_error']:+.2f} Hz, "
        f"the amplitude grew {result['growth']:.2f} times"
    )
    return table


def whole_table(result: Report) -> Table:
    """Texture ratios and folds of a clip's frames."""
    from rich.table import Table

    table = Table("", title=f"{result['magnifier']}, x{result['factor']:g}, {result['mode']}")
    for name in ("lowest", "median", "highest", "mean"):
        table.add_column(name, justify="right")
    table.add_row("texture ratio", *(f"{value:.3f}" for value in result["texture"].values()), "")
    folds = result["folds"]
    if folds is not None:
        table.add_row("folds", "", "", f"{folds['max']:.2%}", f"{folds['mean']:.2%}")
    table.caption = f"texture outside .85 to 1.15 in {result['outside']:.0%} of the frames"
    return table


def label(axis: str, value: float | str) -> str:
    """The label of a row: a value of an axis with its unit, or a word."""
    if isinstance(value, str):
        return value
    if axis == "displacement":
        return f"{value:.2g} px"
    return f"x{value:g}" if axis == "factor" else f"noise {value:.2g}"


def _section(
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    reports: Sequence[Report],
    place: tuple[str, float | str | None],
    starred: set[tuple[str, float | str | None, str]],
    extras: Mapping[str, str],
) -> None:
    axis, value = place
    title = axis if value is None else label(axis, value)
    for index, (row, report) in enumerate(zip(rows, reports, strict=True)):
        marks = ["*" if not index and (*place, m) in starred else "" for m in _MEASURES]
        gain, ssim, region = (f"{row[m]:.3f}{s}" for m, s in zip(_MEASURES, marks, strict=True))
        near = () if extras else (_percent(row["near"]),)
        cells = gain, *near, ssim, region, *_further(row, extras)
        table.add_row("" if index else title, report["name"], *cells)
    left = rows[0]
    untouched = f"{left['input_ssim']:.3f}", f"{left['input_region_ssim']:.3f}"
    blank = ("",) if extras else ("", "")
    table.add_row("", "input", *blank, *untouched, end_section=True)


def _cells(row: Mapping[str, Any], extras: Mapping[str, str]) -> list[str]:
    if extras:
        return [*(f"{row[name]:.3f}" for name in _MEASURES), *_further(row, extras)]
    names = ("ssim", "region_ssim", "input_ssim", "input_region_ssim")
    first = f"{row['cases']:.0f}", f"{row['gain']:.3f}", _percent(row["near"])
    return [*first, *(f"{row[name]:.3f}" for name in names)]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _further(row: Mapping[str, Any], extras: Mapping[str, str]) -> list[str]:
    return [f"{row[name]:.2f}" for name in extras]


# Of two lines each, so that all of them find room on a terminal.
_COLUMNS = {
    "target_J": "target\nJ",
    "target_F": "\nF",
    "verifier_J": "verifier\nJ",
    "verifier_F": "\nF",
    "verifier_score": "\nsure",
    "verifier_bn": "\nBN",
    "ssim": "\nSSIM",
    "colours": "\ncolour",
    "seconds": "\ns",
}


def inversion_table(report: Mapping[str, Any]) -> Table:
    """A row for each clip and for what needs no inversion, as the judges see them.

    J and F: overlap and contours (DAVIS) of what full detection finds. BN: the verifier's distance
    of statistics. SSIM to the real frame; colour: difference of histograms in the mask; s: seconds
    a frame took.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"what is seen in it; verifier: {report['verifier']}",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    table.add_column("", overflow="fold")
    columns = _present(report)
    for name in columns:
        header = _COLUMNS.get(name, name.replace("_", "\n"))
        table.add_column(header, justify="right")
    table.add_column("\nflicker", justify="right")
    for clip, found in report["clips"].items():
        flicker = found["flicker"]
        table.add_row(clip, style="bold")
        table.add_row("made", *_inversion_cells(found["mean"], columns), _number(flicker["made"]))
        for name, scores in found["controls"].items():
            still = {"real frame": _number(flicker["real"]), "flat mask": "0"}.get(name, "")
            table.add_row(name, *_inversion_cells(scores, columns), still)
        table.add_section()
    if len(report["clips"]) > 1:
        table.add_row("all", style="bold")
        table.add_row("made", *_inversion_cells(report["mean"], columns))
    return table


def _present(report: Mapping[str, Any]) -> list[str]:
    """The measures of a report; each of several targets has its own column."""
    names = dict.fromkeys(name for clip in report["clips"].values() for name in clip["mean"])
    several = [name for name in names if name.startswith("target") and name not in _COLUMNS]
    own = [name for name in several if name.endswith("_J")]
    return own + [name for name in _COLUMNS if name in names]


def _inversion_cells(scores: Mapping[str, float], columns: list[str]) -> list[str]:
    return [_number(scores.get(name)) for name in columns]


def _number(value: float | None) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"


def metrics_table(metrics: dict[str, float], steps: int) -> Table:
    """The training metrics, averaged over the last steps."""
    from rich.table import Table

    table = Table("term", "mean", title=f"the last steps of {steps}")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.5f}")
    return table


def verdict_table(verdict: Mapping[str, Any]) -> Table:
    """Adapted weights beside those at the start, and the judgement."""
    from rich.table import Table

    table = Table(
        "", "start", "adapted", "95 % interval", title=f"on frames kept out: {verdict['judgement']}"
    )
    rows = (
        ("trembling, grey levels", "trembling", "trembling_ratio", "ratio"),
        ("error of the gain", "gain_error", "gain_error_difference", "difference"),
    )
    for name, key, compared, text in rows:
        before, after = (fmean(verdict[when][key]) for when in ("before", "after"))
        found = verdict[compared]
        interval = f"{text} {found['low']:.2f} to {found['high']:.2f}"
        table.add_row(name, f"{before:.3f}", f"{after:.3f}", interval)
    return table


MOST_TONES = 3  # of a region


def measure_table(record: Mapping[str, Any]) -> Table:
    """A row for each tone of a region, or one that says that there is only noise."""
    from rich import box
    from rich.table import Table

    unit, title = record["unit"], f"{record['frames']} frames at {record['rate']:g} per second"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("region")
    table.add_column("", justify="left")
    for name in ("Hz", f"{record['reading']} ({unit})", "limit"):
        table.add_column(name, justify="right")
    table.add_column("")
    for region in record["regions"]:
        tones = region["tones"][:MOST_TONES]
        for tone in tones:
            table.add_row(
                region["name"],
                tone["direction"],
                f"{tone['frequency']:.2f}",
                f"{tone['amplitude']:.3g} \u00b1 {tone['amplitude_error']:.1g}",
                f"{tone['limit']:.2g}",
                tone["cause"],
            )
        if not tones:
            least = min(region["limit"])
            table.add_row(region["name"], "", "", "", f"{least:.2g}", "noise", style="dim")
    return table
