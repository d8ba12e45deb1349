"""What is minimised: every term against an oracle, weights, several targets, moved labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from magkit.errors import UsageError
from magkit.invert import priors
from magkit.invert.affine import TemporalPrior
from magkit.invert.objective import (
    AffineAugmentation,
    Objective,
    TargetTerm,
    gradient_norms,
    total_loss,
)
from magkit.invert.settings import InvertSettings, make_settings
from magkit.invert.statistics import Moments, bn_statistics
from magkit.invert.targets.maskrcnn import MaskRCNNTarget
from magkit.invert.targets.segmenter import PixelLabels
from magkit.protocols import Annotation, Statistic

H, W = 64, 96
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("mask", "label", "bn", "other", "temporal"), 0),
    **dict.fromkeys(("var_l1", "var_l2", "l2_norm", "range_penalty", "colour"), 0),
}
WEIGHTS = {"mask": 1.5, "bn": 0.02, "var_l1": 0.3, "var_l2": 2e-3, "l2_norm": 1e-3}


@dataclass
class Plain:
    """A target that sees in a pixel how bright it is, through a layer that remembers."""

    layer: nn.Module
    classes: Sequence[str] = ("bear",)
    stride: int = 1

    def losses(self, images_NCHW: Tensor, labels: PixelLabels, /) -> dict[str, Tensor]:
        error = (self.layer(images_NCHW).mean(1) - labels.masks_NKHW[:, 0]).square()
        return {"mask": error.mean(), "class": error.mean() * 10, "more": error.mean() * 100}

    def labels(self, _: Any, /) -> PixelLabels:
        mask = torch.zeros(2, 1, H, W)
        mask[0, 0, 20:40, 30:60], mask[1, 0, 25:50, 40:50] = 1, 1
        return PixelLabels(mask, torch.ones(2, 1).long())

    def statistics(self) -> list[Statistic]:
        return bn_statistics(self.layer)

    def predict(self, _: Tensor, /) -> list[list[Annotation]]:
        return [[], []]


def plain() -> Plain:
    layer = nn.BatchNorm2d(3, affine=False).eval()
    layer.running_mean, layer.running_var = torch.tensor([[0.2, 0.5, 0.4], [0.6, 0.9, 1.3]])
    return Plain(layer)


def goal(target: Plain, name: str = "plain", **more: Any) -> TargetTerm:
    return TargetTerm(name, target, target.labels(None), target.statistics(), **more)


def settings(**weights: float) -> InvertSettings:
    return make_settings("thesis", {**NOTHING, **weights})


def pictures(count: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, H, W, generator=torch.Generator().manual_seed(seed))


def values(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(term) for name, term in terms.items()}


@pytest.fixture(scope="module")
def detector(build_detector: Callable[[], MaskRCNNTarget]) -> MaskRCNNTarget:
    return build_detector()


def bear() -> Annotation:
    mask = torch.zeros(H, W)
    mask[12:44, 20:70] = 1
    mask[12:20, 20:30] = 0
    return Annotation("bear", mask)


def test_every_term_of_the_thesis(
    build_detector: Callable[[], MaskRCNNTarget], straight_terms: Callable[..., dict[str, Tensor]]
) -> None:
    target = build_detector()
    target.model.double()
    labels = target.labels([[bear()]])
    labels = replace(labels, masks_KHW=labels.masks_KHW.double(), boxes_K4=labels.boxes_K4.double())
    chosen = make_settings("thesis", WEIGHTS)
    objective = Objective([TargetTerm("t", target, labels, target.statistics())], chosen)
    x = pictures(1).double()
    found = values(objective.terms(x))
    mask = bear().mask_HW
    assert mask is not None
    exact = values(straight_terms(target.model, x, mask, [20, 12, 70, 44], 1))
    assert found.keys() == exact.keys() == WEIGHTS.keys()
    for name, value in exact.items():
        assert found[name] == pytest.approx(WEIGHTS[name] * value, rel=1e-9), name
    assert float(total_loss(objective.terms(x))) == pytest.approx(sum(found.values()), rel=1e-12)


def test_each_term_has_the_weight_of_its_setting() -> None:
    x, target = pictures(), plain()
    unit = Objective([goal(target)], settings(mask=1)).terms(x)["mask"].item()
    weights = {"mask": 2.0, "label": 3.0, "other": 5.0}
    found = values(Objective([goal(target)], settings(**weights)).terms(x))
    assert found == pytest.approx({"mask": 2 * unit, "class": 30 * unit, "more": 500 * unit})
    assert set(Objective([goal(target)], settings(label=1)).terms(x)) == {"class"}
    assert set(Objective([goal(target)], settings(bn=1)).terms(x)) == {"bn"}


def test_the_weight_of_a_target_is_of_its_own_terms() -> None:
    x, chosen = pictures(), settings(mask=1, bn=1, var_l1=1)
    once = values(Objective([goal(plain())], chosen).terms(x))
    thrice = values(Objective([goal(plain(), weight=3)], chosen).terms(x))
    assert once["var_l1"] == thrice["var_l1"]
    assert thrice["mask"] == pytest.approx(3 * once["mask"])


@pytest.mark.parametrize("names", [("a", "b"), ("a", "a"), ("a", "a 2"), ("a", "b", "a")])
def test_all_targets_count_even_of_one_name(names: tuple[str, ...]) -> None:
    x, chosen = pictures(), settings(mask=1, bn=1, colour=1)
    goals = [goal(plain(), name, weight=n) for n, name in enumerate(names, 1)]
    terms = Objective(goals, chosen).terms(x)
    alone = [float(total_loss(Objective([each], chosen).terms(x))) for each in goals]
    prior = float(priors.colour_penalty(x))
    assert len(terms) == 2 * len(names) + 1
    assert float(total_loss(terms)) == pytest.approx(
        sum(alone) - (len(names) - 1) * prior, rel=1e-5
    )
    assert set(Objective([goals[0]], chosen).terms(x)) == {"mask", "bn", "colour"}


def test_a_target_that_remembers_nothing_has_no_such_term() -> None:
    target = Plain(nn.Identity())
    assert set(Objective([goal(target)], settings(mask=1, bn=1)).terms(pictures())) == {"mask"}


def test_nothing_asked_for() -> None:
    with pytest.raises(UsageError, match="nothing is asked for"):
        total_loss(Objective([goal(plain())], settings()).terms(pictures()))


def test_the_difference_from_the_frame_before() -> None:
    random = np.random.default_rng(0)
    x, pixels = random.normal(size=(1, 3, H, W)), random.normal(size=(1, 3, H, W))
    known = random.random((1, 1, H, W)) < 0.3
    guide = TemporalPrior(torch.tensor(pixels), torch.tensor(known).double())
    found = Objective([], settings(temporal=2), guide).terms(torch.tensor(x))
    where = np.broadcast_to(known, x.shape)
    expected = 2 * ((x - pixels)[where] ** 2).mean()
    assert values(found) == {"temporal": pytest.approx(expected, rel=1e-12)}
    nowhere = replace(guide, known_N1HW=torch.zeros(1, 1, H, W))
    assert Objective([], settings(temporal=2), nowhere).terms(torch.tensor(x))["temporal"] == 0
    assert Objective([], settings(temporal=2)).terms(torch.tensor(x)) == {}


def shown(x: Tensor) -> np.ndarray:
    """Pictures as targets see them: in [0, 1], not clipped."""
    mean, std = (np.array(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    found: np.ndarray = x.double().numpy() * std + mean
    return found


@pytest.mark.parametrize("frames", [0, 1, 9])
def test_statistics_are_of_the_frames_before_too(frames: int) -> None:
    target, x = plain(), pictures()
    earlier = [pictures(2, seed) for seed in range(1, frames + 1)]
    together = np.concatenate([shown(v) for v in earlier]) if frames else np.zeros((1, 3, 1, 1))
    before = Moments(
        torch.tensor(together.mean((0, 2, 3))).float(),
        torch.tensor(together.var((0, 2, 3))).float(),
    )
    given = goal(target, before={"": before} if frames else {}, frames=frames)
    found = Objective([given], settings(bn=1)).terms(x)["bn"]
    whole = np.concatenate([shown(v) for v in [*earlier, x]])
    known = target.statistics()[0]
    expected = np.linalg.norm(whole.mean((0, 2, 3)) - known.mean_C.numpy())
    expected += np.linalg.norm(whole.var((0, 2, 3)) - known.variance_C.numpy())
    assert found.item() == pytest.approx(expected, rel=1e-4)


MIRROR, LEFT = (-1.0, 0, W, 0, 1, 0), (1.0, 0, 7, 0, 1, -5)


def move(*maps: tuple[float, ...]) -> AffineAugmentation:
    return AffineAugmentation(torch.tensor(maps).reshape(-1, 2, 3))


def mirrored(annotation: Annotation) -> Annotation:
    assert annotation.mask_HW is not None
    return replace(annotation, mask_HW=annotation.mask_HW.flip(1))


def test_a_mirrored_picture_is_asked_for_mirrored_labels(detector: MaskRCNNTarget) -> None:
    """The same as if both had been mirrored beforehand."""
    chosen, x = make_settings("thesis", {**WEIGHTS, "label": 0.5}), pictures(1)

    def asked(annotation: Annotation) -> Objective:
        labels = detector.labels([[annotation]])
        return Objective([TargetTerm("t", detector, labels, detector.statistics())], chosen)

    found = values(asked(bear()).terms(x, move(MIRROR)))
    assert found == pytest.approx(values(asked(mirrored(bear())).terms(x.flip(3))), rel=1e-4)
    apart = values(asked(bear()).terms(x.flip(3)))
    assert abs(found["mask"] - apart["mask"]) > 1e-3


@pytest.mark.parametrize("maps", [(MIRROR, MIRROR), (MIRROR, LEFT), (LEFT, LEFT)])
def test_what_pixels_say_does_not_change_where_they_move(maps: Any) -> None:
    """Of objects that stay inside, before what is the same everywhere."""
    objects = plain().labels(None).masks_NKHW
    x, objective = pictures() * objects, Objective([goal(plain())], settings(mask=1))
    moved = objective.terms(x, move(*maps))["mask"]
    torch.testing.assert_close(moved, objective.terms(x)["mask"], rtol=1e-4, atol=0)
    anywhere = pictures()
    moved = objective.terms(anywhere, move(MIRROR, MIRROR))["mask"]
    torch.testing.assert_close(moved, objective.terms(anywhere)["mask"], rtol=1e-4, atol=0)


def test_priors_see_pictures_where_they_are() -> None:
    x = pictures()
    objective = Objective([goal(plain())], settings(mask=1, var_l1=1, l2_norm=1))
    there, moved = values(objective.terms(x)), values(objective.terms(x, move(LEFT, MIRROR)))
    assert there["mask"] != moved["mask"]
    assert there["var_l1"] == moved["var_l1"]
    assert there["l2_norm"] == moved["l2_norm"]


def test_norms_of_gradients() -> None:
    x = pictures()
    objective = Objective([goal(plain())], settings(mask=2, bn=1, colour=0.5))
    found = gradient_norms(objective, x)
    assert list(found) == list(objective.terms(x))
    for name, norm in found.items():
        given = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective.terms(given)[name], given)
        assert norm == pytest.approx(gradient.double().square().sum().sqrt().item(), rel=1e-5)
    assert not x.requires_grad


def test_no_hook_is_left_behind() -> None:
    target = plain()
    objective = Objective([goal(target)], settings(mask=1, bn=1))
    objective.terms(pictures())
    assert not target.layer._forward_pre_hooks
    with pytest.raises(RuntimeError):
        objective.terms(torch.zeros(2, 5, H, W))
    assert not target.layer._forward_pre_hooks


def test_terms_of_any_precision_have_a_sum(detector: MaskRCNNTarget) -> None:
    chosen = make_settings("thesis", {**WEIGHTS, "label": 0.5})
    labels = detector.labels([[bear()]])
    objective = Objective([TargetTerm("t", detector, labels, detector.statistics())], chosen)
    x = pictures(1).requires_grad_()
    exact = total_loss(objective.terms(x))
    with torch.autocast("cpu", torch.bfloat16):
        rough = total_loss(objective.terms(x, move(LEFT)))
        same = total_loss(objective.terms(x))
    (gradient,) = torch.autograd.grad(rough, x)
    assert same.item() == pytest.approx(exact.item(), rel=0.02)
    assert gradient.dtype == torch.float32
    assert gradient.isfinite().all()
