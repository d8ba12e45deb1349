"""ONNX files: what onnxruntime computes with them equals what torch computes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.export import onnx_file
from magkit.export.networks import TrainedEncoder, TrainedMagnifier, open_encoder, open_network
from magkit.export.onnx_file import OPSET, OnnxReport, export_onnx
from magkit.magnify.encoder import EncoderInfo
from magkit.magnify.magnet import MagNet
from magkit.magnify.magnet_spec import SPEC, MagnetConfig

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(
    encoder_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, OnnxReport]:
    path = tmp_path_factory.mktemp("onnx") / "encoder.onnx"
    return path, export_onnx(open_encoder(str(encoder_path)), path)


def ran(path: Path, **given: torch.Tensor) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(None, {name: value.numpy() for name, value in given.items()}))


def test_an_encoder_of_free_sizes(exported: tuple[Path, OnnxReport], encoder_path: Path) -> None:
    path, report = exported
    assert report.inputs == {"frames": ("batch", 3, "height", "width")}
    assert list(report.outputs) == ["texture", "motion"]
    assert all(shape[:2] == ("batch", 8) for shape in report.outputs.values())
    assert report.difference is not None
    assert report.difference <= 1e-4
    network = open_encoder(str(encoder_path)).network
    for count, height, width in ((1, 32, 32), (5, 60, 100)):
        frames = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(count))
        texture, motion = ran(path, frames=frames)
        wanted = network(frames)
        np.testing.assert_allclose(texture, wanted["texture"].numpy(), atol=1e-5)
        np.testing.assert_allclose(motion, wanted["motion"].numpy(), atol=1e-5)


def test_metadata_and_no_path_of_this_machine(exported: tuple[Path, OnnxReport]) -> None:
    path, report = exported
    model = onnx.load(path)
    onnx.checker.check_model(model)
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert texts["opset"] == str(report.opset) == str(OPSET)
    assert (texts["kind"], texts["network"], texts["multiple"]) == ("encoder", "magnet-fast", "4")
    assert json.loads(texts["inputs"]) == {"frames": ["batch", 3, "height", "width"]}
    assert json.loads(texts["outputs"]).keys() == {"texture", "motion"}
    assert json.loads(texts["config"])["width"] == 8
    assert b"site-packages" not in path.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()


def own(network: nn.Module, stride: int) -> TrainedEncoder:
    info = EncoderInfo(magnifier="a:b", config={}, branches=("features",), method="none", steps=0)
    return TrainedEncoder(
        network=network.eval(), strides={"features": stride}, info=info, path=None
    )


class ByMean(nn.Module):
    """Branches by what a frame shows, which no graph can hold."""

    def forward(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": frames if frames.mean() > 0.5 else frames * 2}


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="can't export a:b") as caught:
        export_onnx(own(ByMean(), 1), tmp_path / "x.onnx")
    assert "--size" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_difference_is_an_error(
    encoder_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "largest_difference", lambda *_: 2e-4)
    with pytest.raises(MagkitError, match=r"differ by 0\.0002"):
        export_onnx(open_encoder(str(encoder_path)), tmp_path / "x.onnx", size=(32, 64))
    assert not list(tmp_path.iterdir())


def test_sizes(encoder_path: Path, weights_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="30 x 64 pixels don't suit magnet-fast") as caught:
        export_onnx(open_encoder(str(encoder_path)), tmp_path / "x.onnx", size=(30, 64))
    assert "multiples of 4" in caught.value.message + caught.value.hint
    with pytest.raises(UsageError, match="is fixed") as caught:
        export_onnx(open_network(str(weights_path)), tmp_path / "x.onnx")
    assert "multiples of 32" in caught.value.hint


def compared(path: Path, magnifier: Any, height: int, width: int) -> None:
    """Compare frames that are displaced by a pixel and by six, in batches of one and of two."""
    draws = torch.Generator().manual_seed(3)
    rough = torch.rand(2, 3, height // 6, width // 6, generator=draws)
    wide = nn.functional.interpolate(rough, (height, width + 8), mode="bicubic").clamp(0, 1)
    reference, frame = wide[..., 6:-2].contiguous(), wide[..., 5:-3].contiguous()
    frame[..., : height // 2, :] = wide[..., : height // 2, :-8]
    factor = torch.tensor([4.0, 1.5])
    for count in (1, 2):
        a, b, f = reference[:count], frame[:count], factor[:count]
        current = magnifier.encode(b)
        wanted = magnifier.render(current, magnifier.motion(magnifier.encode(a), current), f)
        (found,) = ran(path, reference=a, frame=b, factor=f)
        np.testing.assert_allclose(found, wanted.clamp(0, 1).numpy(), atol=1e-4)
        assert (wanted - b).abs().max() > 0.05, "motion is shown"


@pytest.mark.slow
def test_magnet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = MagnetConfig()
    model: Any = MagNet(config).eval().requires_grad_(False)
    found = TrainedMagnifier(network=model, spec=SPEC, config=config, path=tmp_path)
    report = export_onnx(found, tmp_path / "x.onnx", size=(32, 40))
    assert report.inputs["factor"] == ("batch",)
    assert report.outputs == {"magnified": ("batch", 3, 32, 40)}
    compared(tmp_path / "x.onnx", model, 32, 40)


@pytest.mark.slow
def test_magnet_fast(tmp_path: Path) -> None:
    found = open_network("magnet-fast")
    report = export_onnx(found, tmp_path / "x.onnx", size=(64, 96))
    assert report.inputs["reference"] == ("batch", 3, 64, 96)
    compared(tmp_path / "x.onnx", found.network, 64, 96)
