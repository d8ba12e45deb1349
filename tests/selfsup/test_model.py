"""What is encoded, when, and among which others."""

from collections.abc import Sequence
from typing import cast

import pytest
import torch
from torch import nn

from magkit.plugins import registry
from magkit.protocols import Method, View
from magkit.selfsup.model import LazyMaps, PretrainModel, has_batch_norm, shuffled_maps
from magkit.specs import MapInfo


class Encoder(nn.Module):
    """Two branches of one layer, and a count of what it was shown."""

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.BatchNorm2d(4) if norm else nn.ReLU())
        self.seen = 0

    def forward(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen += len(frames)
        made = self.layer(frames)
        return {"texture": made[:, :2], "motion": made[:, 2:]}


def views(count: int = 4) -> list[View]:
    boxes = torch.tensor([[0.0, 0, 64, 64]]).expand(count, 4)
    flips = torch.zeros(count, dtype=torch.bool)
    return [View(torch.rand(count, 3, 64, 64), boxes, flips) for _ in range(2)]


def learner(name: str, encoder: nn.Module, branches: Sequence[str] = ("texture",)) -> PretrainModel:
    spec = registry().method(name)
    options = {"queue": 8} if name == "moco" else {}
    config = spec.config(hidden=8, dim=4, **options)
    return PretrainModel(
        encoder,
        {
            branch: cast("Method", spec.build(config, MapInfo(channels=2, stride=4, centre=2)))
            for branch in branches
        },
    )


def test_a_view_is_encoded_when_it_is_asked_for_and_once() -> None:
    seen: list[View] = []

    def encode(view: View) -> torch.Tensor:
        seen.append(view)
        return view.images_NCHW

    pair = views()
    maps = LazyMaps(encode, pair)
    assert len(maps) == 2
    assert not seen
    assert maps[-1] is maps[1]
    assert seen == [pair[1]]
    assert [m is v.images_NCHW for m, v in zip(maps, pair, strict=True)] == [True, True]
    assert maps[0:2][0] is pair[0].images_NCHW
    assert len(seen) == 2
    with pytest.raises(IndexError):
        maps[2]


@pytest.mark.parametrize(("name", "queries"), [("moco", 4), ("byol", 8), ("scrl", 8)])
def test_no_view_is_encoded_for_nothing(name: str, queries: int) -> None:
    encoder = Encoder()
    made = learner(name, encoder)
    made.losses("texture", views())
    assert encoder.seen == queries
    slow = made.keys["texture"]
    assert isinstance(slow, Encoder)
    assert slow.seen == queries


def test_every_branch_has_a_slow_copy_of_its_own_that_follows() -> None:
    made = learner("byol", Encoder(), ("texture", "motion"))
    with torch.no_grad():
        for parameter in made.encoder.parameters():
            parameter.add_(1)
    copies = [made.keys[branch].get_parameter("layer.0.weight") for branch in made.keys]
    before = copies[0].clone()
    made.before_step(0.0)
    assert torch.equal(copies[0], before)
    made.after_step(0.0)
    tau = registry().method("byol").config().tau
    for copy in copies:
        torch.testing.assert_close(copy, before + (1 - tau))


def test_only_what_moco_compares_with_is_shuffled_and_only_where_there_is_a_norm() -> None:
    assert learner("moco", Encoder(norm=True)).shuffled == {"texture": True}
    assert learner("moco", Encoder()).shuffled == {"texture": False}
    assert learner("byol", Encoder(norm=True)).shuffled == {"texture": False}
    assert has_batch_norm(Encoder(norm=True))


def test_shuffled_pictures_come_back_in_their_order_normalised_in_groups() -> None:
    images = torch.arange(16.0).view(16, 1, 1, 1).expand(16, 3, 2, 2).contiguous()
    sizes: list[int] = []

    def encode(group: torch.Tensor) -> torch.Tensor:
        sizes.append(len(group))
        return group * 2

    torch.manual_seed(0)
    assert torch.equal(shuffled_maps(encode, images), images * 2)
    assert sizes == [2] * 8

    def centred(group: torch.Tensor) -> torch.Tensor:
        return group - group.mean((0, 2, 3), keepdim=True)

    whole, grouped = centred(images), shuffled_maps(centred, images)
    assert not torch.allclose(whole, grouped), "statistics are those of other pictures"


def test_a_learner_is_saved_whole() -> None:
    made = learner("moco", Encoder())
    made.before_step(0.0)
    torch.autograd.backward(made.losses("texture", views())["contrast"])
    made.after_step(0.0)
    names = set(made.state_dict())
    assert "methods.texture.queue.place" in names
    assert "keys.texture.layer.0.weight" in names
    trained = {n for n, p in made.named_parameters() if p.requires_grad}
    assert not {n for n in trained if n.startswith("keys.") or "key_projector" in n}
