"""DeepInversion's CIFAR-10 experiment: invert one network, judge the pictures by another.

    pip install ./plugins/magkit-vision
    python benchmarks/cifar_inversion.py $DATA/weights/cifar10_resnet -o DIR

Like `magkit invert --target cifar-resnet20 --weights FILE --classes all`, this makes ten pictures
of each class from noise with ResNet-20 alone. ResNet-32, which is not part of the optimisation,
classifies them (Yin et al., CVPR 2020, section 4.1). Prints a table; the contact sheet is
DIR/contact.png. Finished pictures in DIR are not made again. Exit code 1 if fewer pictures than the
bar are classified as requested.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.invert.job import RESULT, ClassJob, invert
from magkit.invert.judge import Judges
from magkit.invert.report import write_report
from magkit.invert.targets.load import TargetChoice, load_target
from magkit.options import key_values

BAR = 0.8  # of the pictures
TARGET, VERIFIER = "cifar-resnet20", "cifar-resnet32"


def choice(name: str, folder: Path) -> TargetChoice:
    """Return a network with its published weights, resnet20-*.th and resnet32-*.th in a folder.

    Raises:
        MagkitError: there is no such file.
    """
    pattern = f"{name.removeprefix('cifar-')}-*.th"
    found = sorted(folder.glob(pattern))
    if not found:
        raise MagkitError(f"{folder} holds no {pattern}", "github.com/akamaster has them")
    return TargetChoice(name, weights=found[0])


def experiment(given: argparse.Namespace) -> dict[str, Any]:
    """Make the pictures and judge them, or read the stored results."""
    if (given.output / RESULT).is_file():
        report: dict[str, Any] = json.loads((given.output / RESULT).read_text(encoding="utf-8"))
        return report
    target, verifier = (choice(name, given.weights) for name in (TARGET, VERIFIER))
    settings = key_values(given.set)
    job = ClassJob(
        targets=[target],
        per_class=given.per_class,
        settings={"seed": given.seed, **settings},
    )
    cpu = torch.device("cpu")
    done = invert(job, output=given.output)
    judges = Judges(done.targets, load_target(verifier, cpu), cpu)
    return write_report(done.run, done.plans, judges)


def table(report: Mapping[str, Any]) -> str:
    """Return the fraction of pictures that each network classifies as requested, per class."""
    rows = [*report["classes"].items(), ("all", {**report["mean"], "noise": report["noise"]})]
    lines = [f"{'':12}{TARGET:>16}{VERIFIER:>16}{'of noise':>10}{'sure':>8}"]
    for label, row in rows:
        sure = fmean(_sure(report["pictures"], label))
        values = f"{row['target']:16.2f}{row['verifier']:16.2f}{row['noise']['verifier']:10.2f}"
        lines.append(f"{label:12}{values}{sure:8.2f}")
    return "\n".join(lines)


def _sure(rows: Sequence[Mapping[str, Any]], label: str) -> list[float]:
    return [row["verifier_score"] for row in rows if label in (row["class"], "all")]


def seconds(folder: Path) -> float:
    """Return the seconds that the pictures of a job took."""
    records = sorted((folder / "records").rglob("*.json"))
    return sum(float(json.loads(each.read_text(encoding="utf-8"))["seconds"]) for each in records)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="folder of resnet20-*.th and resnet32-*.th")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("magkit").setLevel(logging.INFO)
    try:
        report = experiment(given)
    except MagkitError as error:
        sys.exit(f"{error.message}\n{error.hint}")
    print(table(report))
    print(f"{seconds(given.output):.0f} seconds; bar: {BAR:.2f} of {VERIFIER}")
    raise SystemExit(report["mean"]["verifier"] < BAR)


if __name__ == "__main__":
    main()
