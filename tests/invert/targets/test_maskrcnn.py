"""The small Mask R-CNN as a target, against torchvision's own losses and detections."""

import math
from collections.abc import Callable
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss, maskrcnn_loss
from torchvision.ops import box_iou

from magkit.errors import MagkitError, UsageError
from magkit.invert.targets.maskrcnn import MAX_PROPOSALS, MaskRCNNTarget
from magkit.invert.targets.maskrcnn_spec import MaskRCNNConfig
from magkit.protocols import Annotation

H, W = 64, 96
EVERYTHING = {"rois": "sampled", "proposals": True, "boxes": True}


@pytest.fixture(scope="module")
def target(build_detector: Callable[[], MaskRCNNTarget]) -> MaskRCNNTarget:
    return build_detector()


def with_options(target: MaskRCNNTarget, **options: Any) -> MaskRCNNTarget:
    """The same network, looked at in another way."""
    names = ("background", "bear", "dog")
    return MaskRCNNTarget(target.model, names, MaskRCNNConfig(**options), torch.device("cpu"))


def rectangle(left: int, top: int, right: int, bottom: int) -> Tensor:
    mask = torch.zeros(H, W)
    mask[top:bottom, left:right] = 1
    mask[top : top + 3, left : left + 3] = 0
    return mask


BEAR = Annotation("bear", rectangle(10, 12, 44, 42))
DOG = Annotation("dog", rectangle(50, 20, 82, 60))
ANY = Annotation("any", rectangle(50, 20, 82, 60))
AWAY = torch.tensor([[[1.0, 0, 200], [0, 1, 0]]])


def images(count: int = 2, seed: int = 3) -> Tensor:
    return torch.rand(count, 3, H, W, generator=torch.Generator().manual_seed(seed))


def features(target: MaskRCNNTarget, x: Tensor) -> Any:
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return target.model.backbone((x - mean) / std)


def box_of(annotation: Annotation) -> list[float]:
    assert annotation.mask_HW is not None
    rows, columns = annotation.mask_HW.nonzero().unbind(1)
    return [float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


def torchvisions(
    target: MaskRCNNTarget, x: Tensor, asked: list[list[Annotation]], numbers: list[list[int]]
) -> tuple[float, float]:
    """The mask and class losses that torchvision trains with, at the true boxes."""
    maps, heads = features(target, x), target.model.roi_heads
    boxes = [torch.tensor([box_of(a) for a in picture]) for picture in asked]
    masks = [torch.stack([a.mask_HW for a in p if a.mask_HW is not None]) for p in asked]
    labels = [torch.tensor(picture) for picture in numbers]
    sizes, order = [(H, W)] * len(x), [torch.arange(len(picture)) for picture in asked]
    logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(maps, boxes, sizes)))
    scores, shifts = heads.box_predictor(heads.box_head(heads.box_roi_pool(maps, boxes, sizes)))
    zeros = [torch.zeros(len(b), 4) for b in boxes]
    class_loss, _ = fastrcnn_loss(scores, shifts, labels, zeros)
    return float(maskrcnn_loss(logits, boxes, masks, labels, order)), float(class_loss)


def test_the_losses_are_those_that_torchvision_trains_with(target: MaskRCNNTarget) -> None:
    asked = [[BEAR, DOG], [DOG]]
    losses = target.losses(images(), target.labels(asked))
    mask, label = torchvisions(target, images(), asked, [[1, 2], [2]])
    assert set(losses) == {"mask", "class"}
    assert losses["mask"].item() == pytest.approx(mask, rel=1e-6)
    assert losses["class"].item() == pytest.approx(label, rel=1e-6)


def test_whichever_class_is_the_one_that_the_box_head_prefers(target: MaskRCNNTarget) -> None:
    """The background apart, which it may prefer to all of them."""
    looked = with_options(deepcopy(target))
    maps, heads = features(looked, images(1)), looked.model.roi_heads
    heads.box_predictor.cls_score.bias.data[0] += 10
    pooled = heads.box_roi_pool(maps, [torch.tensor([box_of(ANY)])], [(H, W)])
    scores, _ = heads.box_predictor(heads.box_head(pooled))
    number = int(scores[0, 1:].argmax()) + 1
    losses = looked.losses(images(1), looked.labels([[ANY]]))
    mask, label = torchvisions(looked, images(1), [[ANY]], [[number]])
    assert losses["mask"].item() == pytest.approx(mask, rel=1e-6)
    assert losses["class"].item() == pytest.approx(label, rel=1e-6)


def test_a_picture_does_not_see_the_others_of_its_batch(target: MaskRCNNTarget) -> None:
    both = target.losses(images(), target.labels([[BEAR, DOG], [DOG]]))
    first = target.losses(images()[:1], target.labels([[BEAR, DOG]]))
    second = target.losses(images()[1:], target.labels([[DOG]]))
    for name, loss in both.items():
        mean = (2 * first[name] + second[name]) / 3  # of three objects
        torch.testing.assert_close(loss, mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        dict(zip(EVERYTHING, values, strict=True))
        for values in product(("true", "sampled"), (False, True), (False, True))
    ],
)
def test_every_way_of_looking(target: MaskRCNNTarget, options: dict[str, Any]) -> None:
    looked = with_options(target, **options)
    labels, gradients = looked.labels([[BEAR, DOG], [ANY]]), []
    for _ in range(2):
        x = images().requires_grad_()
        losses = looked.losses(x, labels)
        assert all(loss.isfinite() for loss in losses.values())
        gradients.append(torch.autograd.grad(torch.stack(list(losses.values())).sum(), x)[0])
    more = {"box"} if options["boxes"] else set()
    more |= {"objectness", "proposal"} if options["proposals"] else set()
    assert set(losses) == {"mask", "class"} | more
    assert torch.equal(*gradients)
    assert gradients[0].isfinite().all()
    assert (gradients[0].abs().sum((1, 2, 3)) > 0).all()
    again = looked.losses(images(), labels)
    assert {name: loss.item() for name, loss in again.items()} == {
        name: loss.item() for name, loss in losses.items()
    }


def test_each_term_has_a_gradient_of_its_own(target: MaskRCNNTarget) -> None:
    looked = with_options(target, **EVERYTHING)
    x = images().requires_grad_()
    for name, loss in looked.losses(x, looked.labels([[BEAR], [DOG]])).items():
        (gradient,) = torch.autograd.grad(loss, x, retain_graph=True)
        assert gradient.abs().sum() > 0, name


def test_the_model_stays_as_it_is(target: MaskRCNNTarget) -> None:
    looked = with_options(target, **EVERYTHING)
    before = {name: value.clone() for name, value in target.model.state_dict().items()}
    x = images().requires_grad_()
    losses = looked.losses(x, looked.labels([[BEAR], [DOG]]))
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    looked.predict(images())
    assert x.grad is not None
    assert all(p.grad is None and not p.requires_grad for p in target.model.parameters())
    assert not any(module.training for module in target.model.modules())
    for name, value in target.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def proposals(target: MaskRCNNTarget, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        found, _ = target.model.rpn(ImageList(x, [(H, W)] * len(x)), features(target, x), None)
    return [boxes[:MAX_PROPOSALS] for boxes in found]


def test_sampled_regions_are_the_true_ones_and_the_surest_proposals(target: MaskRCNNTarget) -> None:
    """A proposal is of its picture's object that it overlaps most, or background below a half."""
    x, heads = images(), target.model.roi_heads
    found, regions, numbers = proposals(target, x), [], []
    # Something in the first picture at a place that is proposed in the second.
    bear = Annotation("bear", rectangle(*found[1][3].round().int().tolist()))
    for boxes, asked in zip(found, ([(bear, 1), (DOG, 2)], [(DOG, 2)]), strict=True):
        true = torch.tensor([box_of(a) for a, _ in asked])
        overlap, best = box_iou(boxes, true).max(1)
        kinds = torch.tensor([number for _, number in asked])
        regions.append(torch.cat([true, boxes]))
        numbers.append(torch.cat([kinds, torch.where(overlap >= 0.5, kinds[best], 0)]))
    pooled = heads.box_roi_pool(features(target, x), regions, [(H, W)] * 2)
    scores, _ = heads.box_predictor(heads.box_head(pooled))
    expected = F.cross_entropy(scores, torch.cat(numbers))
    looked = with_options(target, rois="sampled")
    losses = looked.losses(x, looked.labels([[bear, DOG], [DOG]]))
    assert len(torch.cat(regions)) > 20
    torch.testing.assert_close(losses["class"], expected, rtol=1e-5, atol=1e-6)


def test_true_boxes_need_no_correction(target: MaskRCNNTarget) -> None:
    looked = with_options(deepcopy(target), boxes=True)
    labels = looked.labels([[BEAR, DOG], [DOG]])
    assert looked.losses(images(), labels)["box"] > 0
    for parameter in looked.model.roi_heads.box_predictor.bbox_pred.parameters():
        nn.init.zeros_(parameter)
    assert looked.losses(images(), labels)["box"] == 0


@pytest.mark.parametrize("predicted", [0.0, -1.0])
def test_the_corrections_of_sampled_regions(target: MaskRCNNTarget, predicted: float) -> None:
    """Those that torchvision's coder asks for: 10 (shift / size), 5 log(size / size)."""
    looked = with_options(deepcopy(target), rois="sampled", boxes=True)
    head = looked.model.roi_heads.box_predictor.bbox_pred
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, 7.0)  # of other classes
    head.bias.data[4:8] = torch.tensor([predicted, 0, 0, 0])
    # Proposals that are known: the true box, shifted by a tenth of its width; the empty corner.
    left, top, right, bottom = box_of(BEAR)
    shifted = [left + 3.4, top, right + 3.4, bottom]
    corner = [70.0, 50, 90, 60]

    def propose(*_: Any) -> tuple[list[Tensor], dict[str, Tensor]]:
        return [torch.tensor([shifted, corner])], {}

    looked.model.rpn.forward = propose
    # Corrections of 0 and -1 in one coordinate of four are right: one of them is off by 1, which
    # is beyond beta and costs 1 - beta / 2.
    expected = (1 - 1 / 18) / 8
    loss = looked.losses(images(1), looked.labels([[BEAR]]))["box"]
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def anchors(target: MaskRCNNTarget, x: Tensor) -> Tensor:
    levels = list(features(target, x).values())
    found = target.model.rpn.anchor_generator(ImageList(x, [(H, W)] * len(x)), levels)
    return torch.cat(list(found))


def test_proposals_are_judged_by_all_anchors(target: MaskRCNNTarget) -> None:
    """On an object: overlaps of 0.7, and each object's best; off: below 0.3; the rest is left."""
    x, rpn = images(1), target.model.rpn
    logits, deltas = rpn.head(list(features(target, x).values()))
    flat = torch.cat([v.permute(0, 2, 3, 1).reshape(-1) for v in logits])
    moves = torch.cat(
        [v.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).reshape(-1, 4) for v in deltas]
    )
    there, true = anchors(target, x), torch.tensor([box_of(BEAR), box_of(DOG)])
    overlap = box_iou(there, true)
    best, owner = overlap.max(1)
    on = (best >= 0.7) | (overlap == overlap.amax(0)).any(1)
    off = (best < 0.3) & ~on
    sides, centres = there[:, 2:] - there[:, :2], (there[:, 2:] + there[:, :2]) / 2
    own = true[owner]
    right = torch.cat(
        [
            ((own[:, 2:] + own[:, :2]) / 2 - centres) / sides,
            ((own[:, 2:] - own[:, :2]) / sides).log(),
        ],
        1,
    )
    looked = with_options(target, proposals=True)
    losses = looked.losses(x, looked.labels([[BEAR, DOG]]))
    entropy = (F.softplus(-flat[on]).mean() + F.softplus(flat[off]).mean()) / 2
    error = F.smooth_l1_loss(moves[on], right[on], beta=1 / 9)
    assert 0 < on.sum() < off.sum() < len(there)
    torch.testing.assert_close(losses["objectness"], entropy, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(losses["proposal"], error, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, EVERYTHING])
def test_an_object_that_left_one_of_two_pictures(
    target: MaskRCNNTarget, options: dict[str, Any]
) -> None:
    looked = with_options(target, **options)
    stays = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    labels = looked.labels([[BEAR], [DOG]]).moved(torch.cat([AWAY, stays]), (H, W))
    assert labels.pictures_K.tolist() == [1]
    x = images().requires_grad_()
    losses = looked.losses(x, labels)
    (gradient,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), x)
    assert all(loss.isfinite() for loss in losses.values())
    assert gradient.isfinite().all()
    assert gradient[1].abs().sum() > 0


@pytest.mark.parametrize("options", [{}, EVERYTHING])
@pytest.mark.parametrize("half", [False, True])
def test_no_object_left(target: MaskRCNNTarget, options: dict[str, Any], half: bool) -> None:
    looked = with_options(target, **options)
    labels = looked.labels([[BEAR]]).moved(AWAY, (H, W))
    x = images(1).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        losses = looked.losses(x, labels)
        total = torch.stack(list(losses.values())).sum()
    (gradient,) = torch.autograd.grad(total, x)
    assert losses["mask"] == 0
    assert gradient.isfinite().all()
    if options:  # the proposals are background now
        assert gradient.abs().sum() > 0
        assert losses["box"] == losses["proposal"] == 0
    else:
        assert losses["class"] == 0


def test_half_the_bits_give_nearly_the_same(target: MaskRCNNTarget) -> None:
    looked = with_options(target, proposals=True, boxes=True)
    labels = looked.labels([[BEAR], [DOG]])
    exact = looked.losses(images(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        rough = looked.losses(images(), labels)
    for name, loss in exact.items():
        assert float(rough[name]) == pytest.approx(float(loss), rel=0.05, abs=0.01), name


def test_anchors_keep_their_bits_where_layers_work_with_sixteen(target: MaskRCNNTarget) -> None:
    kept, wide = [], torch.rand(1, 3, 32, 800)  # 16 bits tell every second pixel there
    handle = target.model.rpn.anchor_generator.register_forward_hook(
        lambda *args: kept.append(args[2][0])
    )
    looked = with_options(target, proposals=True)
    with torch.autocast("cpu", torch.bfloat16):
        looked.losses(wide, looked.labels([[Annotation("bear", torch.ones(32, 800))]]))
    handle.remove()
    assert torch.equal(kept[0], anchors(target, wide))


def test_predictions_are_torchvisions(target: MaskRCNNTarget) -> None:
    """Of a picture that torchvision's own resizing leaves as it is."""
    model = deepcopy(target.model)
    model.transform.min_size, model.transform.max_size = (H,), W
    found = target.predict(images())
    with torch.no_grad():
        expected = model(list(images()))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine
        assert [a.label for a in mine] == [("", "bear", "dog")[n] for n in theirs["labels"]]
        scores = [a.score for a in mine]
        assert scores == sorted(scores, reverse=True)
        assert scores == pytest.approx(theirs["scores"].tolist(), abs=1e-5)
        for annotation, mask in zip(mine, theirs["masks"][:, 0], strict=True):
            assert annotation.mask_HW is not None
            torch.testing.assert_close(annotation.mask_HW, mask, rtol=1e-4, atol=1e-4)


def test_a_picture_in_which_nothing_is_seen(target: MaskRCNNTarget) -> None:
    looked = with_options(deepcopy(target))
    looked.model.roi_heads.score_thresh = math.inf
    assert looked.predict(images()) == [[], []]


def test_statistics(target: MaskRCNNTarget) -> None:
    found = target.statistics()
    assert len(found) == sum(isinstance(m, nn.BatchNorm2d) for m in target.model.modules()) > 0
    assert {s.group for s in found} == {"picture"}


def test_classes_that_can_be_asked_for(build_detector: Callable[..., MaskRCNNTarget]) -> None:
    model = build_detector().model
    names = ("background", "N/A", "dog")
    found = MaskRCNNTarget(model, names, MaskRCNNConfig(), torch.device("cpu"))
    assert found.classes == ["dog"]
    assert found.labels([[DOG]]).classes_K.tolist() == [2]


def test_labels_of_what_is_asked_for(target: MaskRCNNTarget) -> None:
    found = target.labels([[BEAR, ANY], [DOG]])
    assert found.classes_K.tolist() == [1, -1, 2]
    assert found.pictures_K.tolist() == [0, 0, 1]
    assert found.count == 2
    assert found.boxes_K4.tolist() == [box_of(a) for a in (BEAR, ANY, DOG)]


@pytest.mark.parametrize(
    "asked", [[], [[], []], [[Annotation("bear")]], [[BEAR, Annotation("dog")]]]
)
def test_an_object_without_a_mask(target: MaskRCNNTarget, asked: Any) -> None:
    with pytest.raises(MagkitError, match="needs the mask of an object"):
        target.labels(asked)


@pytest.mark.parametrize("edges", [(0, 0, 0, 0), (3, 4, 4, 30)])
def test_a_mask_with_next_to_nothing(target: MaskRCNNTarget, edges: Any) -> None:
    left, top, right, bottom = edges
    mask = torch.zeros(H, W)
    mask[top:bottom, left:right] = 1
    with pytest.raises(MagkitError, match="empty, or too small"):
        target.labels([[Annotation("bear", mask)]])


def test_an_unknown_class(target: MaskRCNNTarget) -> None:
    with pytest.raises(UsageError, match="knows no class 'zebra'") as refused:
        target.labels([[Annotation("zebra", BEAR.mask_HW)]])
    assert "known: bear, dog" in refused.value.hint
