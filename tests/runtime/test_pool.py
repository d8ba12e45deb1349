"""Items worked on by other processes."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from magkit.errors import MagkitError
from magkit.runtime.pool import PREFETCH, map_unordered


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise MagkitError(f"no {number}", "another")


def die(number: int) -> int:
    os._exit(3)


@pytest.mark.parametrize("processes", [1, 2])
def test_each_item_is_done_once_and_few_are_taken_ahead(processes: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    found = []
    for result in map_unordered(square, items(), processes):
        found.append(result)
        assert taken <= len(found) + 2 * processes * PREFETCH
    assert sorted(found) == [n * n for n in range(40)]


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_come_through(processes: int) -> None:
    with pytest.raises(MagkitError, match="no 0") as caught:
        list(map_unordered(refuse, [0], processes))
    assert caught.value.hint == "another"


KILLED = """
import time
from magkit.runtime.pool import map_unordered

if __name__ == "__main__":
    for _ in map_unordered(abs, [1, 2], 2):
        print("ready", flush=True)
        time.sleep(300)
"""


def test_nothing_is_left_of_a_process_that_is_killed(tmp_path: Path) -> None:
    """The processes of the pool hold the pipe open for as long as one of them lives."""
    (tmp_path / "main.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "main.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline().strip() == b"ready"
        caller.kill()
        caller.communicate(timeout=100)


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(MagkitError, match="killed") as caught:
        list(map_unordered(die, [0, 1], 2, "go on"))
    assert caught.value.hint == "go on"


def complain(number: int) -> int:
    logging.getLogger("magkit.x").info("%s is begun", number)
    if number < 0:
        raise MagkitError("no")
    return number


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_logged_at_work_is_heard_where_work_is_given_out(
    processes: int, log: pytest.LogCaptureFixture
) -> None:
    assert sorted(map_unordered(complain, [1, 2], processes)) == [1, 2]
    assert sorted(log.messages) == ["1 is begun", "2 is begun"]


def test_what_is_logged_before_an_error_is_heard(log: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MagkitError):
        list(map_unordered(complain, [-1], 2))
    assert log.messages == ["-1 is begun"]


def test_a_level_that_was_not_asked_for_is_not_heard(caplog: pytest.LogCaptureFixture) -> None:
    assert list(map_unordered(complain, [1], 2)) == [1]
    assert not caplog.messages
