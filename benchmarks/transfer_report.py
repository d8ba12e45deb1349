"""Report the results of `transfer.py`: gain and SSIM by share of scenes and initialization.

    python benchmarks/transfer_report.py DIR
    python benchmarks/transfer_report.py DIR --plot FILE.png

Prints means over seeds with 95 % confidence intervals by Student's t, and the step at which each
initialization reaches, in the mean, the final value of scratch.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from scipy.stats import t as student

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path

SCRATCH, FROZEN = "scratch", "frozen"
CONFIDENCE = 0.95
MEASURES = ("gain", "region_ssim", "ssim")


def read_cells(folder: Path) -> dict[tuple[str, float], list[list[dict[str, float]]]]:
    """Read the measurements of finished cells, by initialization and share."""
    found: dict[tuple[str, float], list[list[dict[str, float]]]] = {}
    for file in sorted(folder.glob("*-*-*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        key = record["cell"]["start"], record["cell"]["share"]
        found.setdefault(key, []).append(record["points"])
    if not found:
        raise MagkitError(f"there are no finished cells in {folder}")
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half of its confidence interval by Student's t; NaN of one value."""
    if len(values) < 2:
        return values[0], math.nan
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return fmean(values), quantile * stdev(values) / math.sqrt(len(values))


def steps_to(
    cells: Sequence[Sequence[Mapping[str, float]]],
    scratch: Sequence[Sequence[Mapping[str, float]]],
) -> str:
    """Return the first step at which cells reach, in the mean, the final value of scratch."""
    if not scratch:
        return "?"
    goal = fmean(points[-1]["region_ssim"] for points in scratch)
    for points in zip(*cells, strict=True):
        if fmean(point["region_ssim"] for point in points) >= goal:
            return f"{points[0]['step']:.0f}"
    return "never"


def order(key: tuple[str, float]) -> tuple[float, int, str]:
    """Sort by share; scratch and frozen first."""
    return key[1], [SCRATCH, FROZEN].index(key[0]) if key[0] in (SCRATCH, FROZEN) else 2, key[0]


def table(found: Mapping[tuple[str, float], Sequence[Sequence[Mapping[str, float]]]]) -> str:
    """Return the report in Markdown."""
    lines = [
        "| scenes | start | seeds | gain | SSIM, moving | SSIM, frame | steps to scratch |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for key in sorted(found, key=order):
        cells = found[key]
        figures = [interval([points[-1][name] for points in cells]) for name in MEASURES]
        written = [f"{m:.3f}" + ("" if math.isnan(h) else f" ± {h:.3f}") for m, h in figures]
        steps = steps_to(cells, found.get((SCRATCH, key[1]), ()))
        row = [f"{key[1]:g} %", key[0], str(len(cells)), *written, steps]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def draw(
    path: Path, found: Mapping[tuple[str, float], Sequence[Sequence[Mapping[str, float]]]]
) -> None:
    """Plot SSIM of the moving region over the share of scenes, one curve per initialization."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for start in dict.fromkeys(key[0] for key in sorted(found, key=order)):
        shares = sorted(share for name, share in found if name == start)
        values = [interval([c[-1]["region_ssim"] for c in found[start, s]]) for s in shares]
        means, halves = zip(*values, strict=True)
        bars = [0.0 if math.isnan(half) else half for half in halves]
        axes.errorbar(shares, means, bars, marker="o", capsize=3, label=start)
    axes.set_xscale("log")
    axes.set_xlabel("scenes trained on, per cent")
    axes.set_ylabel("SSIM of the moving region")
    axes.legend(frameon=False)
    with atomic_path(path, overwrite=True) as temporary:
        figure.savefig(temporary)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table in Markdown, and draw the curves if asked to."""
    parser = argparse.ArgumentParser(description="What pretraining is worth: the report.")
    parser.add_argument("folder", type=Path, help="of the cells")
    parser.add_argument("--plot", type=Path, help="draw the curves")
    given = parser.parse_args(arguments)
    try:
        found = read_cells(given.folder)
        print(table(found))
        if given.plot:
            draw(given.plot, found)
    except MagkitError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
