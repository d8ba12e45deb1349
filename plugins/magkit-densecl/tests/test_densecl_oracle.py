"""Three steps of the method against NumPy in double precision, from the paper's formulas.

A derivative is the imaginary part of the loss at p + 1e-30 i, over 1e-30, exact to rounding.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from magkit_densecl.method import DenseCL
from magkit_densecl.spec import DenseClConfig
from numpy.typing import NDArray

from magkit import View

Array = NDArray[Any]
Weights = dict[str, Array]
COUNT, CHANNELS, TINY = 3, 4, 1e-30


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def unit(x: Array) -> Array:
    made: Array = x / np.sqrt((x * x).sum(-1, keepdims=True))
    return made


def project(w: Weights, name: str, x: Array) -> Array:
    hidden = x @ w[f"{name}.0.weight"].T + w[f"{name}.0.bias"]
    hidden = hidden * (hidden.real > 0)
    return hidden @ w[f"{name}.2.weight"].T + w[f"{name}.2.bias"]


def places(maps: Array, grid: int) -> Array:
    """Windows from floor(i H / grid) to ceil((i + 1) H / grid), averaged: (N, S, C)."""

    def windows(side: int) -> list[slice]:
        count = min(grid, side)
        edges = [(i * side // count, math.ceil((i + 1) * side / count)) for i in range(count)]
        return [slice(*pair) for pair in edges]

    rows, columns = map(windows, maps.shape[2:])
    return np.stack([maps[:, :, row, column].mean((2, 3)) for row in rows for column in columns], 1)


def contrast(query: Array, key: Array, queue: Array, temperature: float) -> Any:
    own = np.exp(query @ key / temperature)
    return -np.log(own / (own + np.exp(queue @ query / temperature).sum()))


def oracle(w: Weights, first: Array, second: Array, config: DenseClConfig) -> dict[str, Any]:
    """Both terms, and the keys that then go into the queues."""
    temperature, weight = config.temperature, config.dense
    q = unit(project(w, "frames.projector", first.mean((2, 3))))
    k = unit(project(w, "frames.key_projector", second.mean((2, 3))))
    frames = sum(contrast(q[n], k[n], w["frames.vectors"], temperature) for n in range(COUNT))

    f, g = places(first, config.grid), places(second, config.grid)
    r, projected = project(w, "places.projector", f), project(w, "places.key_projector", g)
    dense = 0
    for n in range(COUNT):
        likest = (unit(f[n].real) @ unit(g[n].real).T).argmax(1)
        for s, c in enumerate(likest):
            pair = unit(r[n, s]), unit(projected[n, c])
            dense = dense + contrast(*pair, w["places.vectors"], temperature) / len(likest)
    return {
        "frames": (1 - weight) * frames / COUNT,
        "places": weight * dense / COUNT,
        "frames_keys": k,
        "places_keys": unit(projected.mean(1)),
    }


def weights_of(method: torch.nn.Module) -> Weights:
    return {name: value.detach().numpy().copy() for name, value in method.state_dict().items()}


def derivatives(loss: Any, values: Array) -> Array:
    """Those of a real loss of `values`, one by one."""
    found = np.empty(values.shape)
    for index in np.ndindex(values.shape):
        moved = values.astype(complex)
        moved[index] += 1j * TINY
        found[index] = loss(moved).imag / TINY
    return found


def made(config: DenseClConfig, side: tuple[int, int]) -> tuple[DenseCL, torch.Tensor, list[View]]:
    torch.manual_seed(0)
    maps = torch.randn(2, COUNT, CHANNELS, *side, dtype=torch.double)
    view = View(torch.zeros(COUNT, 3, 8, 8), torch.zeros(COUNT, 4), torch.zeros(COUNT).bool())
    return DenseCL(config, CHANNELS).double(), maps, [view, view]


@pytest.mark.parametrize(
    ("side", "grid", "dense"),
    [((6, 6), 3, 0.5), ((5, 7), 3, 0.3), ((2, 4), 3, 0.5), ((3, 3), 1, 1.0), ((4, 4), 2, 0.0)],
)
def test_both_terms_and_all_gradients(side: tuple[int, int], grid: int, dense: float) -> None:
    config = DenseClConfig(hidden=5, dim=3, queue=4, tau=0.9, grid=grid, dense=dense)
    method, maps, views = made(config, side)
    w, (first, second) = weights_of(method), maps.numpy()
    queries = maps[0].clone().requires_grad_()
    terms = method.loss(views, [queries, queries], [maps[1], maps[1]])
    expected = oracle(w, first, second, config)
    assert set(terms) == {"frames", "places"}
    for name, term in terms.items():
        close(term.item(), expected[name])

    torch.autograd.backward(terms["frames"] + terms["places"])

    def total(maps_: Array, changed: Weights) -> Any:
        found = oracle({**w, **changed}, maps_, second, config)
        return found["frames"] + found["places"]

    assert queries.grad is not None
    close(queries.grad, derivatives(lambda maps_: total(maps_, {}), first))
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            close(parameter.grad, derivatives(lambda p, key=name: total(first, {key: p}), w[name]))


def test_three_steps_fill_the_queues_and_move_the_slow_copies() -> None:
    config = DenseClConfig(hidden=5, dim=3, queue=7, tau=0.9, grid=2)
    method, maps, views = made(config, (4, 4))
    encoder = torch.nn.Conv2d(3, CHANNELS, 1).double()
    keys = torch.nn.Conv2d(3, CHANNELS, 1).double().requires_grad_(False)
    optimizer = torch.optim.SGD([*method.parameters(), *encoder.parameters()], 0.1)
    w, slow = weights_of(method), weights_of(keys)
    written = {"frames": w["frames.vectors"], "places": w["places.vectors"]}
    for step in range(3):
        method.before_keys(encoder, keys, step / 3)
        now, fast = weights_of(method), weights_of(encoder)
        for name, value in w.items():
            if ".key_projector." in name:
                twin = now[name.replace(".key_", ".")]
                w[name] = 0.9 * value + 0.1 * twin
                close(now[name], w[name])
        slow = {name: 0.9 * value + 0.1 * fast[name] for name, value in slow.items()}
        for name, value in slow.items():
            close(weights_of(keys)[name], value)

        shown = maps * (step + 1) + step
        expected = oracle(now, shown[0].numpy(), shown[1].numpy(), config)
        terms = method.loss(views, [shown[0]] * 2, [shown[1]] * 2)
        close(terms["places"].item(), expected["places"])
        optimizer.zero_grad()
        torch.autograd.backward(terms["frames"] + terms["places"])
        optimizer.step()
        method.after_step(encoder, keys, step / 3)
        for part, ring in written.items():
            ring[np.arange(3 * step, 3 * step + 3) % 7] = expected[f"{part}_keys"]
            close(weights_of(method)[f"{part}.vectors"], ring)
    assert int(method.frames.place) == int(method.places.place) == 9 % 7
