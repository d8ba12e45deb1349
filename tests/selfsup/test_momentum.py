"""Moving averages of weights against their formula."""

import pytest
import torch
from torch import nn

from magkit.selfsup.modules import cosine_momentum, mlp, momentum_copy, update_momentum


def test_parameters_are_averaged_and_buffers_are_left() -> None:
    leader = mlp(3, 4, 2, norm=True).double()
    follower = momentum_copy(leader)
    assert not any(p.requires_grad for p in follower.parameters())
    before = {name: value.clone() for name, value in follower.state_dict().items()}
    with torch.no_grad():
        for parameter in leader.parameters():
            parameter.add_(torch.randn_like(parameter))
    leader(torch.randn(8, 3).double())  # moves its running statistics
    update_momentum(follower, leader, 0.7)
    now, ahead = dict(follower.named_parameters()), dict(leader.named_parameters())
    for name, value in before.items():
        expected = 0.7 * value + 0.3 * ahead[name] if name in now else value
        torch.testing.assert_close(follower.state_dict()[name], expected, rtol=1e-14, atol=1e-15)


def test_networks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        update_momentum(nn.Linear(2, 2), nn.Linear(2, 2, bias=False), 0.5)


def test_lightlys_momentum_update_is_the_same() -> None:
    update = pytest.importorskip("lightly.models.utils").update_momentum
    leader, ours, theirs = (mlp(3, 4, 2, norm=True).double() for _ in range(3))
    theirs.load_state_dict(ours.state_dict())
    update(leader, theirs, 0.996)
    update_momentum(ours, leader, 0.996)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-16)


def test_the_cosine_runs_from_the_start_to_one() -> None:
    assert cosine_momentum(0.96, 0) == pytest.approx(0.96)
    assert cosine_momentum(0.96, 0.5) == pytest.approx(0.98)
    assert cosine_momentum(0.96, 1) == 1


def test_lightlys_schedule_reaches_its_end_a_step_early() -> None:
    """It counts k / (K - 1); the paper and its code count k / K."""
    schedule = pytest.importorskip("lightly.utils.scheduler").cosine_schedule
    theirs = [schedule(k, 100, 0.996, 1) for k in range(100)]
    assert theirs == pytest.approx([cosine_momentum(0.996, k / 99) for k in range(100)])
    assert cosine_momentum(0.996, 99 / 100) < theirs[99] == 1
