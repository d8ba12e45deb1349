"""Published layouts, against plain functions that know nothing of magkit's network."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.magnify.load import LAYOUTS, load_magnifier, translate_layout
from magkit.magnify.magnet import MagNet
from magkit.magnify.magnet_spec import MagnetConfig

State = dict[str, Tensor]
Run = Callable[[State, Tensor, Tensor, float], Tensor]


def draw(shapes: Iterator[tuple[str, tuple[int, ...]]]) -> State:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes:
        fan = max(shape[1] * shape[2] * shape[3] if len(shape) == 4 else 1, 1)
        value = torch.randn(shape, generator=generator, dtype=torch.float64)
        state[key] = value / fan**0.5 if len(shape) == 4 else value / 10
    return state


def layers(names: dict[str, tuple[int, int, int]], bias: bool) -> Iterator[tuple[str, Any]]:
    for name, (inputs, outputs, kernel) in names.items():
        yield f"{name}.weight", (outputs, inputs, kernel, kernel)
        if bias:
            yield f"{name}.bias", (outputs,)


def conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    padded = F.pad(x, (weight.shape[-1] // 2,) * 4, mode="reflect")
    return F.conv2d(padded, weight, state.get(f"{name}.bias"), stride)


def residual(state: State, one: str, two: str, x: Tensor) -> Tensor:
    return x + conv(state, two, F.relu(conv(state, one, x)))


def twice(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


# --- the port whose names magkit has: no biases, frames in [-1, 1], added to the shape of B


def plain_names() -> dict[str, tuple[int, int, int]]:
    names = {"encoder.cba_1": (3, 16, 7), "encoder.cba_2": (16, 32, 3)}
    names |= {f"encoder.{part}_cba": (32, 32, 3) for part in ("texture", "motion")}
    names |= {"manipulator.g": (32, 32, 3), "manipulator.h_conv": (32, 32, 3)}
    names |= {"decoder.cba_1": (64, 32, 3), "decoder.cba_2": (32, 3, 7)}
    blocks = {"encoder.resblks": 3, "encoder.texture_resblks": 2, "encoder.motion_resblks": 2}
    sizes = {**blocks, "decoder.resblks": 9}
    for chain, number in sizes.items():
        width = 64 if chain.startswith("decoder") else 32
        for index in range(number):
            names |= {f"{chain}.{index}.cba_{n}": (width, width, 3) for n in (1, 2)}
    names |= {f"manipulator.h_resblk.cba_{n}": (32, 32, 3) for n in (1, 2)}
    return {f"{name}.conv2d": size for name, size in names.items()}


def plain(state: State, a: Tensor, b: Tensor, factor: float) -> Tensor:
    def chain(name: str, number: int, x: Tensor) -> Tensor:
        for index in range(number):
            block = f"{name}.{index}"
            x = residual(state, f"{block}.cba_1.conv2d", f"{block}.cba_2.conv2d", x)
        return x

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(conv(state, "encoder.cba_1.conv2d", 2 * x - 1))
        x = chain("encoder.resblks", 3, F.relu(conv(state, "encoder.cba_2.conv2d", x, 2)))
        texture = F.relu(conv(state, "encoder.texture_cba.conv2d", x, 2))
        motion = F.relu(conv(state, "encoder.motion_cba.conv2d", x))
        return chain("encoder.texture_resblks", 2, texture), chain(
            "encoder.motion_resblks", 2, motion
        )

    (_, shape_a), (texture, shape_b) = encode(a), encode(b)
    moved = F.relu(conv(state, "manipulator.g.conv2d", shape_b - shape_a)) * (factor - 1)
    moved = conv(state, "manipulator.h_conv.conv2d", moved)
    names = "manipulator.h_resblk.cba_1.conv2d", "manipulator.h_resblk.cba_2.conv2d"
    shape = shape_b + residual(state, *names, moved)
    x = twice(chain("decoder.resblks", 9, torch.cat([twice(texture), shape], 1)))
    x = F.relu(conv(state, "decoder.cba_1.conv2d", x))
    return (conv(state, "decoder.cba_2.conv2d", x) + 1) / 2


# --- cgst: numbered layers, biases, frames in [0, 1], added to the shape of A


def cgst_names() -> dict[str, tuple[int, int, int]]:
    names = {"encoder.conv.1": (3, 16, 7), "encoder.conv.4": (16, 32, 3)}
    blocks = [f"encoder.res.{n}" for n in range(3)]
    for part in ("texture", "shape"):
        names[f"encoder.{part}.1"] = (32, 32, 3)
        blocks += [f"encoder.{part}.{n}" for n in (3, 4)]
    names |= {"manipulator.conv1.1": (32, 32, 3), "manipulator.conv2.1": (32, 32, 3)}
    blocks.append("manipulator.conv2.2")
    for block in blocks:
        names |= {f"{block}.block.{n}": (32, 32, 3) for n in (1, 4)}
    for index in range(9):
        names |= {f"decoder.res.{index}.block.{n}": (64, 64, 3) for n in (1, 4)}
    return names | {"decoder.deconv.2": (64, 32, 3), "decoder.deconv.5": (32, 3, 7)}


def cgst(state: State, a: Tensor, b: Tensor, factor: float) -> Tensor:
    def block(name: str, x: Tensor) -> Tensor:
        return residual(state, f"{name}.block.1", f"{name}.block.4", x)

    def encode(x: Tensor) -> tuple[Tensor, ...]:
        x = F.relu(conv(state, "encoder.conv.1", x))
        x = F.relu(conv(state, "encoder.conv.4", x, 2))
        for index in range(3):
            x = block(f"encoder.res.{index}", x)
        parts = []
        for part, stride in (("texture", 2), ("shape", 1)):
            y = F.relu(conv(state, f"encoder.{part}.1", x, stride))
            parts.append(block(f"encoder.{part}.4", block(f"encoder.{part}.3", y)))
        return tuple(parts)

    (_, shape_a), (texture, shape_b) = encode(a), encode(b)
    moved = F.relu(conv(state, "manipulator.conv1.1", shape_b - shape_a)) * factor
    shape = shape_a + block("manipulator.conv2.2", conv(state, "manipulator.conv2.1", moved))
    x = torch.cat([twice(texture), shape], 1)
    for index in range(9):
        x = block(f"decoder.res.{index}", x)
    x = F.relu(conv(state, "decoder.deconv.2", twice(x)))
    return conv(state, "decoder.deconv.5", x)


# --- postech: biases, a 7 x 7 manipulator, two more convolutions in the decoder


def postech_names() -> dict[str, tuple[int, int, int]]:
    names = {"encoder.res_encoder.conv1": (3, 16, 7), "encoder.res_encoder.conv2": (16, 32, 3)}
    names |= {"encoder.conv_tex": (32, 32, 3), "encoder.conv_sha": (32, 32, 3)}
    names |= {"res_manipulator.conv1": (32, 32, 7), "res_manipulator.conv2": (32, 32, 3)}
    names |= {"decoder.conv_tex_aft_upsample": (32, 32, 3)}
    names |= {"decoder.res_decoder.conv_up_sample": (64, 64, 3)}
    names |= {"decoder.res_decoder.conv1": (64, 32, 3), "decoder.res_decoder.conv2": (32, 3, 7)}
    sizes = {"encoder.res_encoder.residual": 3, "encoder.texture_resblk": 2}
    sizes |= {"encoder.shape_resblk": 2, "res_manipulator.residual": 1}
    for chain, number in {**sizes, "decoder.res_decoder.residual": 9}.items():
        width = 64 if chain.startswith("decoder") else 32
        for index in range(number):
            names |= {f"{chain}.{index}.conv{n}": (width, width, 3) for n in (1, 2)}
    return names


def postech(state: State, a: Tensor, b: Tensor, factor: float) -> Tensor:
    def chain(name: str, x: Tensor) -> Tensor:
        for index in count():
            if f"{name}.{index}.conv1.weight" not in state:
                return x
            x = residual(state, f"{name}.{index}.conv1", f"{name}.{index}.conv2", x)
        raise AssertionError

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(conv(state, "encoder.res_encoder.conv1", 2 * x - 1))
        x = F.relu(conv(state, "encoder.res_encoder.conv2", x, 2))
        x = chain("encoder.res_encoder.residual", x)
        texture = chain("encoder.texture_resblk", F.relu(conv(state, "encoder.conv_tex", x, 2)))
        return texture, chain("encoder.shape_resblk", F.relu(conv(state, "encoder.conv_sha", x)))

    (_, shape_a), (texture, shape_b) = encode(a), encode(b)
    moved = F.relu(conv(state, "res_manipulator.conv1", shape_b - shape_a)) * (factor - 1)
    moved = conv(state, "res_manipulator.conv2", moved)
    shape = shape_b + chain("res_manipulator.residual", moved)
    texture = F.relu(conv(state, "decoder.conv_tex_aft_upsample", twice(texture)))
    x = chain("decoder.res_decoder.residual", torch.cat([texture, shape], 1))
    x = F.relu(conv(state, "decoder.res_decoder.conv_up_sample", twice(x)))
    x = F.relu(conv(state, "decoder.res_decoder.conv1", x))
    return (conv(state, "decoder.res_decoder.conv2", x) + 1) / 2


# Weights counted in the published code.
PORTS: dict[str, tuple[State, Run, int]] = {
    "own names": (draw(layers(plain_names(), bias=False)), plain, 877_968),
    "cgst": (draw(layers(cgst_names(), bias=True)), cgst, 879_843),
    "postech": (draw(layers(postech_names(), bias=True)), postech, 966_979),
}


@pytest.mark.parametrize("port", PORTS)
def test_a_published_network_gives_the_frames_of_plain_functions(port: str) -> None:
    state, run, parameters = PORTS[port]
    assert sum(value.numel() for value in state.values()) == parameters
    tensors, options = translate_layout("magnet", state)
    network = MagNet(MagnetConfig(**options)).double()
    network.load_state_dict(tensors)
    a, b = torch.rand(2, 1, 3, 16, 24, dtype=torch.float64)
    current = network.encode(b)
    motion = network.motion(network.encode(a), current)
    out = network.render(current, motion, torch.tensor([7.0], dtype=torch.float64))
    expected = run(state, a, b, 7.0)
    assert expected.std() > 1e-3
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("port", PORTS)
def test_their_files_load(tmp_path: Path, port: str) -> None:
    state, run, _ = PORTS[port]
    path = tmp_path / "epoch.tar"
    torch.save({"model_state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    network = load_magnifier("magnet", path)
    a, b = torch.rand(2, 1, 3, 16, 16)
    current = network.encode(b)
    motion = network.motion(network.encode(a), current)
    out = network.render(current, motion, torch.tensor([3.0]))
    single = {key: value.float() for key, value in state.items()}
    torch.testing.assert_close(out, run(single, a, b, 3.0), rtol=1e-3, atol=1e-3)


def test_no_motion_stays_none_at_any_factor() -> None:
    state = PORTS["own names"][0]
    network = MagNet(MagnetConfig()).double()
    network.load_state_dict(state)
    frames = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    current = network.encode(frames)
    still = network.motion(current, current)
    one, many = (
        network.render(current, still, torch.tensor([f], dtype=torch.float64)) for f in (1.0, 99.0)
    )
    torch.testing.assert_close(one, many)


def test_marks_are_of_one_layout_each() -> None:
    states = [PORTS["cgst"][0], PORTS["postech"][0], PORTS["own names"][0]]
    for layout in LAYOUTS:
        assert [layout.mark in state for state in states].count(True) == 1


def test_other_magnifiers_keep_their_keys() -> None:
    state = PORTS["cgst"][0]
    assert translate_layout("magnet-fast", state) == (state, {})
