"""Still cells are copied, and only what is around moving ones is computed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from magkit.magnify import renderer
from magkit.magnify.fast import MagnetFast
from magkit.magnify.fast_encoder import Features
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.pipeline import to_frame, to_tensor
from magkit.magnify.renderer import Flow

HEIGHT, WIDTH = 128, 192  # pixels: 32 x 48 cells


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


DENSE = (0.0, 1.0)  # all cells are painted, or those moving alone
SPOT = (slice(13, 14), slice(20, 21))
CORNERS = ((slice(0, 2), slice(0, 1)), (slice(30, 32), slice(46, 48)), (slice(0, 1), slice(40, 43)))
EDGE = (slice(0, 32), slice(44, 48))


@pytest.mark.parametrize("boxes", [(SPOT,), CORNERS, (EDGE,), (SPOT, *CORNERS, EDGE)])
def test_parts_show_what_rendering_all_shows(
    network: MagnetFast, boxes: tuple[tuple[slice, slice], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    current, shift = features(network), field(*boxes)
    flow = network.renderer.arrival(current, shift)
    pixels = network.renderer.moving(flow).repeat_interleave(4, 1).repeat_interleave(4, 2)
    whole = torch.where(pixels[:, None], network.renderer.render_all(current, flow), current.frames)
    for share in DENSE:
        monkeypatch.setattr(renderer, "DENSE", share)
        torch.testing.assert_close(network.renderer(current, shift), whole, atol=1e-4, rtol=0)
    assert (whole - current.frames).abs().max() > 0.1


def test_the_networks_see_the_rectangle_around_what_moves(network: MagnetFast) -> None:
    seen: list[torch.Size] = []

    def note(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        seen.append(inputs[0].shape[2:])

    current, shift = features(network), field((slice(4, 5), slice(20, 21)))
    rows, columns = network.renderer.moving(network.renderer.arrival(current, shift))[0].nonzero().T
    with network.renderer.enter.register_forward_pre_hook(note):
        network.renderer(current, shift)
    # Multiples of 8 cells, and never beyond the frame.
    bottom = (int(rows.max()) + renderer.REACH) // 8 * 8 + 8
    left, right = int(columns.min()) - renderer.REACH, int(columns.max()) + renderer.REACH
    assert seen == [(bottom, (right // 8 - left // 8 + 1) * 8)]
    assert bottom < 32


@given(st.data())
def test_a_rectangle_holds_what_is_true_and_the_margin(data: st.DataObject) -> None:
    cells = st.tuples(st.integers(0, 31), st.integers(0, 47))
    chosen = data.draw(st.lists(cells, min_size=1, max_size=4))
    mask, around = torch.zeros(1, 32, 48, dtype=torch.bool), torch.zeros(32, 48, dtype=torch.bool)
    for y, x in chosen:
        mask[0, y, x] = True
        around[max(y - 5, 0) : y + 6, max(x - 5, 0) : x + 6] = True
    _, rows, columns = renderer.bounding_box(mask, 5)
    around[rows, columns] = False
    assert not around.any()
    assert 0 <= rows.start % 8 == rows.stop % 8 == columns.start % 8 == columns.stop % 8 == 0
    assert rows.stop <= 32
    assert columns.stop <= 48


@pytest.mark.parametrize("most", [255, 65535])
@pytest.mark.parametrize("share", DENSE)
def test_still_cells_are_the_input_to_the_bit(
    network: MagnetFast, most: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "DENSE", share)
    kind: type[np.unsignedinteger[Any]] = np.uint8 if most == 255 else np.uint16
    pixels = np.random.default_rng(0).integers(0, most + 1, (HEIGHT, WIDTH, 3))
    frame: NDArray[np.unsignedinteger[Any]] = pixels.astype(kind)
    current = network.encode(to_tensor(frame, network.stride))
    flow = network.renderer.arrival(current, field(EDGE))
    made = network.renderer(current, field(EDGE))
    shown = to_frame(made, frame.shape[:2], deep=most > 255)
    moving = network.renderer.moving(flow)[0].numpy().repeat(4, 0).repeat(4, 1)
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
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:3, :3] = expected[6:, 6:] = True
    assert torch.equal(moving[0], expected)


def test_training_renders_still_cells_too() -> None:
    torch.manual_seed(0)
    network = MagnetFast(FastConfig(stem=8, width=8, guide=8, hidden=8)).train()
    current = features(network)
    made = network.renderer(current, field())
    assert not torch.equal(made, current.frames)
    assert made.requires_grad
