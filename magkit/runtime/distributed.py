"""Collectives, with one process the identity, and the launch of the processes of a training."""

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
    """Return the rank of this process, from 0."""
    return distributed.get_rank() if _joined() else 0


def all_gather(part: torch.Tensor) -> torch.Tensor:
    """Return the tensors (N, ...) of all processes concatenated by rank; no gradient."""
    part = part.detach().contiguous()
    if world_size() == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(world_size())]
    distributed.all_gather(parts, part)
    return torch.cat(parts)


def all_reduce(part: torch.Tensor) -> torch.Tensor:
    """Return the sum of the tensors of all processes; no gradient."""
    total = part.detach().clone()
    if world_size() > 1:
        distributed.all_reduce(total)
    return total


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes, in one collective."""
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
    """Return the picklable values of all processes, by rank."""
    if world_size() == 1:
        return [value]
    values: list[T] = [value] * world_size()
    distributed.all_gather_object(values, value)
    return values


def on_all_ranks(make: Callable[[], T]) -> T:
    """Call `make` in every process and return its result, or raise in all if one failed.

    A process that failed alone would leave the others waiting for it.

    Raises:
        MagkitError: an exception was raised in another process; this one's own is raised as it is.
    """
    if world_size() == 1:
        return make()
    result, failure = _attempt(make)
    errors = all_gather_object(None if failure is None else _picklable(failure))
    if failure is not None:
        raise failure
    for number, error in enumerate(errors, 1):
        if error is not None:
            problem = f"process {number} of {world_size()}: {error.message}"
            raise MagkitError(problem, error.hint)
    return cast("T", result)


def on_first_rank(make: Callable[[], T]) -> T:
    """Call `make` in the first process alone and return its result in all of them.

    Raises:
        MagkitError: in all processes, if any exception is raised in the first.
    """
    if world_size() == 1:
        return make()
    result, failure = _attempt(make) if rank() == 0 else (None, None)
    message = [(result, None if failure is None else _picklable(failure))]
    distributed.broadcast_object_list(message)
    if failure is not None:
        raise failure
    result, problem = message[0]
    if problem is not None:
        raise problem
    return cast("T", result)


@contextmanager
def first_rank_context(make: Callable[[], AbstractContextManager[T]]) -> Iterator[T | None]:
    """Enter a context in the first process alone; yield its value there, None in the others.

    Raises:
        MagkitError: in all processes, if it can't be entered.
    """
    with ExitStack() as stack:
        entered: list[T] = []
        on_first_rank(lambda: entered.append(stack.enter_context(make())))
        yield entered[0] if entered else None


def _attempt(make: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return make(), None
    except Exception as error:
        return None, error


def _picklable(error: Exception) -> MagkitError:
    """Return an error of a type that other processes can unpickle."""
    if isinstance(error, MagkitError):
        return error
    return MagkitError(f"it failed: {type(error).__name__}: {error}")


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()


TIMEOUT = timedelta(hours=1)  # of collectives: others wait while the first measures and saves
FIRST_RANK_WAIT = 2.0  # seconds for the first to report by itself what another failed of
USAGE_ERROR = 2  # exit code
TERMINATE_TIMEOUT = 20.0  # seconds before a process is killed


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the process group that torchrun set up, if any; yield this process' device.

    Raises:
        MagkitError: another process of the group ended, or can't be reached.
    """
    if launched_shard().count == 1:
        yield device
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield device
    except RuntimeError as error:
        if not _is_connection_error(error):
            raise
        problem = "another process of this training has ended, or can't be reached any more"
        raise MagkitError(problem, "it says why; the same command goes on") from error
    finally:
        distributed.destroy_process_group()


def _is_connection_error(error: RuntimeError) -> bool:
    """Return whether an error comes from the process group; gloo's have no type of their own."""
    return isinstance(error, distributed.DistError) or "/gloo/" in str(error)


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run `magkit ARGUMENTS` in `count` processes of one training on this machine.

    The first one's output is shown; that of the others only if one of them fails first. When one
    fails or this process is interrupted, all are terminated.

    Returns:
        The exit code: 0, or that of the process that failed first.

    Raises:
        MagkitError: a process was killed, and could say nothing itself.
    """
    port = _free_port()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        processes = [_start(rank, count, port, arguments, log) for rank in range(count)]
        try:
            failed = _wait_for_failure(processes)
            if failed:
                with suppress(subprocess.TimeoutExpired):
                    processes[0].wait(FIRST_RANK_WAIT)
        except BaseException:
            _terminate(processes)
            raise
        _terminate(processes)
        codes = {processes[failed].returncode, processes[0].returncode} if failed else set()
        # All of them find a usage error, and the first has reported it.
        if failed and codes != {USAGE_ERROR}:
            log.seek(0)
            sys.stderr.write(log.read())
    code = processes[failed].returncode if failed is not None else 0
    if failed is not None and code < 0:
        problem = f"process {failed + 1} of {count} was killed by signal {-code}"
        raise MagkitError(problem, "out of memory? the same command goes on")
    return code


def _start(
    rank: int, count: int, port: int, arguments: Sequence[str], log: IO[str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "magkit", *arguments],
        env={**os.environ, **_environment(rank, count, port)},
        stdout=subprocess.DEVNULL if rank else None,
        stderr=log if rank else None,
    )


def _environment(rank: int, count: int, port: int) -> Mapping[str, str]:
    """Return the variables that torchrun sets; processes divide the processors."""
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
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _wait_for_failure(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all succeeded, or one failed: return its rank."""
    while True:
        codes = [process.poll() for process in processes]
        failed = next((number for number, code in enumerate(codes) if code), None)
        if failed is not None or all(code == 0 for code in codes):
            return failed
        time.sleep(0.1)


def _terminate(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(TERMINATE_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
