"""The network of per-pixel classes: its loss against NumPy, what it leaves alone, its files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from magkit.errors import MagkitError, UsageError
from magkit.invert import CLASSES
from magkit.invert.targets.load import MAX_CLASSES
from magkit.invert.targets.segmenter import PixelLabels, Segmenter, SegmenterTarget
from magkit.invert.targets.segmenter_spec import SPEC, SegmenterConfig
from magkit.protocols import Annotation
from magkit.runtime.weights import to_storable, write_tensors

CPU = torch.device("cpu")
NAMES = ("background", "bear", "dog", "cow")
H, W = 64, 96


@pytest.fixture(scope="module")
def target() -> SegmenterTarget:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SegmenterTarget(Segmenter(len(NAMES)), NAMES, CPU)


def rectangle(left: int, top: int, right: int, bottom: int) -> Tensor:
    mask = torch.zeros(H, W)
    mask[top:bottom, left:right] = 1
    return mask


BEAR = Annotation("bear", rectangle(10, 12, 40, 40))
DOG = Annotation("dog", rectangle(50, 20, 80, 60))
ANY = Annotation("any", rectangle(50, 20, 80, 60))


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, H, W, generator=torch.Generator().manual_seed(3))


def shares(target: SegmenterTarget, x: Tensor) -> np.ndarray:
    """The logarithms of the classes' shares of each pixel, as the network alone gives them."""
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    logits = nn.functional.interpolate(
        target.model((x - mean) / std), (H, W), mode="bilinear", align_corners=False
    )
    values = logits.detach().double().numpy()
    found: np.ndarray = values - np.log(np.exp(values).sum(1, keepdims=True))
    return found


def test_the_loss_is_the_mean_over_objects_and_what_is_around(target: SegmenterTarget) -> None:
    labels = target.labels([[BEAR, ANY], [DOG]])
    logs = shares(target, images())
    bear, dog = (a.mask_HW.numpy() > 0 for a in (BEAR, DOG) if a.mask_HW is not None)
    any_of = np.log(np.exp(logs[0, 1:]).sum(0))
    terms = [
        *(-logs[0, 0][~bear & ~dog].mean(), -logs[0, 1][bear].mean(), -any_of[dog].mean()),
        *(-logs[1, 0][~dog].mean(), -logs[1, 2][dog].mean()),
    ]
    losses = target.losses(images(), labels)
    assert set(losses) == {"mask"}
    assert losses["mask"].item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_the_gradient_reaches_every_picture_and_nothing_else(target: SegmenterTarget) -> None:
    before = {name: value.clone() for name, value in target.model.state_dict().items()}
    x = images().requires_grad_()
    loss = target.losses(x, target.labels([[BEAR, DOG], [DOG]]))["mask"]
    (gradient,) = torch.autograd.grad(loss, x)
    assert gradient.isfinite().all()
    assert (gradient.abs().sum((1, 2, 3)) > 0).all()
    target.predict(x)
    assert not any(p.requires_grad for p in target.model.parameters())
    assert not any(module.training for module in target.model.modules())
    for name, value in target.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_an_object_that_left_the_picture(target: SegmenterTarget) -> None:
    away = torch.tensor([[[1.0, 0, 200], [0, 1, 0]]])
    labels = target.labels([[BEAR]]).moved(away, (H, W))
    assert labels.masks_NKHW.sum() == 0
    x = images(1).requires_grad_()
    loss = target.losses(x, labels)["mask"]
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.item() == pytest.approx(-shares(target, images(1))[0, 0].mean() / 2, rel=1e-5)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_labels_move_with_the_picture(target: SegmenterTarget) -> None:
    labels = target.labels([[BEAR, DOG], [DOG]])
    mirror = torch.tensor([[[-1.0, 0, W], [0, 1, 0]]])
    shift = torch.tensor([[[1.0, 0, 4], [0, 1, -3]]])
    moved = labels.moved(torch.cat([mirror, shift]), (H, W))
    assert torch.equal(moved.masks_NKHW[0], labels.masks_NKHW[0].flip(2))
    assert torch.equal(moved.masks_NKHW[1, 0], rectangle(46, 23, 76, 63))
    edge = target.labels([[Annotation("dog", rectangle(80, 10, W, 30))]]).moved(shift, (H, W))
    assert torch.equal(edge.masks_NKHW[0, 0], rectangle(76, 13, 92, 33))
    assert torch.equal(moved.classes_NK, labels.classes_NK)


def test_labels_of_what_is_asked_for(target: SegmenterTarget) -> None:
    labels = target.labels([[BEAR, ANY], [DOG]])
    assert labels.classes_NK.tolist() == [[1, -1], [2, 0]]
    assert labels.masks_NKHW.shape == (2, 2, H, W)
    assert not labels.masks_NKHW[1, 1].any()
    assert target.classes == NAMES[1:]


@pytest.mark.parametrize("asked", [[], [[]], [[Annotation("bear")]], [[BEAR], [Annotation("dog")]]])
def test_an_object_without_a_mask(target: SegmenterTarget, asked: Any) -> None:
    with pytest.raises(MagkitError, match="needs the mask of an object"):
        target.labels(asked)


def test_an_unknown_class(target: SegmenterTarget) -> None:
    with pytest.raises(UsageError, match="knows no class 'zebra'"):
        target.labels([[Annotation("zebra", BEAR.mask_HW)]])


class Painted(nn.Module):
    """Sees in a picture what its colours say: red is a bear, green a dog."""

    def forward(self, x: Tensor) -> Tensor:
        quarter = nn.functional.avg_pool2d(x, 4)
        other = torch.zeros_like(quarter[:, :1])
        return torch.cat([other - 2, 4 * quarter[:, :2], other - 9], 1)


def test_predictions() -> None:
    """A class that has less than a thousandth of the pixels is not seen."""
    target = SegmenterTarget(Painted(), NAMES, CPU)
    picture = torch.zeros(2, 3, H, W)
    picture[0, 0, :, : W // 2] = 1
    picture[0, 1, :, W // 2 :] = 0.9
    first, second = target.predict(picture)
    assert [a.label for a in first] == ["bear", "dog"]
    assert first[0].score > first[1].score > 0.9
    mask = first[0].mask_HW
    assert mask is not None
    assert mask[:, : W // 2 - 4].all()
    assert not mask[:, W // 2 + 4 :].any()
    assert [a.label for a in second] == []
    tiny = picture[:1].clone()
    tiny[0, 0, :, : W // 2] = 0
    tiny[0, 1] = 0
    assert target.predict(tiny) == [[]]


def test_statistics(target: SegmenterTarget) -> None:
    found = target.statistics()
    assert len(found) == sum(isinstance(m, nn.BatchNorm2d) for m in target.model.modules()) > 0
    assert {s.group for s in found} == {"picture"}


def written(path: Path, tensors: dict[str, Tensor], **texts: str) -> Path:
    write_tensors(path, {name: to_storable(value) for name, value in tensors.items()}, texts)
    return path


def built(path: Path) -> SegmenterTarget:
    found = SPEC.build(SegmenterConfig(), path, CPU)
    assert isinstance(found, SegmenterTarget)
    return found


def test_weights_of_a_file(target: SegmenterTarget, tmp_path: Path) -> None:
    tensors = target.model.state_dict()
    path = written(tmp_path / "w.safetensors", tensors, classes=json.dumps(NAMES[1:]))
    found = built(path)
    assert found.classes == NAMES[1:]
    for name, value in found.model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, tensors[name]), name
    labels = found.labels([[BEAR], [DOG]])
    assert found.losses(images(), labels) == target.losses(images(), labels)


def test_weights_that_name_no_classes_are_of_those_that_ship(tmp_path: Path) -> None:
    path = written(tmp_path / "w.safetensors", Segmenter(len(CLASSES) + 1).state_dict())
    assert built(path).classes == CLASSES


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ("bear", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('"bear"', "is no list of names"),
        ("[1, 2]", "is no list of names"),
        ("[]", "lists 0 classes"),
        (json.dumps(["x"] * (MAX_CLASSES + 1)), f"lists {MAX_CLASSES + 1} classes"),
    ],
)
def test_lists_of_classes_that_are_none(classes: str, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, classes=classes)
    with pytest.raises(MagkitError, match=sentence):
        built(path)


def test_weights_of_other_classes_or_networks(target: SegmenterTarget, tmp_path: Path) -> None:
    path = written(tmp_path / "other.safetensors", target.model.state_dict())
    with pytest.raises(MagkitError, match=r"does not fit the target 'segmenter'.*another shape"):
        built(path)
    path = written(tmp_path / "net.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(MagkitError, match=r"tensors are missing .*, 1 are unknown") as refused:
        built(path)
    assert "--target" in refused.value.hint
    path = written(tmp_path / "said.safetensors", {"a": torch.zeros(1)}, target="maskrcnn-small")
    with pytest.raises(UsageError, match="of the target 'maskrcnn-small', not of 'segmenter'"):
        built(path)


def test_pixel_labels_of_another_size() -> None:
    labels = PixelLabels(BEAR.mask_HW[None, None], torch.ones(1, 1).long())  # type: ignore[index]
    half = torch.tensor([[[2.0, 0, 0], [0, 2, 0]]])
    moved = labels.moved(half, (H // 2, W // 2)).masks_NKHW[0, 0]
    assert moved.shape == (H // 2, W // 2)
    assert moved[6:20, 5:20].all()
    assert moved.sum() == 14 * 15
