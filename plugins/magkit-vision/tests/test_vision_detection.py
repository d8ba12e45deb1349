"""Detectors: their losses against torchvision's own training, boxes, classes, buffers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from magkit_vision.boxes import filled
from magkit_vision.detection import TERMS, DetectionTarget, detector
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

from magkit import Annotation, MagkitError

CPU = torch.device("cpu")
NAMES = ("background", "ant", "N/A", "bee")
H, W = 64, 96
KINDS = ("retinanet", "fcos", "ssd")


@pytest.fixture
def build(build_tiny: Callable[..., Any]) -> Callable[..., DetectionTarget]:
    def made(kind: str) -> DetectionTarget:
        exact = (320, 320) if kind == "ssd" else None
        return DetectionTarget(build_tiny(kind, len(NAMES)), NAMES, CPU, exact)

    return made


@pytest.fixture
def asked(thing: Callable[..., Annotation]) -> list[list[Annotation]]:
    """Two things in one picture, one in another."""
    return [
        [thing("ant", 8, 8, 34, 40), thing("bee", 50, 20, 90, 60)],
        [thing("bee", 20, 10, 44, 58)],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_torchvision_s_training(
    kind: str,
    build: Callable[..., DetectionTarget],
    build_tiny: Callable[..., Any],
    asked: list[list[Annotation]],
) -> None:
    """In training mode, with its own transform, on a list of pictures and of boxes."""
    theirs, target, images = (
        build_tiny(kind, len(NAMES)).train(),
        build(kind),
        torch.rand(2, 3, H, W),
    )
    if kind != "ssd":  # it resizes to 320 x 320 whatever it is told
        theirs.transform.min_size, theirs.transform.max_size = (H,), W
    boxes = [[[8, 8, 34, 40], [50, 20, 90, 60]], [[20, 10, 44, 58]]]
    given = [
        {"boxes": torch.tensor(b, dtype=torch.float32), "labels": torch.tensor(n)}
        for b, n in zip(boxes, ([1, 3], [3]), strict=True)
    ]
    wanted = {TERMS[name]: loss.item() for name, loss in theirs(list(images), given).items()}
    found = target.losses(images, target.labels(asked))
    assert {name: float(loss) for name, loss in found.items()} == pytest.approx(wanted, rel=1e-4)
    assert all(value > 0.01 for value in wanted.values())


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_those_of_torchvision(
    kind: str, build: Callable[..., DetectionTarget], build_tiny: Callable[..., Any]
) -> None:
    theirs, target, images = (
        build_tiny(kind, len(NAMES)).eval(),
        build(kind),
        torch.rand(2, 3, H, W),
    )
    if kind != "ssd":
        theirs.transform.min_size, theirs.transform.max_size = (H,), W
    with torch.no_grad():
        wanted = theirs(list(images))
    for ours, their in zip(target.predict(images), wanted, strict=True):
        named = [n for n, label in enumerate(their["labels"].tolist()) if label in (1, 3)]
        assert named
        assert len(ours) == len(named)
        for n in named:  # in any order: scores that round differently change places
            low, high = their["boxes"][n].view(2, 2)
            assert any(
                each.score == pytest.approx(float(their["scores"][n]), abs=1e-4)
                and abs(float(each.mask_HW.sum() - (high - low).prod())) < 0.5 * (H + W)
                for each in ours
                if each.mask_HW is not None
            )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_network_moves(
    kind: str, build: Callable[..., DetectionTarget], asked: list[list[Annotation]]
) -> None:
    target = build(kind)
    before = {name: value.clone() for name, value in target.model.state_dict().items()}
    images = torch.rand(2, 3, H, W, requires_grad=True)
    torch.stack(list(target.losses(images, target.labels(asked)).values())).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert images.grad.flatten(1).any(1).all()
    assert not any(module.training for module in target.model.modules())
    after = target.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in target.model.parameters())


def test_a_failure_leaves_it_out_of_training(
    build: Callable[..., DetectionTarget], asked: list[list[Annotation]]
) -> None:
    target = build("fcos")
    labels = target.labels(asked)
    with pytest.raises(RuntimeError):
        target.losses(torch.rand(2, 4, H, W), labels)
    assert not target.model.training


@pytest.mark.parametrize("kind", KINDS)
def test_any_class_is_the_likeliest_in_the_box(
    kind: str, build: Callable[..., DetectionTarget], thing: Callable[..., Annotation]
) -> None:
    target, images = build(kind), torch.rand(1, 3, H, W)
    place = (20, 10, 60, 58)

    def loss(label: str) -> float:
        return float(target.losses(images, target.labels([[thing(label, *place)]]))["class"])

    for name, number in (("ant", 1), ("bee", 3)):
        for module in target.model.head.modules():  # its last layers' biases say what it prefers
            if isinstance(module, nn.Conv2d) and module.out_channels % len(NAMES) == 0:
                _prefer(target, number)
                break
        assert loss("any") == loss(name)


def _prefer(target: DetectionTarget, number: int) -> None:
    head = target.model.head.classification_head
    layers = [head.cls_logits] if hasattr(head, "cls_logits") else list(head.module_list)
    with torch.no_grad():
        for layer in layers:
            layer.bias.view(-1, len(NAMES)).fill_(0)
            layer.bias.view(-1, len(NAMES))[:, number] = 50
            layer.bias.view(-1, len(NAMES))[:, 2] = 99  # what has no name is never chosen


@pytest.mark.parametrize("kind", KINDS)
def test_things_that_are_moved_out_of_the_picture(
    kind: str, build: Callable[..., DetectionTarget], asked: list[list[Annotation]]
) -> None:
    target, images = build(kind), torch.rand(2, 3, H, W)
    away = torch.tensor([[1.0, 0, W], [0, 1, 0]]).expand(2, 2, 3)
    labels = target.labels(asked).moved(away, (H, W))
    assert not labels.masks_NKHW.any()
    found = target.losses(images, labels)
    assert all(torch.isfinite(loss) for loss in found.values())
    assert float(found["box"]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_boxes_keep_theirs(
    kind: str, build: Callable[..., DetectionTarget], asked: list[list[Annotation]]
) -> None:
    target, images = build(kind), torch.rand(2, 3, H, W)
    labels = target.labels(asked)
    whole = target.losses(images, labels)
    with torch.autocast("cpu", torch.bfloat16):
        half = target.losses(images, labels)
    for name, loss in whole.items():
        assert half[name].dtype == torch.float32
        assert float(half[name]) == pytest.approx(float(loss), rel=0.05)


def test_statistics_of_frozen_layers(build: Callable[..., DetectionTarget]) -> None:
    target = build("retinanet")
    found = target.statistics()
    assert [each.name for each in found] == ["backbone.first.1", "backbone.second.1"]
    for each in found:
        assert isinstance(each.module, FrozenBatchNorm2d)
        assert torch.equal(each.mean_C, each.module.running_mean)
        assert torch.equal(each.variance_C, each.module.running_var)
        assert each.group == "picture"


def test_boxes_are_filled() -> None:
    found = filled(torch.tensor([2.4, 1.0, 5.6, 9.0]), (6, 8))
    wanted = np.zeros((6, 8))
    wanted[1:, 2:6] = 1
    np.testing.assert_array_equal(found, wanted)


def test_what_can_not_be_asked_for(build: Callable[..., DetectionTarget]) -> None:
    target = build("retinanet")
    assert list(target.classes) == ["ant", "bee"]
    with pytest.raises(MagkitError, match="needs the masks of objects"):
        target.labels([[Annotation("ant")]])
    for label in ("N/A", "background"):
        with pytest.raises(MagkitError, match=f"knows no class '{label}'"):
            target.labels([[Annotation(label, torch.ones(H, W))]])


def outputs(model: nn.Module, images: Tensor) -> list[Tensor]:
    """What a detector's head says."""
    whole: Any = model
    with torch.no_grad():
        return list(whole.head(list(whole.backbone(images).values())).values())


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ssdlite320_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"),
        pytest.param(
            "retinanet_resnet50_fpn",
            "retinanet_resnet50_fpn_coco-eeacb38b.pth",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_published_weights_as_torchvision_loads_them(
    name: str, file: str, hub: Path, request: pytest.FixtureRequest
) -> None:
    """Random weights in place of the published file, by its own loader and by the target."""
    torch.manual_seed(0)
    drawn = models.get_model(name, weights=None, weights_backbone=None)
    for key, buffer in drawn.named_buffers():
        if key.endswith("running_var"):  # small enough for a wrong epsilon to be seen
            buffer.uniform_(1e-4, 1e-3)
    hub.mkdir(parents=True)
    torch.save(drawn.state_dict(), hub / file)
    target = detector(name, (), None, CPU)
    theirs = models.get_model(name, weights="DEFAULT").eval()
    images = torch.rand(1, 3, 64, 64)
    for found, wanted in zip(outputs(target.model, images), outputs(theirs, images), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    assert "bear" in target.classes
    assert "N/A" not in target.classes
