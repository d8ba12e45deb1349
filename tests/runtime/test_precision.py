"""When layers work with 16 bits."""

import platform

import pytest
import torch

from magkit.runtime import device
from magkit.runtime.device import Precision, autocast, has_fast_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "fast", "dtype"),
    [
        ("full", True, torch.float32),
        ("bf16", False, torch.bfloat16),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
    ],
)
def test_layers_work_with_as_many_bits_as_asked_for(
    asked: Precision, fast: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_fast_bf16", lambda _: fast)
    layer, x = torch.nn.Linear(4, 4), torch.rand(2, 4)
    with autocast(CPU, asked):
        assert layer(x).dtype == dtype
    assert layer(x).dtype == layer.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("machine", "amx", "known", "fast"),
    [
        ("x86_64", True, True, True),
        ("x86_64", False, True, False),  # emulated, which takes several times as long
        ("x86_64", True, False, False),
        ("aarch64", False, True, True),
        ("arm64", False, False, False),
    ],
)
def test_what_the_processor_says(
    machine: str, amx: bool, known: bool, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: known)
    assert has_fast_bf16(CPU) == fast


def test_this_processor_is_asked() -> None:
    assert isinstance(has_fast_bf16(CPU), bool)


def test_a_device_that_is_not_known_to_be_faster() -> None:
    assert not has_fast_bf16(torch.device("mps"))
    assert not has_fast_bf16(torch.device("meta"))


@pytest.mark.parametrize("emulated", [False, True])
def test_emulated_bf16_is_not_fast(emulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation if emulated else True

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert has_fast_bf16(torch.device("cuda")) == (not emulated)
