"""Collectives over the processes of one training, and how the processes are started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import IO, TypeVar, cast

import torch
from torch import distributed

from magkit.errors import MagkitError
from magkit.runtime.shard import launched_shard, processor_count

T = TypeVar("T")


def world_size() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if _joined() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _joined() else 0


def all_gather(part: torch.Tensor) -> torch.Tensor:
    """Return the parts (N, ...) of all processes one after the other, by rank; no gradient."""
    part = part.detach().contiguous()
    if world_size() == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(world_size())]
    distributed.all_gather(parts, part)
    return torch.cat(parts)


def all_reduce(part: torch.Tensor) -> torch.Tensor:
    """Return the sum of the parts of all processes; no gradient."""
    total = part.detach().clone()
    if world_size() > 1:
        distributed.all_reduce(total)
    return total


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = torch.cat([g.reshape(-1) for g in gradients])
    distributed.all_reduce(flat)
    flat /= world_size()
    means = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def all_gather_object(value: T) -> list[T]:
    """Return the values of all processes, by rank; they can be pickled."""
    if world_size() == 1:
        return [value]
    values: list[T] = [value] * world_size()
    distributed.all_gather_object(values, value)
    return values


def on_all_ranks(make: Callable[[], T]) -> T:
    """Return what `make` gives in this process, once it has ended well in all of them.

    A process that failed by itself would leave the others waiting for it.

    Raises:
        MagkitError: in all processes, if any exception is raised in one of them.
    """
    if world_size() == 1:
        return make()
    made, failure = _attempted(make)
    said = all_gather_object(None if failure is None else _told(failure))
    if failure is not None:
        raise failure
    for number, error in enumerate(said, 1):
        if error is not None:
            problem = f"process {number} of {world_size()}: {error.message}"
            raise MagkitError(problem, error.hint)
    return cast("T", made)


def on_first_rank(make: Callable[[], T]) -> T:
    """Return what `make` gives in the first process, which alone calls it, to all of them.

    Raises:
        MagkitError: in all processes, if any exception is raised in the first.
    """
    if world_size() == 1:
        return make()
    made, failure = _attempted(make) if rank() == 0 else (None, None)
    said = [(made, None if failure is None else _told(failure))]
    distributed.broadcast_object_list(said)
    if failure is not None:
        raise failure
    given, problem = said[0]
    if problem is not None:
        raise problem
    return cast("T", given)


@contextmanager
def first_rank_context(make: Callable[[], AbstractContextManager[T]]) -> Iterator[T | None]:
    """Enter a context in the first process alone; yield what it gives, and None in the others.

    Raises:
        MagkitError: in all processes, if it can't be entered.
    """
    with ExitStack() as stack:
        entered: list[T] = []
        on_first_rank(lambda: entered.append(stack.enter_context(make())))
        yield entered[0] if entered else None


def _attempted(make: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return make(), None
    except Exception as error:
        return None, error


def _told(error: Exception) -> MagkitError:
    """Return an error as other processes are told it: of any type that can be pickled."""
    if isinstance(error, MagkitError):
        return error
    return MagkitError(f"it failed: {type(error).__name__}: {error}")


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()


PATIENCE = timedelta(hours=1)  # for the others, who wait while the first measures and saves
MOMENT = 2.0  # seconds for the first to find for itself what another failed of
USAGE = 2  # exit code of a command that is wrong
GRACE = 20.0  # seconds to end in, before a process is killed


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yield this process' own device.

    Raises:
        MagkitError: another of the processes ended before its time.
    """
    share = launched_shard()
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


def launch(count: int, arguments: Sequence[str]) -> int:
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
