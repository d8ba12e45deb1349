"""Several processes for one training: started here, or by torchrun on one machine or many."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import IO

import torch
from torch import distributed

from magkit.errors import MagkitError
from magkit.runtime.share import launched_share, processor_count

PATIENCE = timedelta(hours=1)  # for the others, who wait while the first measures and saves
MOMENT = 2.0  # seconds for the first to find for itself what another failed of
USAGE = 2  # exit code of a command that is wrong
GRACE = 20.0  # seconds to end in, before a process is killed


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yield this process' own device.

    Raises:
        MagkitError: another of the processes ended before its time.
    """
    share = launched_share()
    if share.count == 1:
        yield device
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield device
    except RuntimeError as error:
        if not _is_of_another(error):
            raise
        problem = "another process of this training has ended, or can't be reached any more"
        raise MagkitError(problem, "it says why; the same command goes on") from error
    finally:
        distributed.destroy_process_group()


def _is_of_another(error: RuntimeError) -> bool:
    """Tell whether an error comes of what connects the processes; gloo's have no type."""
    return isinstance(error, distributed.DistError) or "/gloo/" in str(error)


def start(count: int, arguments: Sequence[str]) -> int:
    """Run `magkit ARGUMENTS` in `count` processes of one training on this machine.

    The first speaks; what the others say is shown if one of them fails first. When one fails or
    this process is interrupted, all are ended.

    Returns:
        The exit code: 0, or that of the process that failed first.
    """
    port = _free_port()
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        processes = [_started(rank, count, port, arguments, said) for rank in range(count)]
        try:
            failed = _first_to_fail(processes)
            if failed:
                with suppress(subprocess.TimeoutExpired):
                    processes[0].wait(MOMENT)
        except BaseException:
            _end(processes)
            raise
        _end(processes)
        codes = {processes[failed].returncode, processes[0].returncode} if failed else set()
        # What is wrong with a command all of them find, and the first has told.
        if failed and codes != {USAGE}:
            said.seek(0)
            sys.stderr.write(said.read())
    return processes[failed].returncode if failed is not None else 0


def _started(
    rank: int, count: int, port: int, arguments: Sequence[str], said: IO[str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "magkit", *arguments],
        env={**os.environ, **_environment(rank, count, port)},
        stdout=subprocess.DEVNULL if rank else None,
        stderr=said if rank else None,
    )


def _environment(rank: int, count: int, port: int) -> Mapping[str, str]:
    """Return what torchrun would say; each process takes its part of the processors."""
    threads = max(1, processor_count() // count)
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _first_to_fail(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all have ended well, or one has not: return its number."""
    while True:
        codes = [process.poll() for process in processes]
        failed = next((number for number, code in enumerate(codes) if code), None)
        if failed is not None or all(code == 0 for code in codes):
            return failed
        time.sleep(0.1)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
