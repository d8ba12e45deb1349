"""Losses, gradients and twenty steps of each method against NumPy in double precision.

The reference is written from the papers' formulas with loops and complex numbers: a derivative is
the imaginary part of the loss at p + 1e-30 i, over 1e-30, exact to rounding.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from magkit.protocols import Method, View
from magkit.selfsup.byol import BYOL
from magkit.selfsup.byol_spec import ByolConfig
from magkit.selfsup.moco import MoCo
from magkit.selfsup.moco_spec import MocoConfig
from magkit.selfsup.scrl import SCRL
from magkit.selfsup.scrl_spec import ScrlConfig

Array = NDArray[Any]
Weights = dict[str, Array]
STEPS, BATCH, SIZE, CHANNELS = 20, 4, 12, 4
RATE, INERTIA = 0.05, 0.9
TINY = 1e-30
MOCO = MocoConfig(hidden=5, dim=3, queue=10, temperature=0.2, tau=0.9)
BYOL_ = ByolConfig(hidden=5, dim=3, tau=0.9)
SCRL_ = ScrlConfig(hidden=5, dim=3, tau=0.9, boxes=3, min_size=3, candidates=9, sampling=2)


def close(found: Any, expected: Any) -> None:
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else found
    # Rounding grows over the steps, on some processors to 3e-12 of gradients near .2.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


# The networks and formulas, once more.


def encode(w: Weights, images: Array) -> Array:
    """A convolution of 2 x 2 pixels at stride 2, and a ReLU."""
    n, _, height, width = images.shape
    patches = images.reshape(n, 3, height // 2, 2, width // 2, 2)
    made = np.einsum("nchywx,dcyx->ndhw", patches, w["encoder.0.weight"])
    made = made + w["encoder.0.bias"][:, None, None]
    return relu(made)


def relu(x: Array) -> Array:
    return x * (x.real > 0)


def head(w: Weights, name: str, x: Array) -> Array:
    norm = f"{name}.3.weight" in w
    x = x @ w[f"{name}.0.weight"].T + w.get(f"{name}.0.bias", 0)
    if norm:
        x = (x - x.mean(0)) / np.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-5)
        x = x * w[f"{name}.1.weight"] + w[f"{name}.1.bias"]
    last = f"{name}.3" if norm else f"{name}.2"
    return relu(x) @ w[f"{last}.weight"].T + w.get(f"{last}.bias", 0)


def unit(x: Array) -> Array:
    made: Array = x / np.sqrt((x * x).sum(1, keepdims=True))
    return made


def contrast(q: Array, k: Array, others: Array, temperature: float) -> Any:
    losses = []
    for n in range(len(q)):
        own = np.exp((q[n] * k[n]).sum() / temperature)
        rest = sum(np.exp((q[n] * other).sum() / temperature) for other in others)
        losses.append(-np.log(own / (own + rest)))
    return sum(losses) / len(losses)


def apart(p: Array, z: Array) -> Any:
    """Mean of 2 - 2 cos."""
    return (2 - 2 * (unit(p) * unit(z)).sum(1)).mean()


def gradient(loss: Callable[[Weights], Any], w: Weights) -> Weights:
    made = {name: np.zeros_like(value) for name, value in w.items()}
    for name, value in w.items():
        for place in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[place] += TINY * 1j
            made[name][place] = loss({**w, name: moved}).imag / TINY
    return made


# What is compared.


def encoder() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, CHANNELS, 2, 2), nn.ReLU())


def views(step: int) -> list[View]:
    """Two views, of which the first picture's don't overlap."""
    rng = np.random.default_rng(step)
    made: list[View] = []
    for _ in range(2):
        low = rng.uniform(0, 8, (BATCH, 2))
        high = low + rng.uniform(14, 20, (BATCH, 2))
        low[0], high[0] = (0, 9) if not made else (9, 20)
        made.append(
            View(
                torch.tensor(rng.uniform(size=(BATCH, 3, SIZE, SIZE))),
                torch.tensor(np.concatenate([low, high], 1)),
                torch.tensor(rng.uniform(size=BATCH) < 0.5),
            )
        )
    return made


class Training:
    """One of the methods, with torch, in double precision."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        torch.manual_seed(3)
        self.encoder, self.method = encoder().double(), make().double()
        self.keys = copy.deepcopy(self.encoder).requires_grad_(False)
        trained = [*self.encoder.parameters(), *self.method.parameters()]
        self.optimizer = torch.optim.SGD(trained, RATE, INERTIA)

    @property
    def weights(self) -> Weights:
        """What is trained."""
        named = {f"encoder.{k}": v for k, v in self.encoder.named_parameters()}
        named |= {k: v for k, v in self.method.named_parameters() if v.requires_grad}
        return {k: v.detach().numpy().copy() for k, v in named.items()}

    @property
    def gradients(self) -> Weights:
        named = {f"encoder.{k}": v.grad for k, v in self.encoder.named_parameters()}
        trained = {k: v for k, v in self.method.named_parameters() if v.requires_grad}
        named |= {k: v.grad for k, v in trained.items()}
        return {k: v.numpy().copy() for k, v in named.items() if v is not None}

    def step(self, number: int, pair: Sequence[View]) -> float:
        method: Method = self.method  # type: ignore[assignment]
        method.before_keys(self.encoder, self.keys, number / STEPS)
        queries = [self.encoder(view.images_NCHW) for view in pair]
        keys = [self.keys(view.images_NCHW) for view in pair]
        torch.manual_seed(number)
        term = sum(method.loss(pair, queries, keys).values())
        assert isinstance(term, torch.Tensor)
        self.optimizer.zero_grad()
        torch.autograd.backward(term)
        self.optimizer.step()
        method.after_step(self.encoder, self.keys, number / STEPS)
        return term.item()


def follow(slow: Weights, fast: Weights, tau: float) -> Weights:
    return {name: tau * value + (1 - tau) * fast[name] for name, value in slow.items()}


def tau(start: float, step: int) -> float:
    return 1 - (1 - start) * (math.cos(math.pi * step / STEPS) + 1) / 2


class Reference:
    """The same training, without torch."""

    def __init__(self, start: Weights) -> None:
        self.weights, self.slow = start, {k: v.copy() for k, v in start.items()}
        self.speed = {name: np.zeros_like(value) for name, value in start.items()}

    def step(self, loss: Callable[[Weights], Any]) -> Weights:
        made = gradient(loss, self.weights)
        for name in self.weights:
            self.speed[name] = INERTIA * self.speed[name] + made[name]
            self.weights[name] = self.weights[name] - RATE * self.speed[name]
        return made


def pooled(w: Weights, view: View) -> Array:
    made: Array = encode(w, view.images_NCHW.numpy()).mean((2, 3))
    return made


def same(training: Training, reference: Reference, slow: str) -> None:
    """Both networks' weights, and those that follow them."""
    for name, value in training.weights.items():
        close(value, reference.weights[name])
    for name, parameter in training.keys.named_parameters():
        close(parameter, reference.slow[f"encoder.{name}"])
    for name, parameter in getattr(training.method, slow).named_parameters():
        close(parameter, reference.slow[f"projector.{name}"])


def step(
    training: Training, reference: Reference, loss: Callable[[Weights], Any], number: int
) -> None:
    """Do a step of both: the same loss, the same gradients."""
    expected, made = loss(reference.weights), reference.step(loss)
    close(training.step(number, views(number)), expected)
    for name, value in training.gradients.items():
        close(value, made[name])


def test_moco() -> None:
    training = Training(lambda: MoCo(MOCO, CHANNELS))
    method = training.method
    assert isinstance(method, MoCo)
    reference = Reference(training.weights)
    queue, place = method.queue.vectors.numpy().copy(), 0
    for number in range(STEPS):
        first, second = views(number)
        reference.slow = follow(reference.slow, reference.weights, MOCO.tau)
        key = unit(head(reference.slow, "projector", pooled(reference.slow, second)))

        def loss(w: Weights, k: Array = key, view: View = first) -> Any:
            q = unit(head(w, "projector", pooled(w, view)))
            return contrast(q, k, queue, MOCO.temperature)

        step(training, reference, loss, number)
        for row in key:
            queue[place] = row
            place = (place + 1) % MOCO.queue
    same(training, reference, "key_projector")
    close(method.queue.vectors, queue)
    assert method.queue.place == STEPS * BATCH % MOCO.queue
    assert method.queue.filled == MOCO.queue


Features = Callable[[Weights, int], Array]
"""What one view of a step is projected from, (M, CHANNELS), by weights and the view's number."""


def regress(training: Training, features: Callable[[int], Features], start: float) -> None:
    """Let the reference do the steps of BYOL, on whatever features, and compare."""
    reference = Reference(training.weights)
    for number in range(STEPS):
        seen = features(number)
        z = [head(reference.slow, "projector", seen(reference.slow, v)) for v in range(2)]

        def loss(w: Weights, z: list[Array] = z, seen: Features = seen) -> Any:
            p = [head(w, "predictor", head(w, "projector", seen(w, v))) for v in range(2)]
            return apart(p[0], z[1]) + apart(p[1], z[0])

        step(training, reference, loss, number)
        reference.slow = follow(reference.slow, reference.weights, tau(start, number))
    same(training, reference, "target_projector")


def test_byol() -> None:
    def features(number: int) -> Features:
        pair = views(number)
        return lambda w, v: pooled(w, pair[v])

    regress(Training(lambda: BYOL(BYOL_, CHANNELS)), features, BYOL_.tau)


# SCRL: boxes drawn one after the other, features read place by place.


def drawn(extent: Array, draws: Array, config: ScrlConfig) -> list[tuple[Array, Array]]:
    """Boxes of one rectangle, with two loops: corners low and high."""
    kept: list[tuple[Array, Array]] = []
    refused: list[tuple[Array, Array]] = []
    for draw in draws:
        low, high = np.zeros(2), np.zeros(2)
        for axis in range(2):
            count, which, long, where = draw[axis]
            cells = 1 + int(count * int(extent[axis] / config.min_size))
            cell = extent[axis] / cells
            side = config.min_size + long * (cell - config.min_size)
            low[axis] = int(which * cells) * cell + where * (cell - side)
            high[axis] = low[axis] + side
        fits = all(iou(low, high, *other) <= config.max_iou for other in kept)
        (kept if fits else refused).append((low, high))
    return [*kept, *refused][: config.boxes]


def iou(low: Array, high: Array, other_low: Array, other_high: Array) -> float:
    shared = np.prod(np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0))
    return float(shared / (np.prod(high - low) + np.prod(other_high - other_low) - shared))


def reading(low: float, high: float, cells: int, places: int) -> Array:
    """How much of each cell goes into the mean over a side of a box, in cells."""
    taken = np.zeros(cells)
    for number in range(places):
        where = low + (number + 0.5) * (high - low) / places - 0.5
        where = min(max(where, 0), cells - 1)
        left = min(int(where), cells - 2)
        taken[left] += (left + 1 - where) / places
        taken[left + 1] += (where - left) / places
    return taken


def readings(pair: Sequence[View], number: int, config: ScrlConfig) -> tuple[list[int], Any]:
    """Pictures of the boxes, and for both views how much of each cell (M, h, w) they take."""
    torch.manual_seed(number)
    draws = torch.rand(BATCH, config.candidates, 2, 4).double().numpy()
    image: list[int] = []
    found: tuple[list[Array], list[Array]] = [], []
    for n in range(BATCH):
        edges = [view.boxes_N4[n].numpy().reshape(2, 2) for view in pair]
        low = np.maximum(edges[0][0], edges[1][0])
        high = np.minimum(edges[0][1], edges[1][1])
        least_scale = np.minimum(*(SIZE / (e[1] - e[0]) for e in edges))
        if ((high - low) * least_scale <= config.min_size).any():
            continue
        for box in drawn((high - low) * least_scale, draws[n], config):
            image.append(n)
            for made, view, e in zip(found, pair, edges, strict=True):
                scale = SIZE / (e[1] - e[0])
                x, y = np.stack([(low + c / least_scale - e[0]) * scale for c in box]).T
                x = SIZE - x[::-1] if view.flipped_N[n] else x
                sides = [reading(a / 2, b / 2, SIZE // 2, config.sampling) for a, b in (x, y)]
                made.append(np.outer(sides[1], sides[0]))
    return image, [np.array(part) for part in found]


def test_scrl() -> None:
    def features(number: int) -> Features:
        pair = views(number)
        image, taken = readings(pair, number, SCRL_)
        assert 0 not in image
        assert len(image) > SCRL_.boxes
        images = [view.images_NCHW.numpy() for view in pair]
        return lambda w, v: np.einsum("mchw,mhw->mc", encode(w, images[v])[image], taken[v])

    regress(Training(lambda: SCRL(SCRL_, CHANNELS)), features, SCRL_.tau)
