"""ResNets as encoders, against torchvision's own."""

import pytest
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms.functional import normalize

from magkit.errors import UsageError
from magkit.selfsup.backbones import BACKBONES, IMAGENET_MEAN, build_backbone


def test_the_map_is_torchvisions() -> None:
    built = build_backbone("resnet18")
    encoder, strides = built.encoder, built.strides
    assert strides == {"features": 32}
    theirs = torchvision.models.resnet18(weights=None)
    missing = theirs.load_state_dict(encoder.state_dict(), strict=False)
    assert missing.missing_keys == ["fc.weight", "fc.bias"]
    assert not missing.unexpected_keys
    frames = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    reference = create_feature_extractor(theirs.eval(), {"layer4": "features"})
    seen = normalize(frames, IMAGENET_MEAN, (0.229, 0.224, 0.225))
    with torch.no_grad():
        found, expected = encoder.eval()(frames), reference(seen)
    assert found["features"].shape == (2, 512, 3, 2)
    torch.testing.assert_close(found["features"], expected["features"])


@pytest.mark.parametrize(("name", "channels"), list(zip(BACKBONES, (512, 512, 2048), strict=True)))
def test_channels(name: str, channels: int) -> None:
    encoder = build_backbone(name).encoder
    with torch.no_grad():
        assert encoder.eval()(torch.zeros(1, 3, 32, 32))["features"].shape == (1, channels, 1, 1)


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="'resnet81'") as caught:
        build_backbone("resnet81")
    assert "did you mean 'resnet18'" in caught.value.hint
