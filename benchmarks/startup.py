"""Measure the processor time of `magkit --help` and of a dynamic completion, with all plugins.

    python benchmarks/startup.py

Each command runs as its own process, alternating with the others; the measure is the least user and
system time of its runs. Bars: `magkit --help` takes at most 1.5 times the import time of typer and
rich plus 100 ms; a completion takes at most half the time of `--help`. Exit code 1 above a bar.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

MAGKIT = str(Path(sys.executable).with_name("magkit"))
IMPORTS, HELP, VALUES, FIRST = "import typer, rich", "--help", "_values methods", "first values"
"""The first values are measured with an empty cache, as after an installation."""

COMMANDS = {
    "python": (sys.executable, "-c", "0"),
    IMPORTS: (sys.executable, "-c", IMPORTS),
    HELP: (MAGKIT, "--help"),
    VALUES: (MAGKIT, "_values", "methods"),
    FIRST: (MAGKIT, "_values", "methods"),
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
            elif name == VALUES:
                # Not timed: in the first round there is nothing yet that was remembered.
                processor_time(command, environment)
            took = 1000 * processor_time(command, environment)
            least[name] = min(took, least.get(name, took))
    return least


def bars(least: Mapping[str, float]) -> dict[str, float]:
    """The bar of each command in milliseconds."""
    return {HELP: 1.5 * least[IMPORTS] + 100, VALUES: 0.5 * least[HELP]}


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
