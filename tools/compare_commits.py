"""Whether a commit computes what an older one did: the same commands on both, their files compared.

    python tools/compare_commits.py OLD
    python tools/compare_commits.py OLD --new REV --data DIR --only magnify-band

OLD is compared with the working tree, or with the commit REV. Each step's commands are run by this
Python on both, in turn, in empty folders, on one thread: old, new, old, new. All files that they
write are compared (see `tools/output_files.py`), those of the same commit as well. DIR holds real
clips (`clips/`) and weights (`weights/`); without them clips are made. The steps, and what is
called otherwise in the newer commit, stand in `tools/commit_steps.py`.

Prints a table of the steps: files, verdict, and the least processor time of each side in seconds;
below each what is not equal to the byte. Exit code 1 where results differ, a command fails or a
commit's results change from run to run.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.commit_steps import RENAMED_FILES, RENAMED_KEYS, Step, make_inputs, steps  # noqa: E402
from tools.output_files import ALIKE, EQUAL, Renames, compare  # noqa: E402

SIDES = ("old", "new")


class CommandError(Exception):
    """A command ended with an error."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a step came to.

    Args:
        name: The step's.
        files: How many were compared.
        verdict: In a word or two.
        details: What is not equal, a line each.
        seconds: Processor time of both sides.
        passed: Whether results are the same.
    """

    name: str
    files: int
    verdict: str
    details: tuple[str, ...]
    seconds: tuple[float, ...]
    passed: bool

    def __str__(self) -> str:
        """Return the row of the table, and the details below it."""
        times = " ".join(f"{one:7.1f}" for one in self.seconds)
        return "\n    ".join(
            (f"{self.name:22} {self.files:5} {times}  {self.verdict}", *self.details)
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two commits; the exit code."""
    args = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="compare-") as place:
        work = Path(place)
        trees = {"old": unpack(args.old, work / "old-tree"), "new": ROOT}
        if args.new:
            trees["new"] = unpack(args.new, work / "new-tree")
        for tree in trees.values():
            _check_tree(tree)
        make_inputs(work / "inputs")
        chosen = _chosen(steps(work / "inputs", trees["old"], args.data), args.only)
        print(f"{'step':22} files   old s   new s  verdict", flush=True)
        passed = True
        for step in chosen:
            row = compared(step, trees, work / "runs", args.rounds)
            print(row, flush=True)
            passed &= row.passed
    return 0 if passed else 1


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("old", help="a commit")
    parser.add_argument("--new", help="another commit; the working tree if unset")
    parser.add_argument("--data", type=_folder, default=_data(), help="real clips and weights")
    parser.add_argument("--only", action="append", metavar="STEP", help="may be given again")
    parser.add_argument(
        "--rounds", type=int, default=2, choices=range(1, 10), help="runs of each side (default: 2)"
    )
    return parser


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return Path(text).resolve()


def _data() -> Path | None:
    """Where tests look for real data as well."""
    path = Path(os.environ.get("MAGKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    return path.resolve() if path.is_dir() else None


def _chosen(listed: list[Step], only: list[str] | None) -> list[Step]:
    names = [step.name for step in listed]
    if stray := set(only or ()) - set(names):
        raise SystemExit(f"there is no step {min(stray)}; there are {', '.join(names)}")
    return [step for step in listed if only is None or step.name in only]


def unpack(commit: str, folder: Path) -> Path:
    """Write a commit's files into a new folder."""
    git = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    done = subprocess.run(git, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{commit} can't be read: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _environment(tree: Path, cache: Path, plugins: str = "") -> dict[str, str]:
    """Variables that make a process run a tree's magkit, untouched by the user's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAGKIT_")}
    sources = [tree, *sorted(path.parent for path in tree.glob("plugins/*/pyproject.toml"))]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
        "OMP_NUM_THREADS": "1",
        "MAGKIT_PLUGINS": plugins,
        "MAGKIT_CACHE": str(cache),
    }


def _check_tree(tree: Path) -> None:
    """Make sure that it is a tree's own package that runs."""
    line = [sys.executable, "-c", "import magkit; print(magkit.__file__)"]
    said = subprocess.run(
        line,
        env=_environment(tree, tree),
        cwd=tree.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if Path(said) != tree / "magkit" / "__init__.py":
        raise SystemExit(f"{said} would run in place of {tree}")


def compared(step: Step, trees: dict[str, Path], work: Path, rounds: int) -> Row:
    """Run a step on both trees, in turn, and compare the files."""
    if step.needs is not None and not step.needs.is_file():
        return Row(step.name, 0, f"left out: {step.needs} is missing", (), (0, 0), passed=True)
    as_run = {"old": step, "new": step.renamed()}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    try:
        for number in range(rounds):
            for side in SIDES:
                folder = work / f"{step.name}-{number}" / side
                seconds[side].append(run(as_run[side], trees[side], folder))
    except CommandError as failure:
        return Row(step.name, 0, "failed", tuple(str(failure).splitlines()), (0, 0), passed=False)
    least = tuple(min(seconds[side]) for side in SIDES)
    places = [work / f"{step.name}-{number}" for number in range(rounds)]
    verdicts = compare(places[0] / "old", places[0] / "new", Renames(RENAMED_FILES, RENAMED_KEYS))
    details = [f"{name}: {one}" for name, one in verdicts.items() if one != EQUAL]
    unsteady = [
        f"{name}: changes from run to run of the {side} commit ({verdict})"
        for side in SIDES
        for later in places[1:]
        for name, verdict in compare(places[0] / side, later / side, Renames()).items()
        if verdict not in ALIKE
    ]
    passed = bool(verdicts) and ALIKE.issuperset(verdicts.values()) and not unsteady
    verdict = ", ".join(f"{count} {one}" for one, count in Counter(verdicts.values()).items())
    return Row(
        step.name, len(verdicts), verdict or "no files", (*details, *unsteady), least, passed=passed
    )


def run(step: Step, tree: Path, folder: Path) -> float:
    """Run a step's commands in a new folder.

    Returns:
        The processor time of the commands and of what they started, in seconds.

    Raises:
        CommandError: A command ended with another exit status than 0.
    """
    folder.mkdir(parents=True)
    environment = _environment(tree, folder / "cache", step.plugins)
    used = 0.0
    for command in step.commands:
        line = [sys.executable, "-m", "magkit", *command, "-q"]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                line, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                words = said.read().decode(errors="replace")[-2000:]
                raise CommandError(f"{tree}: magkit {' '.join(command)}\n{words}")
        used += usage.ru_utime + usage.ru_stime
    return used


if __name__ == "__main__":
    sys.exit(main())
