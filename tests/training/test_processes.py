"""Two processes of one training whose folders differ: refused at once, in both, never hanging."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn

from magkit.errors import MagkitError
from magkit.runtime import distributed as ranks
from magkit.runtime.distributed import process_group
from magkit.runtime.files import file_lock
from magkit.training.checkpoint import save_checkpoint
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState
from magkit.training.run import Run
from magkit.training.train import run_training

CONFIG = TrainConfig(steps=8, lr=0.01, save_every=4, ema=0)
HANGS = timedelta(seconds=60)
Say = Callable[[], str]


class Task:
    """Each process has a batch of its own."""

    def batches(self, start: int) -> Iterator[Sequence[torch.Tensor]]:
        for step in range(start, CONFIG.steps):
            yield [torch.full((2, 3), float(step + ranks.rank()))]

    def losses(self, model: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"square": model(batch).square().mean()}

    def before_step(self, model: nn.Module, step: int) -> None: ...

    def after_step(self, model: nn.Module, step: int) -> None: ...

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        return {}


def train(folder: Path, *, seed: int = 0, steps: int = 8, board: bool = False) -> str:
    """Train in a folder, or say why not."""
    torch.manual_seed(seed)
    config = TrainConfig(steps=steps, lr=0.01, save_every=4, ema=0)
    state = TrainState.start(nn.Linear(3, 2), config)
    run = Run(folder, {})
    try:
        done = run_training(run, state, config, Task(), lambda _: None, title="", tensorboard=board)
    except MagkitError as error:
        return f"refused: {error.message}; {error.hint}"
    return f"from {done.continued} to {done.steps}"


def broken(folder: Path, *steps: int) -> None:
    for step in steps:
        (folder / f"checkpoint-{step}.pt").write_bytes(b"cut")


def own(place: Path, rank: int) -> Path:
    """A folder of this process alone, with what the training left in the shared one."""
    folder = place / f"own-{rank}"
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(place / "shared", folder))


def scenarios(place: Path, rank: int) -> dict[str, str]:
    said = {"shared": train(place / "shared", steps=6)}
    distributed.barrier()
    said["again"] = train(place / "shared")
    distributed.barrier()
    said["copies"] = train(own(place, rank))
    for lacking in (0, 1):
        folder = own(place, rank) if rank != lacking else place / f"none-{rank}"
        folder.mkdir(exist_ok=True)
        said[f"none in {lacking}"] = train(folder)
        folder = own(place, rank)
        if rank == lacking:
            broken(folder, 8)
        said[f"broken in {lacking}"] = train(folder)
        if rank == lacking:
            broken(folder, 8, 6)
        said[f"nothing readable in {lacking}"] = train(folder)
    if rank == 1:
        train_alone(place / "other")
    distributed.barrier()
    said["other weights"] = train(place / ("shared" if rank == 0 else "other"))
    said["absent"] = train(place / ("shared" if rank == 0 else "absent"))
    if rank == 0:
        with file_lock(place / "shared"):
            said["locked"] = train(place / "shared")
    else:
        said["locked"] = train(place / "shared")
    sys.modules["torch.utils.tensorboard"] = None  # type: ignore[assignment]
    said["no board"] = train(place / "shared", board=True)
    said |= {name: failing(call) for name, call in failures(rank).items()}
    return said


def train_alone(folder: Path) -> None:
    """Leave checkpoints of the same steps with other weights."""
    folder.mkdir()
    torch.manual_seed(9)
    state = TrainState.start(nn.Linear(3, 2), CONFIG)
    for step in (6, 8):
        state.step = step
        save_checkpoint(folder, state)


def failures(rank: int) -> dict[str, Say]:
    def full(number: int) -> str:
        if rank == number:
            raise OSError(28, "No space left on device")
        return "well"

    return {
        "together": lambda: ranks.on_all_ranks(lambda: full(1)),
        "shared fails": lambda: ranks.on_first_rank(lambda: full(0)),
        "well": lambda: ranks.on_all_ranks(lambda: full(2)),
    }


def failing(call: Say) -> str:
    try:
        return call()
    except OSError as error:
        return f"OSError: {error.strerror}"
    except MagkitError as error:
        return error.message


def process(rank: int, place: Path) -> None:
    torch.set_num_threads(1)
    meeting = (place / "meeting").as_uri()
    distributed.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=2, timeout=HANGS
    )
    torch.save(scenarios(place, rank), place / f"said-{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What both processes said to everything that was tried."""
    place = tmp_path_factory.mktemp("processes")
    (place / "shared").mkdir()
    spawn(process, (place,), nprocs=2)  # type: ignore[no-untyped-call]
    return [torch.load(place / f"said-{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_a_shared_folder_and_equal_copies_are_gone_on_with(said: list[dict[str, str]]) -> None:
    for each in said:
        assert each["shared"] == "from 0 to 6"
        assert each["again"] == "from 6 to 8"
        assert each["copies"] == "from 8 to 8"


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("none in 0", {"step 0", "step 8"}),
        ("none in 1", {"step 0", "step 8"}),
        ("absent", {"step 0", "step 8"}),
        ("broken in 0", {"step 6", "step 8"}),
        ("broken in 1", {"step 6", "step 8"}),
        ("other weights", {"step 8", "other weights"}),
    ],
)
def test_both_refuse_checkpoints_that_differ_and_name_the_steps(
    said: list[dict[str, str]], name: str, steps: set[str]
) -> None:
    for each in said:
        assert each[name].startswith("refused: ")
        assert all(step in each[name] for step in steps)
        assert "shared file system" in each[name]


@pytest.mark.parametrize("number", [0, 1])
def test_where_one_can_read_none_both_say_so(said: list[dict[str, str]], number: int) -> None:
    for rank, each in enumerate(said):
        found = each[f"nothing readable in {number}"]
        assert "can be read: checkpoint-8.pt, checkpoint-6.pt" in found
        assert (f"process {number + 1} of 2" in found) == (rank != number)


def test_what_stops_the_first_before_the_start_stops_both(said: list[dict[str, str]]) -> None:
    for each in said:
        assert "another process is training" in each["locked"]
        assert "TensorBoard is not installed" in each["no board"]


def test_any_exception_of_one_process_reaches_the_other(said: list[dict[str, str]]) -> None:
    assert [each["well"] for each in said] == ["well", "well"]
    for name, failed in (("together", 1), ("shared fails", 0)):
        assert said[failed][name] == "OSError: No space left on device"
        assert "No space left on device" in said[1 - failed][name]


def leave(rank: int, place: Path, port: str) -> None:
    """The second process ends in the middle of the training."""
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    try:
        with process_group(torch.device("cpu")):
            ranks.all_reduce(torch.ones(1))
            if rank == 1:
                os._exit(0)
            ranks.all_reduce(torch.ones(1))
    except MagkitError as error:
        (place / "said").write_text(error.message)


def test_a_process_that_ends_by_itself_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    spawn(leave, (tmp_path, port), nprocs=2)  # type: ignore[no-untyped-call]
    assert "another process" in (tmp_path / "said").read_text()
