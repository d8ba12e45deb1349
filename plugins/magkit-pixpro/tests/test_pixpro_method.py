"""What the method keeps to beside its formula: gradients, averages, restoring, odd batches."""

import copy
import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
from magkit_pixpro.method import PixPro
from magkit_pixpro.spec import SPEC, PixProConfig
from torch import nn

from magkit import MapInfo, UsageError, View
from magkit.toolkit import cosine_momentum, update_momentum

MAPS = MapInfo(channels=4, stride=4, centre=2.0)
CONFIG = PixProConfig(hidden=8, dim=6, grid=3, tau=0.9)
SIZE = 24


@pytest.fixture
def method() -> PixPro:
    torch.manual_seed(0)
    return PixPro(CONFIG, MAPS)


@pytest.fixture
def encoder() -> nn.Module:
    torch.manual_seed(1)
    return nn.Conv2d(3, 4, 4, 4)


def views(count: int, seed: int = 2) -> list[View]:
    """Crops that lie a cell from one another."""
    torch.manual_seed(seed)
    made = []
    for index in range(2):
        left = index * 4.0
        box = torch.tensor([[left, 0.0, left + SIZE, SIZE]]).repeat(count, 1)
        made.append(View(torch.rand(count, 3, SIZE, SIZE), box, torch.rand(count) < 0.5))
    return made


def loss_of(method: PixPro, encoder: nn.Module, pair: list[View]) -> torch.Tensor:
    maps = [encoder(view.images_NCHW) for view in pair]
    return method.loss(pair, maps, [each.detach() for each in maps])["consistency"]


def test_all_that_is_trained_gets_a_gradient_and_nothing_else(
    method: PixPro, encoder: nn.Module
) -> None:
    torch.autograd.backward(loss_of(method, encoder, views(4)))
    for parameter in [*encoder.parameters(), *method.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()
    trained = {id(p) for p in nn.Module.parameters(method) if p.requires_grad}
    assert trained == {id(p) for p in method.parameters()}
    assert all(p.grad is None for p in method.target_projector.parameters())


def test_the_target_starts_as_a_copy(method: PixPro) -> None:
    ours, theirs = method.projector.state_dict(), method.target_projector.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize(("progress", "tau"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0), (1 / 3, 0.925)])
def test_the_decay_rises_along_a_cosine(progress: float, tau: float) -> None:
    assert cosine_momentum(0.9, progress) == pytest.approx(tau, abs=1e-12)
    assert cosine_momentum(1.0, progress) == 1.0


@pytest.mark.parametrize("keyed", [True, False])
def test_the_target_and_the_slow_encoder_follow(
    method: PixPro, encoder: nn.Module, keyed: bool
) -> None:
    keys = copy.deepcopy(encoder).requires_grad_(False)
    slow = [*method.target_projector.parameters(), *(keys.parameters() if keyed else ())]
    before = [each.clone() for each in slow]
    with torch.no_grad():
        for parameter in [*encoder.parameters(), *method.projector.parameters()]:
            parameter.add_(1)
    method.before_keys(encoder, keys if keyed else None, 0.25)
    assert all(map(torch.equal, slow, before))
    method.after_step(encoder, keys if keyed else None, 0.25)
    moved = 0.1 * (math.cos(math.pi / 4) + 1) / 2
    for old, new in zip(before, slow, strict=True):
        torch.testing.assert_close(new, old + moved)


def test_following_leaves_statistics_as_they_are() -> None:
    target, online = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    online(torch.rand(5, 2))
    update_momentum(target, online, 0.0)
    assert torch.equal(target.running_mean, torch.zeros(2))  # type: ignore[arg-type]


def test_a_restored_method_goes_on_to_the_bit(encoder: nn.Module) -> None:
    first, second = (PixPro(CONFIG, MAPS) for _ in range(2))
    for number in range(3):
        if number == 2:
            second.load_state_dict(first.state_dict())
        for method in (first, second):
            loss_of(method, encoder, views(3, number))
            method.after_step(encoder, None, number / 3)
    theirs = second.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in first.state_dict().items())


def test_embeddings_are_mean_directions(method: PixPro, encoder: nn.Module) -> None:
    method.eval()
    maps = encoder(views(5)[0].images_NCHW)
    found = method.embed(maps)
    assert found.shape == (5, CONFIG.dim)
    assert bool((found.norm(dim=1) <= 1 + 1e-6).all())
    torch.testing.assert_close(method.embed(maps.flip(3)), found)


def test_mixed_precision_changes_the_loss_little(method: PixPro, encoder: nn.Module) -> None:
    pair = views(8)
    exact = loss_of(copy.deepcopy(method), encoder, pair)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss_of(method, encoder, pair)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact.item(), abs=0.05)
    torch.autograd.backward(found)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_a_batch_in_parts_has_the_mean_of_their_losses(method: PixPro, encoder: nn.Module) -> None:
    """So processes needn't tell one another how many pictures have pairs: one without counts as 0.

    In a network that normalises by memory: the trainer sees to what is normalised over a batch.
    """
    method.eval()
    pair = views(4)
    pair[1].boxes_N4[2:] += 100
    parts = [loss_of(method, encoder, _some(pair, slice(start, start + 2))) for start in (0, 2)]
    assert parts[0] > 0
    assert parts[1] == 0
    torch.testing.assert_close(loss_of(method, encoder, pair), parts[0] / 2)


def _some(pair: list[View], part: slice) -> list[View]:
    return [View(v.images_NCHW[part], v.boxes_N4[part], v.flipped_N[part]) for v in pair]


def test_pictures_of_one_colour_do_no_harm(method: PixPro) -> None:
    maps = [torch.full((3, 4, 6, 6), 0.5, requires_grad=True) for _ in range(2)]
    loss = method.loss(views(3), maps, [each.detach() for each in maps])["consistency"]
    gradients = torch.autograd.grad(loss, [*maps, *method.parameters()])
    assert loss.isfinite()
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_one_cell_is_refused_and_one_picture_is_not(method: PixPro, encoder: nn.Module) -> None:
    assert loss_of(method, encoder, views(1)).isfinite()
    single = [torch.rand(1, 4, 1, 1) for _ in range(2)]
    with pytest.raises(UsageError, match="one cell can't be normalised"):
        method.loss(views(1), single, single)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"hidden": 0}, "at least 1"),
        ({"dim": 0}, "at least 1"),
        ({"grid": 0}, "at least 1"),
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"threshold": math.nan}, "threshold must be above 0"),
        ({"gamma": 0.5}, "gamma must be at least 1"),
        ({"gamma": math.inf}, "gamma must be at least 1"),
        ({"gamma": math.nan}, "gamma must be at least 1"),
        ({"tau": -0.1}, r"tau must be in \[0, 1\]"),
        ({"tau": 1.1}, r"tau must be in \[0, 1\]"),
    ],
)
def test_options_are_refused(option: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PixProConfig(**option)


def test_presets_set_options_that_exist() -> None:
    assert list(SPEC.presets) == ["small", "paper"]
    small = asdict(PixProConfig(**SPEC.presets["small"].options))
    assert (small["grid"], small["tau"], small["threshold"], small["gamma"]) == (7, 0.99, 0.7, 2)
    assert not SPEC.presets["paper"].options, "the defaults are the paper's"
