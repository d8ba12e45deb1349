"""Networks of pixels' classes: the loss against NumPy, and torchvision's own outputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from magkit_vision.segmentation import SegmentationTarget, segmenter
from torch import Tensor, nn
from torchvision import models

from magkit import Annotation, MagkitError, UsageError

CPU = torch.device("cpu")
NAMES = ("background", "ant", "bee")
H, W = 64, 96


class Pixels(nn.Module):
    """Logits of each pixel's colour."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, len(NAMES), 1)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Return logits as torchvision's networks do."""
        return {"out": self.conv(images_NCHW)}


@pytest.fixture
def target() -> SegmentationTarget:
    torch.manual_seed(0)
    return SegmentationTarget(Pixels(), NAMES, CPU)


def test_cross_entropy_of_pixels(
    target: SegmentationTarget, thing: Callable[..., Annotation]
) -> None:
    images = torch.rand(2, 3, H, W)
    asked = [
        [thing("ant", 4, 8, 20, 30), thing("bee", 40, 8, 90, 60)],
        [thing("any", 0, 0, 50, 64)],
    ]
    found = target.losses(images, target.labels(asked))
    model: Any = target.model
    seen = (images.numpy() - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    weight = model.conv.weight.numpy().astype(np.float64)[:, :, 0, 0]
    logits = np.einsum("kc,nchw->nkhw", weight, seen) + model.conv.bias.numpy()[:, None, None]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    free = [1 - np.asarray(a[0].mask_HW) for a in asked]
    free[0] = free[0] - np.asarray(asked[0][1].mask_HW)
    terms = [
        -np.log(shares[0, 0])[free[0] == 1].mean(),
        -np.log(shares[0, 1, 8:30, 4:20]).mean(),
        -np.log(shares[0, 2, 8:60, 40:90]).mean(),
        -np.log(shares[1, 0])[free[1] == 1].mean(),
        -np.log(shares[1, 1:, :, :50].sum(0)).mean(),
    ]
    assert list(found) == ["mask"]
    assert float(found["mask"]) == pytest.approx(np.mean(terms), rel=1e-5)


def test_predictions_are_the_surest_class_s_pixels(target: SegmentationTarget) -> None:
    model: Any = target.model
    with torch.no_grad():
        model.conv.weight.copy_(8 * torch.eye(3)[:, :, None, None])
        model.conv.bias.zero_()
    images = torch.zeros(1, 3, H, W)
    images[0, 1, :, :30], images[0, 2, :, 30:90], images[0, 0, :, 90:] = 1, 1, 1
    ant, bee = sorted(target.predict(images)[0], key=lambda each: each.label)
    assert (ant.label, bee.label) == ("ant", "bee")
    assert ant.mask_HW is not None
    assert ant.mask_HW[:, :30].all()
    assert ant.mask_HW.sum() == 30 * H
    assert 0.9 < ant.score <= 1


def test_what_can_not_be_asked_for(
    target: SegmentationTarget, thing: Callable[..., Annotation]
) -> None:
    wrong: list[list[list[Annotation]]] = [
        [[Annotation("ant")]],
        [[]],
        [],
        [[thing("ant", 0, 0, 9, 9)], [Annotation("bee")]],
    ]
    for asked in wrong:
        with pytest.raises(MagkitError, match="needs the masks of objects"):
            target.labels(asked)
    with pytest.raises(MagkitError, match="all of one size"):
        target.labels([[thing("ant", 0, 0, 9, 9)], [thing("ant", 0, 0, 9, 9, (32, 32))]])
    for label in ("cow", "background"):
        with pytest.raises(UsageError, match=f"knows no class '{label}'"):
            target.labels([[thing(label, 0, 0, 9, 9)]])


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("lraspp_mobilenet_v3_large", models.segmentation.LRASPP_MobileNet_V3_Large_Weights),
        pytest.param(
            "deeplabv3_mobilenet_v3_large",
            models.segmentation.DeepLabV3_MobileNet_V3_Large_Weights,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_published_weights_as_torchvision_loads_them(name: str, weights: Any, hub: Path) -> None:
    torch.manual_seed(0)
    options = {"aux_loss": True} if name.startswith("deeplab") else {}
    drawn = models.get_model(name, weights_backbone=None, **options)
    hub.mkdir(parents=True)
    torch.save(drawn.state_dict(), hub / weights.DEFAULT.url.rpartition("/")[2])
    theirs = models.get_model(name, weights="DEFAULT").eval()
    target = segmenter(name, (), None, CPU)
    images = torch.rand(1, 3, H, W)
    seen = (images - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    model: Any = target.model
    with torch.no_grad():
        wanted = theirs(seen)["out"]
        np.testing.assert_allclose(model(seen)["out"], wanted, rtol=1e-4, atol=1e-5)
    assert list(target.classes)[:2] == ["aeroplane", "bicycle"]
    assert len(target.classes) == 20
    assert getattr(target.model, "aux_classifier", None) is None


def test_a_pooled_branch_has_no_spread_to_compare() -> None:
    with torch.device("meta"):
        model = models.segmentation.deeplabv3_mobilenet_v3_large(
            weights_backbone=None, num_classes=3
        )
    layers = [name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    target = SegmentationTarget(model, NAMES, torch.device("meta"))
    names = [each.name for each in target.statistics()]
    assert set(layers) - set(names) == {"classifier.0.convs.4.2"}


def test_own_classes(write_weights: Callable[..., Path]) -> None:
    model = models.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None, num_classes=3)
    path = write_weights(model)
    target = segmenter("lraspp_mobilenet_v3_large", ("cell", "nucleus"), path, CPU)
    assert list(target.classes) == ["cell", "nucleus"]
    with pytest.raises(MagkitError, match="does not fit lraspp_mobilenet_v3_large") as refused:
        segmenter("lraspp_mobilenet_v3_large", (), path, CPU)
    assert "--opt classes" in refused.value.hint
