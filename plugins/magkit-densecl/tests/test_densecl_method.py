"""What the method asks for, keeps, forgets and refuses."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from magkit_densecl.contrast import Contrast
from magkit_densecl.method import DenseCL
from magkit_densecl.spec import DenseClConfig
from torch import Tensor, nn

from magkit import UsageError, View

CHANNELS = 4
CONFIG = DenseClConfig(hidden=8, dim=6, queue=9, tau=0.9, grid=3)


class Asked(Sequence[Tensor]):
    """Feature maps of which one alone may be asked for."""

    def __init__(self, maps: Tensor, number: int) -> None:
        self.maps, self.number = maps, number

    def __getitem__(self, index: Any) -> Any:
        assert index == self.number
        return self.maps

    def __len__(self) -> int:
        return 2


def a_method(config: DenseClConfig = CONFIG) -> DenseCL:
    torch.manual_seed(0)
    return DenseCL(config, CHANNELS)


def some_maps(count: int, side: int = 7, seed: int = 1) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, count, CHANNELS, side, side, generator=rng)
    return first, second


def terms(method: DenseCL, first: Tensor, second: Tensor) -> dict[str, Tensor]:
    count = len(first)
    view = View(torch.zeros(count, 3, 8, 8), torch.zeros(count, 4), torch.zeros(count).bool())
    return method.loss([view, view], Asked(first, 0), Asked(second, 1))


def keep(method: DenseCL) -> None:
    method.after_step(nn.Identity(), None, 0.0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6))
def test_the_order_of_pictures_changes_nothing_but_that_of_keys(seed: int, count: int) -> None:
    method, other = a_method().double(), a_method().double()
    first, second = (maps.double() for maps in some_maps(count, seed=seed))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    expected = terms(method, first, second)
    found = terms(other, first[order], second[order])
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term)
    for trained in (method, other):
        keep(trained)
    for part, twin in ((method.frames, other.frames), (method.places, other.places)):
        torch.testing.assert_close(twin.vectors[:count], part.vectors[order])


def test_a_place_costs_least_where_its_key_is_its_own_copy() -> None:
    method = a_method(DenseClConfig(hidden=8, dim=6, queue=9, temperature=0.05, grid=3))
    first, second = some_maps(5)
    assert terms(method, first, first)["places"] < terms(method, first, second)["places"]
    mirrored = terms(method, first, first.flip(3).contiguous())["places"]
    torch.testing.assert_close(mirrored, terms(method, first, first)["places"])


def test_all_that_is_trained_gets_a_gradient_and_nothing_else() -> None:
    method, (first, second) = a_method(), some_maps(4)
    second.requires_grad_()
    torch.autograd.backward(list(terms(method, first.requires_grad_(), second).values()))
    trained = list(method.parameters())
    assert len(trained) == 8
    assert all(p.grad is not None and p.grad.any() for p in (*trained, first))
    assert second.grad is None
    wanting = {id(p) for p in nn.Module.parameters(method) if p.requires_grad}
    assert wanting == {id(p) for p in trained}


def test_all_keys_of_a_step_go_into_the_queues_and_none_before() -> None:
    method, (first, second) = a_method(), some_maps(4)
    before = copy.deepcopy(method.state_dict())
    for _ in range(2):  # gradients may be gathered over several parts of a batch
        terms(method, first, second)
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    keep(method)
    for part in (method.frames, method.places):
        assert part.place == 8
        assert torch.equal(part.vectors[:4], part.vectors[4:8])
        torch.testing.assert_close(part.vectors.norm(dim=1), torch.ones(9))


def test_a_step_that_was_given_up_and_a_look_at_the_loss_leave_no_trace() -> None:
    method, (first, second) = a_method(), some_maps(4)
    terms(method, first, second)
    method.before_keys(nn.Identity(), None, 0.0)
    with torch.no_grad():
        terms(method, first, second)
    keep(method)
    assert method.frames.place == method.places.place == 0


def test_a_second_branch_moves_its_own_projectors_alone() -> None:
    """The encoder's slow copy is moved once, however many methods train its branches."""
    method, encoder = a_method(), nn.Linear(2, 2)
    keys = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in (*encoder.parameters(), *method.parameters()):
            parameter.add_(1)
    slow = list(method.frames.key_projector.parameters())
    before = [parameter.clone() for parameter in slow]
    method.before_keys(encoder, None, 0.5)
    torch.testing.assert_close(slow, [parameter + 0.1 for parameter in before])
    torch.testing.assert_close(keys.bias, encoder.bias - 1)
    method.before_keys(encoder, keys, 0.5)
    torch.testing.assert_close(keys.bias, encoder.bias - 0.9)


def test_embeddings_are_both_projections_of_the_whole() -> None:
    method, (maps, _) = a_method(), some_maps(5)
    halves = method.embed(maps).view(5, 2, 6)
    torch.testing.assert_close(halves.norm(dim=2), torch.ones(5, 2))
    keep(method)
    terms(method, maps, maps)  # the slow projectors start as copies
    keep(method)
    torch.testing.assert_close(halves[:, 0], method.frames.vectors[:5])
    torch.testing.assert_close(halves[:, 1], method.places.vectors[:5])


def test_mixed_precision_changes_the_loss_little() -> None:
    method, (first, second) = a_method(), some_maps(4)
    exact = terms(method, first, second)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = terms(method, first.bfloat16(), second.bfloat16())
    for name, term in found.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(exact[name].item(), abs=0.1)
    torch.autograd.backward(list(found.values()))
    keep(method)
    assert method.frames.vectors.dtype == torch.float32


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 9), counts=st.lists(st.integers(0, 9), max_size=8))
def test_a_queue_holds_the_latest_keys_in_a_ring(size: int, counts: list[int]) -> None:
    part, pushed = Contrast(2, 2, 2, size), 0
    expected = part.vectors[:, 0].tolist()
    for count in counts:
        part.wait(torch.arange(pushed, pushed + count).float()[:, None].expand(count, 2))
        if count > size:
            with pytest.raises(UsageError, match=f"{count} keys don't fit a queue of {size}"):
                part.push()
            part.forget()
            continue
        part.push()
        for number in range(pushed, pushed + count):
            expected[number % size] = number
        pushed += count
    assert part.vectors[:, 0].tolist() == expected
    assert part.place == pushed % size


def test_queues_start_with_random_directions_of_their_own() -> None:
    method = a_method(DenseClConfig(hidden=2, dim=3, queue=4000))
    for part in (method.frames, method.places):
        torch.testing.assert_close(part.vectors.norm(dim=1), torch.ones(4000))
        assert part.vectors.mean(0).abs().max() < 0.05
    assert not torch.equal(method.frames.vectors, method.places.vectors)
    assert {"frames.vectors", "places.vectors", "frames.place"} <= set(method.state_dict())
