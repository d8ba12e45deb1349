"""torchvision's two Mask R-CNNs: their layout, files as they are published, what is refused."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from magkit.errors import MagkitError, UsageError
from magkit.invert.statistics import moments_distance, record_moments
from magkit.invert.targets import maskrcnn_networks
from magkit.invert.targets.maskrcnn import MaskRCNNTarget
from magkit.invert.targets.maskrcnn_networks import build, build_v1, build_v2
from magkit.invert.targets.maskrcnn_spec import SMALL_SPEC, V1_SPEC, V2_SPEC, MaskRCNNConfig
from magkit.protocols import Annotation
from magkit.runtime.weights import write_tensors

CPU = torch.device("cpu")
CONFIG = MaskRCNNConfig()


def old_name(key: str) -> str:
    """What the first weights' file, of 2019, calls what torchvision's layers are called today."""
    key = re.sub(r"(fpn\.\w+_blocks\.\d)\.0\.", r"\1.", key)
    key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    return re.sub(
        r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", key
    )


@pytest.fixture(scope="module")
def coco() -> dict[str, Tensor]:
    """What `maskrcnn_resnet50_fpn` holds, in half precision: it is large."""
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    tensors = model.state_dict()
    return {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}


@pytest.fixture(scope="module")
def first(coco: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> MaskRCNNTarget:
    """The first one, of a file such as a training program of today writes it."""
    path = tmp_path_factory.mktemp("coco") / "weights.pth"
    torch.save(coco, path)
    found = build_v1(CONFIG, path, CPU)
    path.unlink()
    return found


@pytest.fixture(scope="module")
def second() -> MaskRCNNTarget:
    """The second one with random weights, which looks at few regions: it would take long."""
    model = build("maskrcnn-v2", 3)
    model.rpn._post_nms_top_n["testing"] = 10
    return MaskRCNNTarget(model, ("background", "bear", "dog"), CONFIG, CPU)


def loaded(target: MaskRCNNTarget, coco: dict[str, Tensor]) -> None:
    state = target.model.state_dict()
    assert len(state) > 250
    for name, value in state.items():
        assert torch.equal(value, coco[name].float()), name


def test_a_state_dict_of_coco(first: MaskRCNNTarget, coco: dict[str, Tensor]) -> None:
    loaded(first, coco)
    assert len(first.classes) == 80
    assert first.labels([[bear()]]).classes_K.tolist() == [23]


def test_the_published_file_has_older_names(
    first: MaskRCNNTarget,
    coco: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its layers are those of frozen BatchNorm, without counters of batches."""
    theirs = {old_name(k): v for k, v in coco.items() if not k.endswith("num_batches_tracked")}
    assert {"rpn.head.conv.weight", "backbone.fpn.layer_blocks.3.bias"} < theirs.keys()
    assert "roi_heads.mask_head.mask_fcn4.weight" in theirs
    path = tmp_path / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    torch.save(theirs, path)
    monkeypatch.setattr(maskrcnn_networks, "build", lambda *_: emptied(first))
    loaded(build_v1(CONFIG, path, CPU), coco)


def emptied(target: MaskRCNNTarget) -> Any:
    for value in target.model.state_dict().values():
        value.zero_()
    return target.model


def test_its_normalisation_is_frozen_and_exact(first: MaskRCNNTarget) -> None:
    found = first.statistics()
    assert len(found) == 53
    assert {s.group for s in found} == {"picture"}
    for statistic in found:
        assert isinstance(statistic.module, FrozenBatchNorm2d)
        assert statistic.module.eps == 0
        assert statistic.mean_C.abs().sum() > 0
    assert not any(isinstance(m, nn.BatchNorm2d) for m in first.model.modules())


def test_the_second_ones_heads_see_regions(second: MaskRCNNTarget) -> None:
    found = second.statistics()
    groups: dict[str, list[str]] = {"picture": [], "region": []}
    for statistic in found:
        groups[statistic.group].append(statistic.name)
        assert type(statistic.module) is nn.BatchNorm2d
    assert len(groups["picture"]) == 53 + 8
    assert sum(name.startswith("backbone.body.") for name in groups["picture"]) == 53
    assert sum(name.startswith("backbone.fpn.") for name in groups["picture"]) == 8
    assert len(groups["region"]) == 8


def bear(height: int = 64, width: int = 96) -> Annotation:
    mask = torch.zeros(height, width)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return Annotation("bear", mask)


def test_the_second_ones_buffers_stay(second: MaskRCNNTarget) -> None:
    """In training mode BatchNorm would move them; regions pass through it too."""
    before = {name: value.clone() for name, value in second.model.state_dict().items()}
    x = torch.rand(1, 3, 64, 96, requires_grad=True)
    statistics = second.statistics()
    with record_moments(statistics) as seen:
        losses = second.losses(x, second.labels([[bear()]]))
    total = torch.stack([*losses.values(), moments_distance(statistics, seen.of)]).sum()
    (gradient,) = torch.autograd.grad(total, x)
    second.predict(x)
    assert set(seen.of) == {s.name for s in statistics}
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    assert not any(module.training for module in second.model.modules())
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_no_region_at_all_in_the_second_one(second: MaskRCNNTarget) -> None:
    away = torch.tensor([[[1.0, 0, 200], [0, 1, 0]]])
    x = torch.rand(1, 3, 64, 96, requires_grad=True)
    statistics = second.statistics()
    with record_moments(statistics) as seen:
        losses = second.losses(x, second.labels([[bear()]]).moved(away, (64, 96)))
    assert set(seen.of) == {s.name for s in statistics if s.group == "picture"}
    total = torch.stack([*losses.values(), moments_distance(statistics, seen.of)]).sum()
    (gradient,) = torch.autograd.grad(total, x)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.slow
def test_a_step_at_half_the_size_of_davis(first: MaskRCNNTarget) -> None:
    x = torch.rand(1, 3, 240, 427, requires_grad=True)
    statistics = first.statistics()
    with record_moments(statistics) as seen:
        losses = first.losses(x, first.labels([[bear(240, 427)]]))
    assert set(losses) == {"mask", "class"}
    total = torch.stack([*losses.values(), moments_distance(statistics, seen.of)]).sum()
    (gradient,) = torch.autograd.grad(total, x)
    assert total.isfinite()
    assert gradient.isfinite().all()
    assert (gradient.abs().sum((0, 1)) > 0).float().mean() > 0.99


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it fail to build a network, which takes long, for nothing."""

    def fail(*_: Any) -> None:
        raise AssertionError("built")

    monkeypatch.setattr(maskrcnn_networks, "build", fail)


def test_weights_of_another_architecture(
    first: MaskRCNNTarget, second: MaskRCNNTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pth"
    small = {k: v for k, v in second.model.state_dict().items() if "fpn" in k or v.numel() < 100}
    torch.save(small, path)
    monkeypatch.setattr(maskrcnn_networks, "build", lambda *_: first.model)
    with pytest.raises(MagkitError, match="does not fit the target 'maskrcnn'") as refused:
        build_v1(CONFIG, path, CPU)
    for text in ("tensors are missing", "are unknown", "are of another shape", str(path)):
        assert text in refused.value.message
    assert "--target" in refused.value.hint


@pytest.mark.parametrize("make", [build_v1, build_v2])
def test_weights_that_are_missing(
    make: Callable[..., MaskRCNNTarget], unbuilt: None, tmp_path: Path
) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(MagkitError, match=r"the weights of 'maskrcnn.*' are missing"):
            make(CONFIG, path, CPU)


@pytest.mark.parametrize("kept", [0.0, 1, 10, 500, 0.5, 0.99])
def test_a_file_that_was_cut(unbuilt: None, tmp_path: Path, kept: float) -> None:
    path = tmp_path / "weights.pth"
    torch.save({f"layer{n}.weight": torch.rand(20, 20) for n in range(5)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(MagkitError, match=r"weights\.pth"):
        build_v1(CONFIG, path, CPU)


def test_a_file_that_says_whose_it_is(unbuilt: None, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"a": torch.zeros(1)}, {"target": "maskrcnn-small"})
    with pytest.raises(UsageError, match="of the target 'maskrcnn-small', not of 'maskrcnn'"):
        build_v1(CONFIG, path, CPU)


@pytest.mark.parametrize("name", ["maskrcnn", "maskrcnn-v2"])
@pytest.mark.parametrize("problem", [URLError("no network"), OSError(28, "no space"), RuntimeError])
def test_weights_that_can_not_be_downloaded(
    name: str,
    problem: Any,
    unbuilt: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked, bars = [], []

    def download(url: str, path: str, prefix: str, progress: bool) -> None:
        asked.append((url, path, prefix))
        bars.append(progress)
        raise problem

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    spec = {"maskrcnn": V1_SPEC, "maskrcnn-v2": V2_SPEC}[name]
    with pytest.raises(MagkitError, match=f"the weights of '{name}' are not in") as refused:
        spec.build(CONFIG, None, CPU)
    ((url, path, prefix),) = asked
    assert (bars, capsys.readouterr().err) == ([False], "")
    with monkeypatch.context() as terminal:
        terminal.setattr(sys.stderr, "isatty", lambda: True)
        with pytest.raises(MagkitError):
            spec.build(CONFIG, None, CPU)
    assert bars[1:] == [True]
    assert capsys.readouterr().err == f"downloading {url} to {path}\n"
    assert url.endswith(Path(path).name)
    assert Path(path).stem.endswith(f"-{prefix}")
    assert Path(path).name in refused.value.hint
    assert "maskrcnn-small needs no download" in refused.value.hint


def test_weights_in_the_cache_are_not_downloaded(
    unbuilt: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    path.parent.mkdir()
    path.write_bytes(b"no weights")
    with pytest.raises(MagkitError, match="is not a weights file"):
        build_v1(CONFIG, None, CPU)


def test_the_small_one_out_of_a_file(
    build_detector: Callable[[], MaskRCNNTarget], tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = {k: v.contiguous() for k, v in build_detector().model.state_dict().items()}
    write_tensors(path, tensors, {"target": "maskrcnn-small", "classes": '["bear", "dog"]'})
    found: Any = SMALL_SPEC.build(MaskRCNNConfig(boxes=True), path, CPU)
    assert found.classes == ["bear", "dog"]
    assert found.config.boxes
    for name, value in found.model.state_dict().items():
        assert torch.equal(value, tensors[name]), name
    write_tensors(path, tensors, {"classes": '["bear"]'}, overwrite=True)
    with pytest.raises(MagkitError, match=r"does not fit the target 'maskrcnn-small'.*shape"):
        SMALL_SPEC.build(CONFIG, path, CPU)
