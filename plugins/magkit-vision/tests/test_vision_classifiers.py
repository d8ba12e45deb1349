"""Classifiers: the loss against NumPy, the way torchvision shows pictures, what files hold."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from magkit_vision.classifiers import ClassifierTarget, classifier
from magkit_vision.looking import Look
from torch import Tensor, nn
from torchvision import models

from magkit import Annotation, MagkitError, UsageError
from magkit.toolkit import download_weights

CPU = torch.device("cpu")
NAMES = ("ant", "bee", "cat", "dog")


class Mean(nn.Module):
    """Logits of the mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, len(NAMES))
        nn.init.normal_(self.last.weight, 0, 2.0)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, 4)."""
        logits: Tensor = self.last(images_NCHW.mean((2, 3)))
        return logits


@pytest.fixture
def target() -> ClassifierTarget:
    torch.manual_seed(0)
    return ClassifierTarget(Mean(), NAMES, Look(), (8, 8), CPU)


def shares(target: ClassifierTarget, images: Tensor) -> Any:
    """The logarithms of shares, in double precision."""
    model: Any = target.model
    seen = (images.numpy() - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    weight, bias = (p.numpy().astype(np.float64) for p in (model.last.weight, model.last.bias))
    logits = seen.mean((2, 3)) @ weight.T + bias
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def test_cross_entropy(target: ClassifierTarget) -> None:
    images = torch.rand(3, 3, 8, 8)
    asked = [[Annotation("bee")], [Annotation("ant"), Annotation("dog")], [Annotation("any")]]
    found = target.losses(images, target.labels(asked))
    s = shares(target, images)
    wanted = -(s[0, 1] + s[1, 0] + s[1, 3] + s[2].max()) / 4
    assert list(found) == ["class"]
    assert float(found["class"]) == pytest.approx(wanted, rel=1e-5)


def test_a_class_stays_where_the_picture_goes(target: ClassifierTarget) -> None:
    labels = target.labels([[Annotation("cat")]])
    assert labels.moved(torch.zeros(1, 2, 3), (4, 4)).numbers == [[2]]


def test_predictions_are_shares_the_surest_first(target: ClassifierTarget) -> None:
    images = torch.rand(2, 3, 8, 8)
    found, wanted = target.predict(images), np.exp(shares(target, images))
    for picture, row in zip(found, wanted, strict=True):
        assert [each.label for each in picture] == [NAMES[n] for n in np.argsort(-row)]
        np.testing.assert_allclose([each.score for each in picture], np.sort(row)[::-1], rtol=1e-4)
        assert all(each.mask_HW is None for each in picture)


def test_what_can_not_be_asked_for(target: ClassifierTarget) -> None:
    with pytest.raises(UsageError, match="knows no class 'cow'") as refused:
        target.labels([[Annotation("cow")]])
    assert refused.value.hint.startswith("known: ant, bee, cat, dog")
    with pytest.raises(MagkitError, match="a class for every picture"):
        target.labels([[Annotation("ant")], []])


def test_a_transformer_remembers_nothing(
    build_tiny: Callable[..., Any], instead: None, write_weights: Callable[..., Path]
) -> None:
    path = write_weights(build_tiny("vit_b_16", 3, image_size=224))
    target = classifier("vit_b_16", "DEFAULT", ("a", "b", "c"), path, CPU)
    assert list(target.statistics()) == []
    assert target.size == (224, 224)
    images = torch.rand(2, 3, 40, 56, requires_grad=True)
    loss = target.losses(images, target.labels([[Annotation("a")], [Annotation("c")]]))["class"]
    (gradient,) = torch.autograd.grad(loss, images)
    assert gradient.flatten(1).any(1).all()


def test_published_weights_in_torch_s_cache_as_torchvision_shows_pictures(hub: Path) -> None:
    """Its own loader, transform and model are what is compared with."""
    from torchvision.transforms import functional as transforms

    weights = models.ShuffleNet_V2_X0_5_Weights.DEFAULT
    torch.manual_seed(0)
    drawn = models.shufflenet_v2_x0_5()
    hub.mkdir(parents=True)
    torch.save(drawn.state_dict(), hub / weights.url.rpartition("/")[2])
    target = classifier("shufflenet_v2_x0_5", "DEFAULT", (), None, CPU)
    theirs = models.shufflenet_v2_x0_5(weights=weights).eval()
    picture = torch.rand(3, 224, 224)
    shown = transforms.normalize(picture, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        wanted = theirs(shown[None]).softmax(1)[0]
    found = {each.label: each.score for each in target.predict(picture[None])[0]}
    best = wanted.topk(10).values
    np.testing.assert_allclose(list(found.values()), best, rtol=1e-4)
    assert all(
        found[name] == pytest.approx(float(wanted[n]), rel=1e-4)
        for n, name in enumerate(weights.meta["categories"])
        if name in found
    )
    assert len(target.classes) == 1000
    assert len(target.statistics()) == sum(isinstance(m, nn.BatchNorm2d) for m in theirs.modules())


def test_no_published_weights_and_no_network(hub: Path) -> None:
    with pytest.raises(
        MagkitError, match=r"are not in .*checkpoints, nor to be downloaded"
    ) as lost:
        classifier("resnet18", "DEFAULT", (), None, CPU)
    assert "https://download.pytorch.org/models/resnet18-" in lost.value.hint
    assert str(hub) in lost.value.message
    assert not list(hub.iterdir())


@pytest.mark.parametrize(
    ("terminal", "quiet", "told"),
    [(True, "", True), (True, "0", True), (True, "1", False), (False, "", False)],
)
def test_a_download_is_told_to_who_looks(
    hub: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    quiet: str,
    told: bool,
) -> None:
    bars = []

    def download(_url: str, path: str, _prefix: str, *, progress: bool) -> None:
        bars.append(progress)
        Path(path).touch()

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("MAGKIT_QUIET", quiet)
    found = download_weights(models.ResNet18_Weights.DEFAULT.url, "resnet18")
    assert found.parent == hub
    said = f"downloading {models.ResNet18_Weights.DEFAULT.url} to {found}\n"
    assert (bars, capsys.readouterr().err) == ([told], said if told else "")


def test_inception_is_built_as_it_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pictures are brought into another framework's units by itself: only if it is told to."""
    built: dict[str, Any] = {}

    def build(_name: str, **options: Any) -> nn.Module:
        built.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "get_model", build)
    with pytest.raises(KeyboardInterrupt):
        classifier("inception_v3", "IMAGENET1K_V1", (), Path("w"), CPU)
    assert built["transform_input"]
    assert built["aux_logits"]


def test_names_of_networks_and_weights() -> None:
    with pytest.raises(UsageError, match="no classifier 'resnet19'") as refused:
        classifier("resnet19", "DEFAULT", (), None, CPU)
    assert "resnet18" in refused.value.hint
    with pytest.raises(UsageError, match="no weights 'V9' of resnet50") as refused:
        classifier("resnet50", "V9", (), None, CPU)
    assert "IMAGENET1K_V2" in refused.value.hint
