"""Places, pairs, propagation, loss and gradients against NumPy's float64, loop by loop."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from magkit_pixpro.consistency import disagreement, propagated
from magkit_pixpro.method import PixPro
from magkit_pixpro.places import grid_means, places, same_place
from magkit_pixpro.spec import PixProConfig
from numpy.typing import NDArray
from torch import Tensor

from magkit import MapInfo, View

Array = NDArray[np.float64]

HIGH, WIDE, STRIDE = 5, 8, 4  # a map's cells and their pixels
MAPS = MapInfo(channels=3, stride=STRIDE, centre=1.0)
CONFIG = PixProConfig(hidden=6, dim=4, grid=3, threshold=0.8, gamma=2.5)
CROPS = (
    [(3.0, 2.0, 43.0, 30.0), (0.0, 0.0, 20.0, 14.0), (5.0, 9.0, 70.0, 50.0)],
    [(9.0, 5.0, 37.0, 29.0), (90.0, 90.0, 99.0, 95.0), (5.5, 8.0, 66.0, 53.0)],
)
MIRRORED = ([True, False, False], [False, True, True])


def view(which: int) -> View:
    """Crops of three pictures; those of the second share nothing."""
    images = torch.zeros(3, 3, HIGH * STRIDE, WIDE * STRIDE, dtype=torch.double)
    boxes = torch.tensor(CROPS[which], dtype=torch.double)
    return View(images, boxes, torch.tensor(MIRRORED[which]))


def finely(count: int, grid: int) -> NDArray[np.int64]:
    """For each part, the numbers of its equal slices, `grid` of which are a cell."""
    return np.arange(count * grid).reshape(grid, count)


def middle(slices: NDArray[np.int64], grid: int) -> float:
    return float(np.mean([MAPS.centre + STRIDE * ((s + 0.5) / grid - 0.5) for s in slices]))


def means(map_CHW: Array, grid: int) -> Array:
    """Row by row, (L, C)."""
    rows, columns = finely(HIGH, grid), finely(WIDE, grid)
    return np.array(
        [
            np.mean([map_CHW[:, y // grid, x // grid] for y in row for x in column], axis=0)
            for row in rows
            for column in columns
        ]
    )


def middles(which: int, picture: int, grid: int) -> Array:
    left, top, right, bottom = CROPS[which][picture]
    found = []
    for row in finely(HIGH, grid):
        for column in finely(WIDE, grid):
            x, y = middle(column, grid), middle(row, grid)
            x = WIDE * STRIDE - x if MIRRORED[which][picture] else x
            across, down = x / (WIDE * STRIDE), y / (HIGH * STRIDE)
            found.append((left + (right - left) * across, top + (bottom - top) * down))
    return np.array(found)


def pairs(picture: int, grid: int, threshold: float) -> NDArray[np.bool_]:
    diagonals = []
    for crops in CROPS:
        left, top, right, bottom = crops[picture]
        diagonals.append(np.hypot((right - left) / grid, (bottom - top) / grid))
    here, there = (middles(which, picture, grid) for which in (0, 1))
    apart = [[np.hypot(*(i - j)) / max(diagonals) for j in there] for i in here]
    return np.array(apart) < threshold


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def smooth(x: Array, values: Array, gamma: float) -> Array:
    return np.array(
        [
            sum(max(cosine(i, j), 0) ** gamma * value for j, value in zip(x, values, strict=True))
            for i in x
        ]
    )


def way(y: Array, targets: Array, same: NDArray[np.bool_]) -> float:
    found = [2 - 2 * cosine(y[i], targets[j]) for i, j in zip(*np.nonzero(same), strict=True)]
    return float(np.mean(found)) if found else 0.0


@dataclass
class Weights:
    """Of a projector and of g."""

    first: Array
    scale: Array
    shift: Array
    second: Array
    bias: Array

    def project(self, maps: Array, grid: int) -> Array:
        """(N, L, D), normalised over all cells of all pictures."""
        cells = np.array([means(each, grid) for each in maps])
        rows = cells.reshape(-1, cells.shape[-1]) @ self.first.T
        normal = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
        hidden = np.maximum(normal * self.scale + self.shift, 0)
        projected: Array = (hidden @ self.second.T + self.bias).reshape(*cells.shape[:2], -1)
        return projected


def weights(projector: Any) -> Weights:
    first, norm, _, second = projector
    parts = (first.weight, norm.weight, norm.bias, second.weight, second.bias)
    return Weights(*(part.detach().numpy() for part in parts))


def expected(method: PixPro, queries: list[Array], keys: list[Array]) -> float:
    config = method.config
    online, target = weights(method.projector), weights(method.target_projector)
    g, bias = (part.detach().numpy() for part in (method.transform.weight, method.transform.bias))
    x = [online.project(maps, config.grid) for maps in queries]
    aims = [target.project(maps, config.grid) for maps in keys]
    losses = []
    for n in range(len(queries[0])):
        y = [smooth(each[n], each[n] @ g.T + bias, config.gamma) for each in x]
        same = pairs(n, config.grid, config.threshold)
        losses.append(way(y[0], aims[1][n], same) + way(y[1], aims[0][n], same.T))
    return float(np.mean(losses))


@pytest.fixture
def method() -> PixPro:
    torch.manual_seed(0)
    made = PixPro(CONFIG, MAPS).double()
    with torch.no_grad():
        for part in made.state_dict().values():
            if part.is_floating_point():
                part.copy_(torch.rand_like(part) - 0.3)
    return made


@pytest.fixture
def maps() -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(3, 3, HIGH, WIDE, dtype=torch.double) for _ in range(4)]


@pytest.mark.parametrize("grid", [1, 2, 3, 4, 5])
def test_means(maps: list[Tensor], grid: int) -> None:
    found = grid_means(maps[0], grid)
    wanted = np.array([means(each, grid) for each in maps[0].numpy()])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("grid", [1, 2, 3, 5])
@pytest.mark.parametrize("which", [0, 1])
def test_places(grid: int, which: int) -> None:
    found = places(view(which), (HIGH, WIDE), grid, MAPS)
    wanted = np.array([middles(which, n, grid) for n in range(3)])
    np.testing.assert_allclose(found.middles_NL2, wanted, rtol=0, atol=1e-9)


def test_a_grid_has_no_more_cells_than_the_map(maps: list[Tensor]) -> None:
    assert torch.equal(grid_means(maps[0], 99), maps[0].flatten(2).mT)
    assert places(view(0), (HIGH, WIDE), 99, MAPS).middles_NL2.shape == (3, HIGH * WIDE, 2)


@pytest.mark.parametrize("grid", [2, 3, 5])
@pytest.mark.parametrize("threshold", [0.3, 0.7, 2.0])
def test_pairs(grid: int, threshold: float) -> None:
    here, there = (places(view(which), (HIGH, WIDE), grid, MAPS) for which in (0, 1))
    found = same_place(here, there, threshold).numpy()
    for n in range(3):
        assert np.array_equal(found[n], pairs(n, grid, threshold))
    assert found[0].any()
    assert not found[1].any()


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.7])
def test_propagation(gamma: float) -> None:
    torch.manual_seed(2)
    x, values = torch.randn(2, 6, 3).double(), torch.randn(2, 6, 5).double()
    found = propagated(x, values, gamma)
    for n in range(2):
        wanted = smooth(x[n].numpy(), values[n].numpy(), gamma)
        np.testing.assert_allclose(found[n], wanted, rtol=0, atol=1e-9)


def test_disagreement() -> None:
    torch.manual_seed(3)
    y, targets = torch.randn(3, 4, 5).double(), torch.randn(3, 6, 5).double()
    same = torch.rand(3, 4, 6) < 0.4
    same[1] = False
    found = disagreement(y, targets, same)
    wanted = [way(y[n].numpy(), targets[n].numpy(), same[n].numpy()) for n in range(3)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
    assert found[1] == 0


def test_loss_and_its_gradients(method: PixPro, maps: list[Tensor]) -> None:
    """The derivative along a random direction is that of the formula, by differences."""
    views = [view(0), view(1)]
    queries, keys = [each.requires_grad_() for each in maps[:2]], maps[2:]
    loss = method.loss(views, queries, keys)["consistency"]
    trained = [*queries, *method.parameters()]
    gradients = torch.autograd.grad(loss, trained)
    start = [each.detach().clone() for each in trained]
    ways = [torch.randn_like(each) for each in start]

    def formula(step: float) -> float:
        with torch.no_grad():
            for each, from_, to in zip(trained, start, ways, strict=True):
                each.copy_(from_ + step * to)
        return expected(method, [q.detach().numpy() for q in queries], [k.numpy() for k in keys])

    assert loss.item() == pytest.approx(formula(0), abs=1e-9)
    slope = (formula(1e-6) - formula(-1e-6)) / 2e-6
    along = sum(float((g * w).sum()) for g, w in zip(gradients, ways, strict=True))
    assert along == pytest.approx(slope, rel=1e-6)
    assert abs(slope) > 1e-3


def test_gradients_of_the_parts() -> None:
    torch.manual_seed(4)
    x, values = (torch.randn(2, 4, 3).double().requires_grad_() for _ in range(2))
    targets, same = torch.randn(2, 5, 3).double(), torch.rand(2, 4, 5) < 0.5
    assert torch.autograd.gradcheck(lambda a, b: propagated(a, b, 2.0), (x, values))
    assert torch.autograd.gradcheck(lambda a: disagreement(a, targets, same), (x,))
