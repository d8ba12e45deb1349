"""CIFAR-10's ResNets: their shape, the published weights on real pictures, what a file may lack."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from magkit_vision.cifar import CLASSES, Block, CifarResNet, cifar_resnet
from PIL import Image
from torch import nn

from magkit import Annotation, MagkitError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("depth", "weights"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)]
)
def test_layers_and_weights(depth: int, weights: int) -> None:
    """0.27, 0.46, 0.66 and 0.85 million, as table 6 of the paper has it."""
    model = CifarResNet(depth)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    assert sum(p.numel() for p in model.parameters()) == weights


def test_shortcuts_take_every_second_pixel_and_add_zeros() -> None:
    block = Block(4, 8)
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 4, 6, 6)
    found, wanted = block.eval()(x), torch.zeros(2, 8, 3, 3)
    wanted[:, 2:6] = x[:, :, ::2, ::2]
    assert torch.equal(found, wanted)


def share_right(depth: int, folder: Path) -> float:
    target = cifar_resnet(depth, next((folder / "cifar10_resnet").glob(f"resnet{depth}-*")), CPU)
    files = sorted((folder / "cifar10_test_sample").glob("*/*.jpg"))
    assert len(files) == 300
    pictures = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    found = target.predict(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255)
    right = [row[0].label == file.parent.name for row, file in zip(found, files, strict=True)]
    return sum(right) / len(right)


@pytest.mark.parametrize(("depth", "right"), [(20, 0.8133), (32, 0.84)])
def test_published_weights_know_real_pictures(depth: int, right: float, cifar: Path) -> None:
    """In other units than those of their training they know fewer."""
    found = share_right(depth, cifar)
    print(f"ResNet-{depth} knows {found:.1%} of 300 test pictures")
    assert found == pytest.approx(right, abs=0.01)


def test_losses_and_statistics(cifar: Path) -> None:
    path = next((cifar / "cifar10_resnet").glob("resnet20-*"))
    target = cifar_resnet(20, path, CPU)
    assert target.size == (32, 32)
    assert tuple(target.classes) == CLASSES
    assert len(target.statistics()) == 19
    images = torch.rand(2, 3, 48, 32, requires_grad=True)
    loss = target.losses(images, target.labels([[Annotation("bird")], [Annotation("ship")]]))
    (gradient,) = torch.autograd.grad(loss["class"], images)
    assert gradient.flatten(1).any(1).all()


def test_weights_of_another_depth(cifar: Path) -> None:
    path = next((cifar / "cifar10_resnet").glob("resnet32-*"))
    with pytest.raises(MagkitError, match="does not fit cifar-resnet20: it holds 60 unknown"):
        cifar_resnet(20, path, CPU)
    path = next((cifar / "cifar10_resnet").glob("resnet20-*"))
    with pytest.raises(
        MagkitError, match="does not fit cifar-resnet32: 60 of its tensors are miss"
    ):
        cifar_resnet(32, path, CPU)


def test_a_checkpoint_that_was_cut(cifar: Path, tmp_path: Path) -> None:
    whole = next((cifar / "cifar10_resnet").glob("resnet20-*")).read_bytes()
    path = tmp_path / "cut.th"
    for length in (10, 1000, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(MagkitError, match=r"cut.th is damaged, or"):
            cifar_resnet(20, path, CPU)


def test_without_a_file() -> None:
    with pytest.raises(MagkitError, match="cifar-resnet20 comes without weights") as refused:
        cifar_resnet(20, None, CPU)
    assert "resnet20-*.th" in refused.value.hint


def test_the_command_makes_pictures_of_classes(
    write_weights: Callable[..., Path], tmp_path: Path, preloaded_python: str
) -> None:
    """As it is typed, with few steps and random weights; another depth judges."""
    torch.manual_seed(0)
    target, judge = (write_weights(CifarResNet(d), f"{d}.safetensors") for d in (20, 32))
    words = ["invert", "--target", "cifar-resnet20", "--weights", str(target)]
    words += ["--classes", "bird,ship", "--per-class", "2", "--iterations", "2", "-o", "made"]
    words += ["--verifier", "cifar-resnet32", "--verifier-weights", str(judge), "--device", "cpu"]
    done = subprocess.run(
        [preloaded_python, "-m", "magkit", *words],
        cwd=tmp_path,
        env={**os.environ, "MAGKIT_PLUGINS": "magkit-vision"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = tmp_path / "made"
    pictures = sorted(path.parent.name for path in made.rglob("[0-9]*.png"))
    assert pictures == ["bird", "bird", "ship", "ship"]
    assert Image.open(next(made.rglob("bird/*.png"))).size == (32, 32)
    assert json.loads((made / "report.json").read_text())["verifier"] == "cifar-resnet32"
