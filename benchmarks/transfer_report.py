"""Report the results of `transfer.py`: SSIM by share of scenes and initialization.

    python benchmarks/transfer_report.py DIR
    python benchmarks/transfer_report.py DIR --plot FILE.png

Prints means over seeds with 95 % confidence intervals by Student's t, the step at which each
initialization reaches, in the mean, the final value of scratch, and its utility: how many more
scenes scratch needs for the same SSIM of the moving region. Differences from scratch have 95 %
intervals of a bootstrap over scenes and seeds, paired by scenes. All seeds are trained on the same
scenes, and start from one pretraining of each method: intervals don't hold what these would vary.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from scipy.stats import t as student

from magkit.errors import MagkitError
from magkit.evaluate.bootstrap import difference_of_means
from magkit.runtime.files import atomic_path

SCRATCH, FROZEN = "scratch", "frozen"
CONFIDENCE = 0.95
MEASURES = ("ssim", "region_ssim")


@dataclass(frozen=True)
class Result:
    """A finished cell: its measurements by step, and the SSIM of each scene at the end."""

    points: list[dict[str, float]]
    scenes: list[float]


Results = Mapping[tuple[str, float], Sequence[Result]]


def read_cells(folder: Path) -> Results:
    """Read the finished cells, by initialization and share, in the order of their seeds."""
    found: dict[tuple[str, float], list[Result]] = {}
    for file in sorted(folder.glob("*-*-*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        key = record["cell"]["start"], record["cell"]["share"]
        found.setdefault(key, []).append(Result(record["points"], record["scenes"]))
    if not found:
        raise MagkitError(f"there are no finished cells in {folder}")
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half of its confidence interval by Student's t; NaN of one value."""
    if len(values) < 2:
        return values[0], math.nan
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return fmean(values), quantile * stdev(values) / math.sqrt(len(values))


def steps_to(cells: Sequence[Result], scratch: Sequence[Result]) -> str:
    """Return the first step at which cells reach, in the mean, the final value of scratch."""
    if not scratch:
        return "?"
    goal = fmean(cell.points[-1]["region_ssim"] for cell in scratch)
    for points in zip(*(cell.points for cell in cells), strict=True):
        if fmean(point["region_ssim"] for point in points) >= goal:
            return f"{points[0]['step']:.0f}"
    return "never"


def labels_saved(scratch: Mapping[float, float], share: float, value: float) -> tuple[float, str]:
    """Return how many more scenes scratch needs to be as good, less one, and a text of it.

    Utility as Newell & Deng (CVPR 2020, section 3) define it: n_scratch / n - 1. The curve of
    scratch is made to rise, and interpolated over the logarithm of the share.

    Args:
        scratch: its values by share.
        share: of the initialization.
        value: that it reached there.
    """
    rising = [each for each in sorted(scratch) if _is_best(scratch, each)]
    values, shares = [scratch[each] for each in rising], sorted(scratch)
    if value > values[-1]:
        return math.inf, f"> {shares[-1] / share - 1:.1f}"
    if value < values[0]:
        return -math.inf, f"< {shares[0] / share - 1:.1f}"
    equal = math.exp(float(np.interp(value, values, np.log(rising))))
    return equal / share - 1, f"{equal / share - 1:.1f}"


def _is_best(scratch: Mapping[float, float], share: float) -> bool:
    """Return whether no smaller share reaches as much."""
    return all(value < scratch[share] for other, value in scratch.items() if other < share)


def order(key: tuple[str, float]) -> tuple[float, int, str]:
    """Sort by share; scratch and frozen first."""
    return key[1], [SCRATCH, FROZEN].index(key[0]) if key[0] in (SCRATCH, FROZEN) else 2, key[0]


COLUMNS = (
    "scenes",
    "start",
    "seeds",
    "SSIM, frame",
    "SSIM, moving",
    "minus scratch",
    "steps to scratch",
    "utility",
)


def table(found: Results) -> str:
    """Return the report in Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| ---: | --- |" + " ---: |" * (len(COLUMNS) - 2)]
    curve = {
        share: fmean(cell.points[-1]["region_ssim"] for cell in cells)
        for (start, share), cells in found.items()
        if start == SCRATCH
    }
    for start, share in sorted(found, key=order):
        cells, scratch = found[start, share], found.get((SCRATCH, share), ())
        figures = [interval([cell.points[-1][name] for cell in cells]) for name in MEASURES]
        written = [f"{m:.3f}" + ("" if math.isnan(h) else f" ± {h:.3f}") for m, h in figures]
        saved = (
            labels_saved(curve, share, figures[-1][0])[1] if scratch and start != SCRATCH else ""
        )
        row = [f"{share:g} %", start, str(len(cells)), *written, over(cells, scratch)]
        lines.append(f"| {' | '.join([*row, steps_to(cells, scratch), saved])} |")
    return "\n".join(lines)


def over(cells: Sequence[Result], scratch: Sequence[Result]) -> str:
    """Return the difference from scratch, paired by scenes, with its interval."""
    if not scratch or cells is scratch:
        return ""
    ours, theirs = ([cell.scenes for cell in each] for each in (cells, scratch))
    return str(difference_of_means(ours, theirs))


def draw(path: Path, found: Results) -> None:
    """Plot SSIM of the moving region over the share of scenes, one curve per initialization."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for start in dict.fromkeys(key[0] for key in sorted(found, key=order)):
        shares = sorted(share for name, share in found if name == start)
        values = [interval([c.points[-1]["region_ssim"] for c in found[start, s]]) for s in shares]
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
