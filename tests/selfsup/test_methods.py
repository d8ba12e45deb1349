"""What every method keeps to, and the batches that are too small, too large or unfinished."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from magkit.errors import UsageError
from magkit.protocols import Method, View
from magkit.selfsup.byol import BYOL
from magkit.selfsup.byol_spec import ByolConfig
from magkit.selfsup.moco import MoCo
from magkit.selfsup.moco_spec import MocoConfig
from magkit.selfsup.scrl import SCRL
from magkit.selfsup.scrl_spec import ScrlConfig

CHANNELS, SIZE = 4, 24
MOCO_CONFIG = MocoConfig(hidden=8, dim=6, queue=9, tau=0.9)
BYOL_CONFIG = ByolConfig(hidden=8, dim=6, tau=0.9)
SCRL_CONFIG = ScrlConfig(hidden=8, dim=6, tau=0.9, min_size=6)


def moco(config: MocoConfig = MOCO_CONFIG) -> MoCo:
    return MoCo(config, CHANNELS)


def byol(config: ByolConfig = BYOL_CONFIG) -> BYOL:
    return BYOL(config, CHANNELS)


def scrl(config: ScrlConfig = SCRL_CONFIG) -> SCRL:
    return SCRL(config, CHANNELS)


MAKERS: dict[str, Callable[[], MoCo | BYOL | SCRL]] = {"moco": moco, "byol": byol, "scrl": scrl}
every_method = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    torch.manual_seed(0)


@dataclass
class Step:
    """The encoder and what it makes of two views."""

    encoder: nn.Module
    keys: nn.Module
    views: list[View]

    def maps(self, network: nn.Module) -> list[Tensor]:
        return [network(view.images_NCHW) for view in self.views]

    def loss(self, method: Method) -> Tensor:
        terms = method.loss(self.views, self.maps(self.encoder), self.maps(self.keys))
        return torch.stack(list(terms.values())).sum()


def a_step(count: int, apart: float = 4.0) -> Step:
    """Views of `count` pictures whose crops lie `apart` pixels from one another."""
    encoder = nn.Conv2d(3, CHANNELS, 4, 4)
    keys = copy.deepcopy(encoder).requires_grad_(False)
    views = []
    for index in range(2):
        left = index * apart
        box = torch.tensor([[left, 0.0, left + SIZE, SIZE]]).repeat(count, 1)
        flipped = torch.arange(count) % 2 == index
        views.append(View(torch.rand(count, 3, SIZE, SIZE), box, flipped))
    return Step(encoder, keys, views)


@every_method
def test_everything_that_is_trained_gets_a_gradient(make: Callable[[], Any]) -> None:
    method, step = make(), a_step(4)
    torch.autograd.backward(step.loss(method))
    trained = [*step.encoder.parameters(), *method.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert all(bool(p.grad.any()) for p in method.parameters())
    assert {id(p) for p in method.parameters()} == {
        id(p) for p in nn.Module.parameters(method) if p.requires_grad
    }


@every_method
def test_the_second_encoder_and_its_head_move_without_gradients(make: Callable[[], Any]) -> None:
    method, step = make(), a_step(4)
    twin = method.key_projector if isinstance(method, MoCo) else method.target_projector
    with torch.no_grad():
        for parameter in [*step.encoder.parameters(), *method.projector.parameters()]:
            parameter.add_(1)
    followers = [*step.keys.parameters(), *twin.parameters()]
    before = [parameter.clone() for parameter in followers]
    method.before_keys(step.encoder, step.keys, 0.0)
    method.after_step(step.encoder, step.keys, 0.0)
    for old, new in zip(before, followers, strict=True):
        assert not new.requires_grad
        torch.testing.assert_close(new, old + 0.1)


@every_method
def test_a_second_branch_moves_its_own_head_alone(make: Callable[[], Any]) -> None:
    """The encoder's keys are moved once, however many methods train its branches."""
    method, step = make(), a_step(4)
    before = copy.deepcopy(step.keys.state_dict())
    method.before_keys(step.encoder, None, 0.5)
    method.after_step(step.encoder, None, 0.5)
    assert all(torch.equal(before[name], value) for name, value in step.keys.state_dict().items())


@every_method
def test_a_restored_method_goes_on_to_the_bit(make: Callable[[], Any]) -> None:
    method, other = make(), make()
    for number in range(3):
        if number == 2:
            other.load_state_dict(method.state_dict())
        for trained in (method, other):
            torch.manual_seed(number)
            step = a_step(4)
            trained.before_keys(step.encoder, step.keys, number / 3)
            step.loss(trained)
            trained.after_step(step.encoder, step.keys, number / 3)
    ours, theirs = method.state_dict(), other.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@every_method
def test_mixed_precision_changes_the_loss_little(make: Callable[[], Any]) -> None:
    method, step = make(), a_step(8)
    torch.manual_seed(1)
    exact = copy.deepcopy(method)
    expected = step.loss(exact)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = step.loss(method)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), abs=0.1)
    torch.autograd.backward(found)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_byol_needs_two_pictures() -> None:
    with pytest.raises(UsageError, match="one picture"):
        a_step(1).loss(byol())
    assert a_step(2).loss(byol()).isfinite()


class Asked(Sequence[Tensor]):
    """Feature maps of which one alone may be asked for."""

    def __init__(self, maps: Tensor, number: int) -> None:
        self.maps, self.number = maps, number

    def __getitem__(self, index: Any) -> Any:
        assert index == self.number
        return self.maps

    def __len__(self) -> int:
        return 2


def test_moco_asks_for_no_map_that_it_does_not_need() -> None:
    step, method = a_step(3), moco()
    maps = torch.rand(3, CHANNELS, 6, 6)
    terms = method.loss(step.views, Asked(maps, 0), Asked(maps, 1))
    assert terms["contrast"] > 0


def test_moco_puts_all_keys_of_a_step_into_the_queue_and_none_before() -> None:
    step, method = a_step(4), moco()
    before = method.queue.vectors.clone()
    method.before_keys(step.encoder, step.keys, 0.0)
    for _ in range(2):
        step.loss(method)
    assert torch.equal(method.queue.vectors, before)
    method.after_step(step.encoder, step.keys, 0.0)
    assert method.queue.place == method.queue.filled == 8
    assert torch.equal(method.queue.vectors[:4], method.queue.vectors[4:8])


def test_moco_forgets_the_keys_of_a_step_that_was_given_up() -> None:
    step, method = a_step(4), moco()
    step.loss(method)
    method.before_keys(step.encoder, step.keys, 0.0)
    method.after_step(step.encoder, step.keys, 0.0)
    assert method.queue.filled == 0


def test_a_look_at_mocos_loss_leaves_no_trace() -> None:
    step, method = a_step(4), moco()
    with torch.no_grad():
        step.loss(method)
    method.after_step(step.encoder, step.keys, 0.0)
    assert method.queue.filled == 0


def test_a_batch_larger_than_the_queue_is_refused() -> None:
    step, method = a_step(5), moco()
    for _ in range(2):
        step.loss(method)
    with pytest.raises(UsageError, match="10 keys don't fit a queue of 9"):
        method.after_step(step.encoder, step.keys, 0.0)


def test_moco_without_random_directions_starts_with_nothing_to_tell_apart() -> None:
    step, method = a_step(4), moco(replace(MOCO_CONFIG, random_start=False))
    first = step.loss(method)
    assert first == 0
    torch.autograd.backward(first)
    assert all(p.grad is not None and not p.grad.any() for p in method.parameters())
    method.after_step(step.encoder, step.keys, 0.0)
    assert step.loss(method) > 0.5


def test_scrl_without_any_overlap_loses_nothing_and_teaches_nothing() -> None:
    step, method = a_step(4, apart=SIZE + 1.0), scrl()
    loss = step.loss(method)
    assert loss == 0
    torch.autograd.backward(loss)
    trained = [*step.encoder.parameters(), *method.parameters()]
    assert all(p.grad is not None and not p.grad.any() for p in trained)


@pytest.mark.parametrize(
    ("pictures", "boxes", "taught"), [(1, 1, False), (2, 1, True), (1, 2, True)]
)
def test_scrl_with_hardly_any_box(pictures: int, boxes: int, taught: bool) -> None:
    step, method = a_step(pictures), scrl(replace(SCRL_CONFIG, boxes=boxes))
    assert bool(step.loss(method) > 0) == taught


def test_scrl_leaves_out_pictures_without_overlap() -> None:
    """Their pixels change nothing."""
    step, method = a_step(4), scrl()
    step.views[1].boxes_N4[2] += 100
    losses = []
    for _ in range(2):
        torch.manual_seed(4)
        losses.append(step.loss(method).item())
        step.views[0].images_NCHW[2] = 0.5
    assert losses[0] == losses[1]


@pytest.mark.parametrize("changed", [{"aligned": False}, {"whole": True}, {"centre": 0.5}])
def test_what_is_read_as_published_is_another_loss(changed: dict[str, Any]) -> None:
    step, method = a_step(4), scrl()
    other = scrl(replace(SCRL_CONFIG, **changed))
    other.load_state_dict(method.state_dict())
    losses = []
    for each in (method, other):
        torch.manual_seed(4)
        losses.append(step.loss(each).item())
    assert losses[0] != losses[1]
