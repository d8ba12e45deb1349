"""Processor time of `magkit --help` and of TAB in a shell, with every plugin.

    python benchmarks/startup.py

Each command runs as a process of its own, in turn with the others; what counts is the least of the
user and system time of its runs. Bars: `magkit --help` takes at most 1.5 times what importing typer
and rich takes, and 100 ms more; a TAB at most 100 ms. Exit code 1 beyond one.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

MAGKIT = str(Path(sys.executable).with_name("magkit"))
IMPORTS, HELP, TAB, FIRST = "import typer, rich", "--help", "TAB", "first TAB"
"""The first TAB is one for which nothing is cached: after something was installed."""

ASK = (MAGKIT, "_values", "--", "magkit", "pretrain", "--method", "scrl", "--opt", "")
"""The costliest line: it needs the commands and what plugins provide."""

COMMANDS = {
    "python": (sys.executable, "-c", "0"),
    IMPORTS: (sys.executable, "-c", IMPORTS),
    HELP: (MAGKIT, "--help"),
    TAB: ASK,
    FIRST: ASK,
}


def processor_time(command: tuple[str, ...], environment: Mapping[str, str]) -> float:
    """Seconds of user and system time that a process takes."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(command[0], command, environment, file_actions=silent)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime


def measured(rounds: int, cache: Path) -> dict[str, float]:
    """The least milliseconds of each command."""
    environment = {key: v for key, v in os.environ.items() if not key.startswith("MAGKIT_")}
    environment["MAGKIT_CACHE"] = str(cache)
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            if name == FIRST:
                for path in cache.glob("*.json"):
                    path.unlink()
            elif name == TAB:
                # Not timed: in the first round nothing is cached yet.
                processor_time(command, environment)
            took = 1000 * processor_time(command, environment)
            least[name] = min(took, least.get(name, took))
    return least


def bars(least: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds at most, by command."""
    return {HELP: 1.5 * least[IMPORTS] + 100, TAB: 100.0}


def main() -> None:
    """Measure, print a table and check the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        least = measured(options.rounds, Path(cache))
    most = bars(least)
    if options.json:
        print(json.dumps({"milliseconds": least, "bars": most}))
    else:
        for name, took in least.items():
            bar = f"at most {most[name]:.0f}" if name in most else ""
            print(f"{name:<20} {took:6.1f} ms  {bar}")
    raise SystemExit(any(least[name] > bar for name, bar in most.items()))


if __name__ == "__main__":
    main()
