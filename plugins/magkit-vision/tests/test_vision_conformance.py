"""magkit's own checks of targets, on each of this package's."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from magkit_vision import spec
from magkit_vision.cifar import CifarResNet
from torchvision import models

from magkit import TargetSpec
from magkit.testing import target_checks

CLASSES = ("a", "b", "c")
OWN = ("classes=a,b,c",)


def check_all(which: TargetSpec[Any], options: tuple[str, ...], weights: Path) -> None:
    """Run every check; what fails says so, and which."""
    failed = []
    for check in target_checks(which, options=options, weights=weights, size=(64, 96)):
        try:
            check()
        except AssertionError as error:
            failed.append(f"{check}: {error}")
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize(
    ("which", "name"),
    [
        (spec.FCN, "fcn_resnet50"),
        (spec.RETINANET, "retinanet_resnet50_fpn_v2"),
        (spec.FCOS, "fcos_resnet50_fpn"),
        (spec.SSDLITE, "ssdlite320_mobilenet_v3_large"),
        (spec.VIT, "vit_b_32"),
    ],
    ids=lambda each: each.name if isinstance(each, TargetSpec) else "",
)
def test_targets_with_a_small_network_in_place_of_a_large_one(
    which: TargetSpec[Any],
    name: str,
    build_tiny: Callable[..., Any],
    instead: None,
    write_weights: Callable[..., Path],
) -> None:
    vit = name.startswith("vit")
    options = {"image_size": 224} if vit else {}
    path = write_weights(build_tiny(name, len(CLASSES) + (not vit), **options))
    own = {"vit": ("model=vit_b_32",), "retinanet": ("version=v2",)}.get(which.name, ())
    check_all(which, (*OWN, *own), path)


@pytest.mark.parametrize(
    ("which", "name", "options"),
    [
        (spec.LRASPP, "lraspp_mobilenet_v3_large", ()),
        (spec.CLASSIFIER, "shufflenet_v2_x0_5", ("model=shufflenet_v2_x0_5",)),
        pytest.param(
            spec.DEEPLABV3,
            "deeplabv3_mobilenet_v3_large",
            ("backbone=mobilenet_v3_large",),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda each: each.name if isinstance(each, TargetSpec) else "",
)
def test_targets_with_their_own_network(
    which: TargetSpec[Any], name: str, options: tuple[str, ...], write_weights: Callable[..., Path]
) -> None:
    torch.manual_seed(0)
    backbone = {} if which is spec.CLASSIFIER else {"weights_backbone": None}
    count = len(CLASSES) + (which is not spec.CLASSIFIER)
    path = write_weights(models.get_model(name, weights=None, num_classes=count, **backbone))
    check_all(which, (*OWN, *options), path)


def test_cifar_s_resnets(write_weights: Callable[..., Path]) -> None:
    torch.manual_seed(0)
    check_all(spec.CIFAR[0], (), write_weights(CifarResNet(20)))


def test_names_are_those_of_the_readme() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    names = [each.name for each in spec.magkit_targets()]
    assert len(set(names)) == len(names)
    assert all(f"`{name}`" in readme for name in names if not name.startswith("cifar"))


def test_only_public_names_of_magkit_are_used() -> None:
    import magkit
    from magkit import toolkit

    used = set[tuple[str, str]]()
    for path in (Path(__file__).parents[1] / "magkit_vision").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                used |= {(node.module or "", alias.name) for alias in node.names}
            elif isinstance(node, ast.Import):
                used |= {(alias.name, "") for alias in node.names}
    ours = {(m, name) for m, name in used if m.partition(".")[0] == "magkit"}
    assert ours
    public = {"magkit": magkit.__all__, "magkit.toolkit": toolkit.__all__}
    assert all(name in public.get(module, ()) for module, name in ours)
