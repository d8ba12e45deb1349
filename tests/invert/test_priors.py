"""The formulas of what pictures look like, against NumPy in double precision."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from magkit.invert import priors
from magkit.invert.objective import PRIORS

Array = NDArray[np.float64]
MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]
STD = np.array([0.229, 0.224, 0.225])[:, None, None]


def pictures(count: int, seed: int = 0) -> Array:
    drawn: Array = np.random.default_rng(seed).normal(0.3, 2.0, (count, 3, 7, 9))
    return drawn


def neighbours(picture: Array) -> list[Array]:
    """To the right, below, lower right, lower left, each pair of pixels once."""
    height, width = picture.shape[1:]
    found = []
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        pairs = [
            picture[:, y + down, x + across] - picture[:, y, x]
            for y in range(height - down)
            for x in range(max(0, -across), width - max(0, across))
        ]
        found.append(np.array(pairs))
    return found


def tv_l1(x: Array) -> float:
    return float(np.mean([sum(np.abs(d).mean() for d in neighbours(p)) for p in x]))


def tv_l2(x: Array) -> float:
    return float(np.mean([sum(np.sqrt((d**2).sum()) for d in neighbours(p)) for p in x]))


def l2_norm(x: Array) -> float:
    return float(np.mean([np.linalg.norm(p.ravel()) for p in x]))


def beyond(x: Array) -> float:
    values = x * STD + MEAN
    outside = np.maximum(-values, 0) + np.maximum(values - 1, 0)
    return float(((outside / STD) ** 2).mean())


def colour(x: Array) -> float:
    means, spreads = x.mean((2, 3)), np.sqrt(x.var((2, 3)) + 1e-6)
    return float((means**2 + (spreads - 1) ** 2).mean())


FORMULAS: dict[str, Callable[[Array], float]] = {
    "var_l1": tv_l1,
    "var_l2": tv_l2,
    "l2_norm": l2_norm,
    "range_penalty": beyond,
    "colour": colour,
}


def test_every_prior_of_the_objective_is_tested() -> None:
    assert FORMULAS.keys() == PRIORS.keys()


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("count", [1, 3])
def test_the_formula(name: str, count: int) -> None:
    x = pictures(count)
    assert PRIORS[name](torch.tensor(x)).item() == pytest.approx(FORMULAS[name](x), rel=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_gradient(name: str) -> None:
    x = torch.tensor(pictures(2), requires_grad=True)
    assert torch.autograd.gradcheck(PRIORS[name], x, fast_mode=True)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("value", [0.0, 1.0, -30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_pictures_have_a_gradient(name: str, value: float, dtype: torch.dtype) -> None:
    x = torch.full((2, 3, 8, 8), value, dtype=dtype, requires_grad=True)
    loss: Tensor = PRIORS[name](x)
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    if name in ("var_l1", "var_l2"):
        assert loss.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_mirrored_pictures_are_as_likely(name: str) -> None:
    x = torch.tensor(pictures(2))
    assert PRIORS[name](x.flip(3)).item() == pytest.approx(PRIORS[name](x).item(), rel=1e-12)


def test_normalised_pictures() -> None:
    x = np.random.default_rng(1).random((2, 3, 4, 5))
    found = priors.normalize(torch.tensor(x))
    np.testing.assert_allclose(found, (x - MEAN) / STD, rtol=1e-12, atol=1e-15)


def test_what_pictures_have_is_not_beyond() -> None:
    x = priors.normalize(torch.rand(2, 3, 8, 8))
    assert priors.range_penalty(x) == 0
    x[1, 2, 3, 4] = (1.5 - 0.406) / 0.225
    assert priors.range_penalty(x) == pytest.approx((0.5 / 0.225) ** 2 / x.numel(), rel=1e-5)
