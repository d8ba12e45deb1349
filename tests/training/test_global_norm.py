"""Two processes together: normalisation, gradients and what is shared equal one process alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn

from magkit.errors import MagkitError
from magkit.runtime import distributed as ranks
from magkit.training.batch_norm import GlobalBatchNorm, convert_batch_norm
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState, train_step

WORLD, BATCH = 2, 6


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Unflatten(1, (2, 2, 1))
    return nn.Sequential(*layers, nn.BatchNorm2d(2, affine=False), nn.Flatten()).double()


def trained(model: nn.Module) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """Five steps on this process' part of the batches."""
    config, part = TrainConfig(optimizer="sgd", lr=0.1, ema=0), BATCH // ranks.world_size()
    state, measured = TrainState.start(model, config), []
    for step in range(5):
        batch = torch.randn(BATCH, 3, dtype=torch.float64, generator=torch.manual_seed(step))
        mine = batch[ranks.rank() * part :][:part]

        def losses(x: torch.Tensor = mine) -> dict[str, torch.Tensor]:
            return {"cube": (model(x) ** 3).mean(), "edge": model(x)[:, 0].mean()}

        measured.append(train_step(state, [losses], config))
    return model.state_dict(), measured


def in_two_processes(work: Callable[[Path], None], folder: Path) -> None:
    spawn(_joined, (work, folder), nprocs=WORLD)  # type: ignore[no-untyped-call]


def _joined(rank: int, work: Callable[[Path], None], folder: Path) -> None:
    torch.set_num_threads(1)
    place = (folder / "meeting").as_uri()
    distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=WORLD)
    work(folder / str(rank))
    distributed.destroy_process_group()


def train_together(place: Path) -> None:
    torch.save(trained(convert_batch_norm(network())), place)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    in_two_processes(train_together, tmp_path)
    alone, measured = trained(network())
    for rank in range(WORLD):
        together, seen = torch.load(tmp_path / str(rank), weights_only=True)
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)
        for one, other in zip(seen, measured, strict=True):
            assert one == pytest.approx(other, rel=1e-9)


def share(place: Path) -> None:
    rank = ranks.rank()
    said = [str(ranks.on_first_rank(lambda: f"made by {rank}")), str(ranks.world_size())]
    said.append(str(ranks.all_gather(torch.tensor([rank, 10 + rank])).tolist()))
    said.append(str(ranks.all_reduce(torch.tensor(3 + rank)).item()))
    try:
        ranks.on_first_rank(partial(fail, rank))
    except MagkitError as error:
        said.append(f"{error.message}; {error.hint}")
    place.write_text("\n".join(said))


def fail(rank: int) -> None:
    raise MagkitError(f"failed in {rank}", "a hint")


def test_what_the_first_makes_or_fails_at_reaches_all(tmp_path: Path) -> None:
    in_two_processes(share, tmp_path)
    for rank in range(WORLD):
        said = (tmp_path / str(rank)).read_text().splitlines()
        assert said == ["made by 0", "2", "[0, 10, 1, 11]", "7", "failed in 0; a hint"]


def test_alone_a_process_hears_itself() -> None:
    assert (ranks.world_size(), ranks.rank()) == (1, 0)
    part = torch.ones(2, requires_grad=True)
    assert torch.equal(ranks.all_gather(part), part)
    assert ranks.all_reduce(part).sum() == 2
    assert not ranks.all_gather(part).requires_grad
    with pytest.raises(MagkitError, match="failed in 0"):
        ranks.on_first_rank(partial(fail, 0))


def test_a_norm_keeps_its_state_when_it_becomes_global() -> None:
    model = network()
    model(torch.randn(5, 3, dtype=torch.float64))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = convert_batch_norm(model)
    assert sum(isinstance(layer, GlobalBatchNorm) for layer in made.modules()) == 2
    torch.testing.assert_close(dict(made.state_dict()), before, rtol=0, atol=0)
    x = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(made.eval()(x), network_of(before).eval()(x))


def test_a_norm_without_gradients_gets_none_when_it_becomes_global() -> None:
    frozen = convert_batch_norm(network().requires_grad_(False))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(parameter.requires_grad for parameter in convert_batch_norm(network()).parameters())


def network_of(state: dict[str, torch.Tensor]) -> nn.Module:
    model = network()
    model.load_state_dict(state)
    return model
