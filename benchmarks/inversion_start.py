"""Compare frames that start from the warped previous frame with frames that start from noise.

    MAGKIT_DAVIS=DAVIS python benchmarks/inversion_start.py -o DIR
    python benchmarks/inversion_start.py -o DIR --seeds 3 --plot FILE.png

Both make the same frames with the same settings, from the noise of each seed. Per frame: the ratio
of the full objectives (without the temporal term and random shifts), and the ratio of the steps,
where a frame from noise counts until it gains less than a hundredth in ten steps. Per clip, as
means over seeds: flicker of the background and J of the verifier. The curve shows the verifier's J
over seconds per frame, for several limits of steps. Finished frames in DIR are not made again. Exit
code 1 below a bar.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.invert.frames_on_disk import read_image
from magkit.invert.job import RESULT, Inverted, Job, invert
from magkit.invert.judge import Judges
from magkit.invert.objective import total_loss
from magkit.invert.optimizer import FrameOptimizer
from magkit.invert.plan import ClipPlan
from magkit.invert.priors import normalize
from magkit.invert.report import write_report
from magkit.invert.targets.load import TargetChoice, load_target
from magkit.options import key_values

TARGET, VERIFIER = TargetChoice("maskrcnn-small"), TargetChoice("segmenter")
STEPS, OBJECTIVE, FLICKER = 0.2, 1.1, 0.5  # the bars, as parts of what noise has
WARM = (5, 10, 20)  # limits of steps for the curve, at each of two sizes
COLD = (50, 100, 200)  # all sizes together
TICKS = (1, 2, 5, 10, 20)  # seconds
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Made:
    """A finished clip and its measurements."""

    done: Inverted[ClipPlan]
    report: Mapping[str, Any]

    @property
    def clip(self) -> Mapping[str, Any]:
        """The report of the only clip."""
        found: Mapping[str, Any] = next(iter(self.report["clips"].values()))
        return found


def made(given: argparse.Namespace, name: str, settings: Mapping[str, Any]) -> Made:
    """Make a clip in DIR/name and judge it, or read the stored result."""
    # What was set is in the name: nothing is taken for what was made with other settings.
    parts = (given.video, given.frames, str(given.size), *given.set, name)
    folder: Path = given.output / "-".join(parts)
    job = Job(
        videos=[given.video],
        frames=given.frames,
        targets=[TARGET],
        settings={**key_values(given.set), **settings, "size": given.size},
    )
    if (folder / RESULT).is_file():
        report = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return Made(opened(folder), report)
    print(f"making {name}", file=sys.stderr, flush=True)
    done = invert(job, output=folder)
    return Made(
        done,
        write_report(done.run, done.plans, Judges(done.targets, load_target(VERIFIER, CPU), CPU)),
    )


def opened(folder: Path) -> Inverted[ClipPlan]:
    """Open a stored result."""
    from magkit.invert.load_job import load_job

    run, plans, _ = load_job(folder, None, ())
    clips = [plan for plan in plans if isinstance(plan, ClipPlan)]
    return Inverted(run=run, plans=clips)


def objectives(found: Made) -> list[float]:
    """Return the full objective of every stored frame."""
    plan = found.done.plans[0]
    folder = plan.folder(found.done.run.folder)
    targets = [load_target(TARGET, CPU)]
    maker, values = FrameOptimizer(plan, targets, folder, CPU), []
    for place, frame in enumerate(plan.frames):
        objective = maker.objective([plan.annotations(place)], None, plan.settings)
        with torch.no_grad():
            x = normalize(read_image(folder.frame(frame.stem))[None])
            values.append(float(total_loss(objective.terms(x))))
    return values


def steps(found: Made) -> list[float]:
    """Return the steps that every frame took."""
    return [float(row["steps"]) for row in found.clip["frames"]]


def compare(warm: Sequence[Made], cold: Sequence[Made]) -> dict[str, Any]:
    """Return the figures with bars, over seeds; ratios of the frames after the first."""
    ratios, taken = list[float](), list[float]()
    for before, noise in zip(warm, cold, strict=True):
        ratios += [a / b for a, b in pairs(objectives(before), objectives(noise))]
        taken += [a / b for a, b in pairs(steps(before), steps(noise))]
    both = {"before": warm, "noise": cold}
    seen = {name: [each.clip["mean"]["verifier_J"] for each in some] for name, some in both.items()}
    return {
        "frames": len(ratios),
        "objective_ratio": {"mean": fmean(ratios), "max": max(ratios)},
        "steps_ratio": {"mean": fmean(taken), "max": max(taken)},
        "flicker": {
            name: fmean(each.clip["flicker"]["made"] for each in some)
            for name, some in both.items()
        },
        "verifier_J": {name: fmean(values) for name, values in seen.items()},
        "verifier_J_of_seeds": seen,
    }


def pairs(first: Sequence[float], second: Sequence[float]) -> list[tuple[float, float]]:
    """Return values of the same frames after the first."""
    return list(zip(first, second, strict=True))[1:]


def below(found: Mapping[str, Any]) -> list[str]:
    """Return the missed bars."""
    flicker, seen = found["flicker"], found["verifier_J"]
    bars = {
        "steps": found["steps_ratio"]["max"] <= STEPS,
        "objective": found["objective_ratio"]["max"] <= OBJECTIVE,
        "flicker": flicker["before"] <= FLICKER * flicker["noise"],
        "verifier": seen["before"] >= seen["noise"],
    }
    return [name for name, met in bars.items() if not met]


def curve(given: argparse.Namespace) -> dict[str, list[tuple[float, float, int]]]:
    """Return (seconds a frame, verifier's J, steps) for frames from either start."""
    points: dict[str, list[tuple[float, float, int]]] = {"frame before": [], "noise": []}
    for limit in WARM:
        clip = made(given, f"before-{limit}-steps", {"warm_steps": limit, "plateau": 0.0}).clip
        rows = clip["frames"][1:]
        points["frame before"].append(point(rows))
    for limit in COLD:
        clip = made(
            given, f"noise-{limit}-steps", {"start": "noise", "iterations": limit, "plateau": 0.0}
        ).clip
        points["noise"].append(point(clip["frames"][1:]))
    return points


def point(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float, int]:
    """Return means over frames: seconds, J of the verifier, steps."""
    names = ("seconds", "verifier_J", "steps")
    seconds, seen, taken = (fmean(row[name] for row in rows) for name in names)
    return seconds, seen, round(taken)


def draw(path: Path, points: Mapping[str, Sequence[tuple[float, float, int]]]) -> None:
    """Draw the curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, found in points.items():
        axes.plot([p[0] for p in found], [p[1] for p in found], marker="o", label=f"from {name}")
        for seconds, seen, taken in found:
            axes.annotate(f"{taken}", (seconds, seen), textcoords="offset points", xytext=(4, 4))
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlabel("seconds a frame (numbers: steps)")
    axes.set_ylabel("J of the verifier")
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--video", default="bear")
    parser.add_argument("--frames", default="0-7")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1, help="from 0")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--plot", type=Path, help="make and draw the curve too")
    given = parser.parse_args()
    if given.seeds < 1 or not all("=" in text for text in given.set):
        parser.error("--seeds is at least 1, and --set takes KEY=VALUE")
    torch.set_num_threads(given.threads)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("magkit").setLevel(logging.INFO)
    try:
        warm, cold = list[Made](), list[Made]()
        for seed in range(given.seeds):
            warm.append(made(given, f"before-{seed}", {"seed": seed}))
            cold.append(made(given, f"noise-{seed}", {"seed": seed, "start": "noise"}))
        result = compare(warm, cold)
        result["missed"] = below(result)
        if given.plot:
            result["curve"] = curve(given)
            draw(given.plot, result["curve"])
    except MagkitError as error:
        sys.exit(f"{error.message}\n{error.hint}")
    print(json.dumps(result, indent=1))
    raise SystemExit(bool(result["missed"]))


if __name__ == "__main__":
    main()
