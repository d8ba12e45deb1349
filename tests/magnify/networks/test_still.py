"""Still cells are copied, and only the tiles around moving ones are computed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from magkit.magnify import renderer
from magkit.magnify.fast import MagnetFast
from magkit.magnify.fast_encoder import Features
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.pipeline import to_frame, to_tensor
from magkit.magnify.renderer import Flow
from magkit.magnify.sparse import TILE, Tiles

HEIGHT, WIDTH = 128, 192  # pixels: 32 x 48 cells, 4 x 6 tiles


@pytest.fixture(scope="module")
def network() -> MagnetFast:
    """Weights are random everywhere, or new colours and weights of neighbours would be uniform."""
    torch.manual_seed(0)
    network = MagnetFast(FastConfig(stem=8, width=8, guide=8, hidden=16)).eval()
    torch.nn.init.normal_(network.renderer.leave.weight, 0, 0.3)
    return network.requires_grad_(requires_grad=False)


def features(network: MagnetFast, n: int = 1) -> Features:
    frames = torch.rand(n, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    return network.encode(frames)


def field(*boxes: tuple[slice, slice], n: int = 1) -> torch.Tensor:
    """Displacements of about a pixel inside boxes of cells, none elsewhere."""
    field = torch.zeros(n, 2, HEIGHT // 4, WIDTH // 4)
    for y, x in boxes:
        part = field[:, :, y, x]
        part += 1 + 3 * torch.rand(part.shape, generator=torch.Generator().manual_seed(2))
    return field


SPOT = (slice(13, 14), slice(20, 21))
CORNERS = ((slice(0, 2), slice(0, 1)), (slice(30, 32), slice(46, 48)), (slice(0, 1), slice(40, 43)))
EDGE = (slice(0, 32), slice(44, 48))


@pytest.mark.parametrize("boxes", [(SPOT,), CORNERS, (EDGE,), (SPOT, *CORNERS, EDGE)])
def test_parts_show_what_rendering_all_shows(
    network: MagnetFast, boxes: tuple[tuple[slice, slice], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    current, shift = features(network), field(*boxes)
    flow = network.renderer.arrival(current, shift)
    pixels = F.interpolate(network.renderer.moving(flow), scale_factor=4).bool()
    whole = torch.where(pixels, network.renderer.render_all(current, flow), current.frames)
    for speed in (0.0, 100.0):  # a rectangle, and tiles
        monkeypatch.setattr(renderer, "TILE_SPEED", speed)
        torch.testing.assert_close(network.renderer(current, shift), whole, atol=1e-4, rtol=0)
    assert (whole - current.frames).abs().max() > 0.1


def test_tiles_are_left_out(network: MagnetFast) -> None:
    renderer = network.renderer
    tiles = Tiles(renderer.moving(renderer.arrival(features(network), field(SPOT))), (3, 0))
    assert tiles.sizes[1] < tiles.sizes[0] < 24


@pytest.mark.parametrize("most", [255, 65535])
@pytest.mark.parametrize("speed", [0.0, 100.0])
def test_still_cells_are_the_input_to_the_bit(
    network: MagnetFast, most: int, speed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "TILE_SPEED", speed)
    kind: type[np.unsignedinteger[Any]] = np.uint8 if most == 255 else np.uint16
    pixels = np.random.default_rng(0).integers(0, most + 1, (HEIGHT, WIDTH, 3))
    frame: NDArray[np.unsignedinteger[Any]] = pixels.astype(kind)
    current = network.encode(to_tensor(frame, network.stride))
    flow = network.renderer.arrival(current, field(EDGE))
    made = network.renderer(current, field(EDGE))
    shown = to_frame(made, frame.shape[:2], deep=most > 255)
    moving = network.renderer.moving(flow)[0, 0].bool().numpy().repeat(4, 0).repeat(4, 1)
    assert 0 < moving.mean() < 0.3
    np.testing.assert_array_equal(shown[~moving], frame[~moving])
    assert (shown[moving] != frame[moving]).any(1).mean() > 0.9


@pytest.mark.parametrize("shift", [0.0, 0.0199])
def test_a_still_frame_is_the_input(network: MagnetFast, shift: float) -> None:
    current = features(network, 2)
    one = replace(current, frames=current.frames[:1], texture=current.texture[:1])
    for each in (current, one):
        shifts = torch.zeros(len(each.frames), 2, HEIGHT // 4, WIDTH // 4)
        shifts[:, 0] = shift
        assert torch.equal(network.renderer(each, shifts), each.frames)


def test_cells_beside_what_moves_or_arrives_are_not_still(network: MagnetFast) -> None:
    cells, arrived = torch.zeros(2, 1, 2, 8, 8)
    cells[0, :, 1, 1] = torch.tensor([0.004, 0.0031])  # of 4 pixels: just above a fiftieth of one
    cells[0, :, 1, 6] = torch.tensor([0.003, 0.003])  # just below
    arrived[0, 0, 7, 7] = -0.0051
    moving = network.renderer.moving(Flow(cells, arrived, cells))
    expected = torch.zeros(8, 8)
    expected[:3, :3] = expected[6:, 6:] = 1
    assert torch.equal(moving[0, 0], expected)


def test_training_renders_still_cells_too() -> None:
    torch.manual_seed(0)
    network = MagnetFast(FastConfig(stem=8, width=8, guide=8, hidden=8)).train()
    current = features(network)
    made = network.renderer(current, field())
    assert not torch.equal(made, current.frames)
    assert made.requires_grad


def test_layers_over_tiles_are_layers_over_the_map() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(1, 3, 2 * TILE, 3 * TILE, generator=generator)
    kernels = torch.rand(2, 5, 3, 3, 3, generator=generator)
    mask = torch.zeros(1, 1, 2 * TILE, 3 * TILE)
    mask[..., :3, :5] = 1
    tiles = Tiles(mask, (6, 4, 0))  # the second layer's cells are 4 apart
    hidden = F.conv2d(maps, kernels[0, :3], padding=2, dilation=2)
    exact = F.conv2d(hidden, kernels[1], padding=4, dilation=4)
    stored = F.conv2d(
        tiles.surround(tiles.take(maps, tiles.sizes[0]), tiles.sizes[1], 2),
        kernels[0, :3],
        dilation=2,
    )
    made = F.conv2d(tiles.surround(stored, tiles.sizes[2], 4), kernels[1], dilation=4)
    shown = torch.full_like(exact, torch.nan)
    tiles.put(shown, made)
    torch.testing.assert_close(shown[..., :3, :5], exact[..., :3, :5])
    assert shown.isnan().any()  # other tiles are not written
