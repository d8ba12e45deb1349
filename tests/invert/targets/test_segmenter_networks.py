"""The included networks of per-pixel classes: shapes, gradients, statistics, cards and sizes."""

import hashlib
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import magkit
from magkit.invert import CLASSES
from magkit.invert.targets.load import TargetChoice, build_target
from magkit.invert.targets.segmenter_networks import (
    ConvNeXtSegmenter,
    ResNetSegmenter,
    ShuffleSegmenter,
)
from magkit.protocols import Annotation

WEIGHTS = Path(magkit.__file__).parent / "weights"
NETWORKS = {
    "resnet-segmenter": (ResNetSegmenter, 4),
    "convnext-segmenter": (ConvNeXtSegmenter, 4),
    "shuffle-segmenter": (ShuffleSegmenter, 8),
}
NAMES = pytest.mark.parametrize("name", NETWORKS)


@NAMES
@pytest.mark.parametrize("size", [(64, 96), (50, 77)])
def test_a_place_for_each_few_pixels(name: str, size: tuple[int, int]) -> None:
    network, stride = NETWORKS[name]
    found = network(5).eval()(torch.rand(2, 3, *size))
    # Layers without padding round down, those with padding up.
    assert found.shape[:2] == (2, 5)
    for side, pixels in zip(found.shape[2:], size, strict=True):
        assert pixels // stride <= side <= -(-pixels // stride)


@NAMES
def test_nearly_every_pixel_gets_a_gradient(name: str) -> None:
    target = build_target(TargetChoice(name), torch.device("cpu"))
    mask = torch.zeros(64, 96)
    mask[20:40, 30:60] = 1
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = target.labels([[Annotation(CLASSES[0], mask)]])
    (gradient,) = torch.autograd.grad(target.losses(picture, labels)["mask"], picture)
    assert (
        gradient.abs().amax(1) > 0
    ).float().mean() > 0.95  # but for what max-pooling passes over


@NAMES
def test_statistics_are_those_of_batch_normalisation(name: str) -> None:
    target = build_target(TargetChoice(name), torch.device("cpu"))
    layers = [m for m in target.model.modules() if isinstance(m, nn.BatchNorm2d)]  # type: ignore[attr-defined]
    assert [each.module for each in target.statistics()] == layers
    assert bool(layers) == (name != "convnext-segmenter")


@pytest.mark.parametrize("card", sorted(WEIGHTS.glob("*.md")), ids=lambda path: path.stem)
def test_cards_name_their_files(card: Path) -> None:
    stated = re.findall(r"\b[0-9a-f]{64}\b", card.read_text(encoding="utf-8"))
    found = hashlib.sha256(card.with_suffix(".safetensors").read_bytes()).hexdigest()
    assert stated == [found]


def test_all_weights_stay_small() -> None:
    files = list(WEIGHTS.glob("*.safetensors"))
    assert {each.stem for each in files} == {each.stem for each in WEIGHTS.glob("*.md")}
    assert sum(each.stat().st_size for each in files) < 15e6
