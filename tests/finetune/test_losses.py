"""The losses against the same formulas, written out in NumPy at double precision."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from magkit.magnify.fast import (
    GUESS_WEIGHT,
    MOTION_WEIGHT,
    STRUCTURE_WEIGHT,
    MagnetFast,
    fast_losses,
)
from magkit.magnify.fast_spec import FastConfig
from magkit.magnify.magnet import MagNet, magnet_losses
from magkit.magnify.magnet_spec import MagnetConfig
from magkit.synth.build import build_sources
from magkit.synth.scene import SceneConfig
from magkit.synth.stream import SceneBatches
from magkit.synth.triplets import Triplets

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def batch() -> Triplets:
    config = SceneConfig(size=64, objects=(2, 4), kinds=("normal",))
    return SceneBatches(config, build_sources([], None, None, 4), seed=1, batch=2, steps=1)[0]


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def l1(x: Array, y: Array) -> float:
    return float(np.abs(x - y).mean())


def test_magnet_losses_are_the_papers(batch: Triplets) -> None:
    """Oh et al., section 3.3: L1(Y, M) + 0.1 (L1(Va, Vc) + L1(Vb, Vm) + L1(Mb, Mc)) in [-1, 1]."""
    torch.manual_seed(0)
    model = MagNet(MagnetConfig())
    terms = magnet_losses(model, batch)
    texture, shape = {}, {}
    for name in "abcm":
        seen = model.encoder(getattr(batch, name) * 2 - 1)
        texture[name], shape[name] = array(seen.texture), array(seen.shape)
    a, b = model.encode(batch.a), model.encode(batch.b)
    made = array(model.render(b, model.motion(a, b), batch.factor)) * 2 - 1
    expected = {
        "image": l1(made, array(batch.m) * 2 - 1),
        "texture_ac": 0.1 * l1(texture["a"], texture["c"]),
        "texture_bm": 0.1 * l1(texture["b"], texture["m"]),
        "shape_bc": 0.1 * l1(shape["b"], shape["c"]),
    }
    assert {key: term.item() for key, term in terms.items()} == pytest.approx(expected, rel=1e-4)


def test_fast_losses_are_what_their_docstring_says(batch: Triplets) -> None:
    torch.manual_seed(0)
    model = MagnetFast(FastConfig(stem=8, width=8, guide=8, hidden=8))
    terms = fast_losses(model, batch)
    a, b = model.encode(batch.a), model.encode(batch.b)
    motion, guess, *_ = model.measure(a, b)
    made, truth = array(model.render(b, motion, batch.factor)), array(batch.m)
    cells = array(batch.motion).reshape(2, 2, 16, 4, 16, 4).mean((3, 5))

    def error(found: torch.Tensor, unit: float) -> float:
        return l1(np.arcsinh(array(found) / unit), np.arcsinh(cells / unit))

    expected = {
        "image": float((np.abs(made - truth) * (1 + 2 * array(batch.moving))).mean()),
        "structure": STRUCTURE_WEIGHT * (1 - ssim(made, truth)),
        "motion": MOTION_WEIGHT * error(motion, 0.02),
        "guess": GUESS_WEIGHT * error(guess, 0.3),
    }
    assert {key: term.item() for key, term in terms.items()} == pytest.approx(expected, rel=1e-3)


def ssim(x: Array, y: Array) -> float:
    """Wang et al. 2004, equation 13, over a frame with mirrored borders."""
    taps = np.exp(-(np.arange(-5.0, 6) ** 2) / (2 * 1.5**2))

    def blur(maps: Array) -> Array:
        for axis in (2, 3):
            maps = correlate1d(maps, taps / taps.sum(), axis=axis, mode="mirror")
        return maps

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    map_ = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(map_.mean())


@pytest.mark.parametrize("name", ["magnet", "magnet-fast"])
def test_every_loss_reaches_the_weights(batch: Triplets, name: str) -> None:
    """What the paper's losses bind is trained by them: no parameter is left without a gradient."""
    torch.manual_seed(0)
    if name == "magnet":
        model: torch.nn.Module = MagNet(MagnetConfig())
        terms = magnet_losses(model, batch)  # type: ignore[arg-type]
    else:
        model = MagnetFast(FastConfig(stem=8, width=8, guide=8, hidden=8))
        terms = fast_losses(model, batch)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
