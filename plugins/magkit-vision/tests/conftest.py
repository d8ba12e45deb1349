"""Small networks of torchvision's own classes with random weights, and files of them."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import VisionTransformer, detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.segmentation import FCN
from torchvision.ops import FrozenBatchNorm2d

from magkit import Annotation

ROOT = Path(__file__).parents[3]
CHANNELS = 32  # FCOS normalises its heads in 32 groups


class Levels(nn.Module):
    """Maps at strides of 8 and 16; its BatchNorm is frozen, as published detectors' is."""

    def __init__(self, norm: Callable[[int], nn.Module] = FrozenBatchNorm2d) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, CHANNELS, 8, 8, bias=False), norm(CHANNELS))
        self.second = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 2, 2), norm(CHANNELS))
        self.out_channels: Any = CHANNELS

    def forward(self, images_NCHW: Tensor) -> OrderedDict[str, Tensor]:
        """Return both maps."""
        first = self.first(images_NCHW).relu()
        return OrderedDict([("0", first), ("1", self.second(first).relu())])


class One(nn.Module):
    """A map at a stride of 8, as networks of pixels' classes take it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, CHANNELS, 8, 8, bias=False), nn.BatchNorm2d(CHANNELS)
        )

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Return it."""
        return {"out": self.body(images_NCHW).relu()}


def tiny(name: str, classes: int, **options: Any) -> Any:
    """Build a network of the kind that torchvision calls so."""
    if name.startswith("vit"):
        return VisionTransformer(options["image_size"], 32, 1, 2, 16, 32, num_classes=classes)
    if name.startswith("fcn"):
        return FCN(One(), nn.Conv2d(CHANNELS, classes, 1))
    backbone = Levels()
    if name.startswith("ssd"):
        backbone.out_channels = [CHANNELS] * 2
        return SSD(backbone, DefaultBoxGenerator([[2], [2]]), (320, 320), classes)
    if name.startswith("fcos"):
        anchors = AnchorGenerator(((8,), (16,)), ((1.0,),) * 2)
        return detection.FCOS(backbone, classes, anchor_generator=anchors, **options)
    anchors = AnchorGenerator(((16, 24), (32, 48)), ((0.5, 1.0, 2.0),) * 2)
    return detection.RetinaNet(backbone, classes, anchor_generator=anchors, **options)


def stirred(model: nn.Module) -> nn.Module:
    """Give a network weights and memories under which its outputs differ from place to place."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "pos_embedding" not in name:
            nn.init.kaiming_normal_(parameter)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.2)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return model


@pytest.fixture
def build_tiny() -> Callable[..., Any]:
    """Builds small networks by torchvision's names, always with the same weights."""

    def build(name: str, classes: int, **options: Any) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return stirred(tiny(name, classes, **options))

    return build


@pytest.fixture
def instead(build_tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has torchvision build small networks in place of its large ones."""
    from torchvision import models

    def build(name: str, num_classes: int, **options: Any) -> nn.Module:
        given = {k: v for k, v in options.items() if k == "image_size"}
        found: nn.Module = build_tiny(name, num_classes, **given)
        return found

    monkeypatch.setattr(models, "get_model", build)


@pytest.fixture
def write_weights(tmp_path: Path) -> Callable[..., Path]:
    """Writes a network's weights as a safetensors file."""

    def write(model: nn.Module, name: str = "weights.safetensors") -> Path:
        path = tmp_path / name
        save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, path)
        return path

    return write


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache of published weights, empty, on a machine without a network."""

    def no_network(*_arguments: Any, **_options: Any) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture(scope="session")
def cifar() -> Path:
    """The folder of CIFAR-10's published ResNets and test pictures."""
    data = Path(os.environ.get("MAGKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "weights" / "cifar10_resnet").is_dir():
        pytest.skip(f"no real weights: MAGKIT_TEST_DATA names their folder, and {data} isn't one")
    return data / "weights"


@pytest.fixture
def thing() -> Callable[..., Annotation]:
    """Makes an annotation of a rectangle: left, top, right, bottom."""

    def make(
        label: str, left: int, top: int, right: int, bottom: int, size: tuple[int, int] = (64, 96)
    ) -> Annotation:
        mask = torch.zeros(size)
        mask[top:bottom, left:right] = 1
        return Annotation(label, mask)

    return make
