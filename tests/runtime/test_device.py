"""Devices by name, and threads."""

from collections.abc import Iterator

import pytest
import torch

from magkit.errors import UsageError
from magkit.runtime.device import resolve_device, set_threads


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_auto_takes_the_fastest_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, kind in (
        (0, False, "cpu"),
        (0, True, "mps"),
        (1, False, "cuda"),
        (2, True, "cuda"),
    ):
        pretend(monkeypatch, cuda=cuda, mps=mps)
        assert resolve_device("auto").type == kind


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=2, mps=True)
    for name in ("cpu", "cuda", "cuda:1", "mps"):
        assert resolve_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "no device is named 'gpu'"),
        ("cuda:-1", "no device is named 'cuda:-1'"),
        ("cpu\n", "no device is named"),
        ("mps", "no MPS device is there"),
        ("cuda:2", "there is no cuda:2: CUDA devices here: 2"),
    ],
)
def test_refusals(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    pretend(monkeypatch, cuda=2)
    with pytest.raises(UsageError, match=message):
        resolve_device(name)


def test_cuda_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(UsageError, match="no CUDA device is there"):
        resolve_device("cuda")


@pytest.fixture
def threads() -> Iterator[int]:
    count = torch.get_num_threads()
    yield count
    torch.set_num_threads(count)


def test_threads(threads: int) -> None:
    set_threads(None)
    assert torch.get_num_threads() == threads
    set_threads(1)
    assert torch.get_num_threads() == 1
    with pytest.raises(UsageError):
        set_threads(0)
