"""The method `warp`: exact labels against an independent warp, composition, losses, batches."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from magkit.errors import UsageError
from magkit.plugins import registry
from magkit.runtime import distributed
from magkit.selfsup.magnifier_task import WindowBatches, WindowConfig
from magkit.selfsup.pretrain_magnifier import freeze
from magkit.selfsup.warp import Warp, WarpFrames, build, composed, survived
from magkit.selfsup.warp_elements import KINDS, draw_element
from magkit.selfsup.warp_spec import WarpConfig
from magkit.selfsup.warped import GROUP, RealPairs, WarpedBatch, make_batch
from magkit.testing.magnifier_methods import ToyWindows
from magkit.training.config import TrainConfig

SIZE = 64
QUIET = WarpConfig(noise=0.0, read_noise=0.0, coded=0.0)


def windows(count: int = GROUP) -> list[Tensor]:
    return ToyWindows().windows([n % 5 for n in range(count)])


def batch(config: WarpConfig = QUIET, count: int = GROUP, first: int = 0) -> WarpedBatch:
    return make_batch(windows(count), first, config, SIZE, 3)


def warped(frame: Tensor, motion: Tensor) -> np.ndarray:
    """Warp a frame (3, H, W) backwards by a motion (2, H, W), by SciPy's cubic spline."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    places = [y - motion[1].double().numpy(), x - motion[0].double().numpy()]
    return np.stack(
        [ndimage.map_coordinates(c.double().numpy(), places, mode="nearest") for c in frame]
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_motion_is_that_of_an_independent_warp(seed: int) -> None:
    config = replace(QUIET, parts=0.0, amplitude=(1.0, 3.0), clean_amplitude=(1.0, 3.0))
    scenes = make_batch(windows(), GROUP * seed, config, SIZE, 5).scenes
    inside = (slice(None), slice(8, -8), slice(8, -8))  # frames end where windows go on
    for n in (1, 2):
        error = scenes.b[n].numpy() - warped(scenes.a[n], scenes.motion[n])
        unmoved = (scenes.b[n] - scenes.a[n]).numpy()
        assert np.abs(error[inside]).mean() < 0.006
        assert np.abs(unmoved[inside]).mean() > 3 * np.abs(error[inside]).mean()


def test_the_magnified_frame_moves_as_much_further() -> None:
    """A rigid shift: M is the frame shifted by the factor times as much."""
    config = replace(QUIET, parts=0.0, amplitude=(0.5, 0.5), factors=(4.0, 4.0))
    for first in range(0, 40 * GROUP, GROUP):
        scenes = make_batch(windows(), first, config, SIZE, 5).scenes
        motion = scenes.motion[1]
        if motion.flatten(1).std(1).max() < 1e-6:
            break
    expected = warped(scenes.a[1], scenes.factor[1] * motion)
    error = np.abs(scenes.m[1].numpy() - expected)[:, 8:-8, 8:-8]
    assert error.mean() < 0.006


def test_a_still_frame_does_not_move() -> None:
    scenes = batch().scenes
    assert not scenes.motion[0].any()
    assert not scenes.moving[0].any()
    torch.testing.assert_close(scenes.a[0], scenes.b[0], rtol=0, atol=1 / 255)
    torch.testing.assert_close(scenes.m[0], scenes.b[0], rtol=0, atol=1 / 255)


def test_only_shapes_move_where_a_part_does() -> None:
    scenes = batch(replace(QUIET, parts=1.0, amplitude=(2.0, 2.0))).scenes
    moved = scenes.motion[1].norm(dim=0) > 0
    assert 0.01 < moved.float().mean() < 0.95
    assert bool((scenes.moving[1, 0][moved] > 0.5).all())
    still = scenes.moving[1, 0] == 0
    torch.testing.assert_close(
        scenes.b[1][:, still], scenes.a[1][:, still], rtol=0, atol=1.01 / 255
    )


def test_a_batch_does_not_depend_on_how_it_is_split() -> None:
    config = WarpConfig()
    whole = batch(config, 2 * GROUP)
    halves = [make_batch(windows(2 * GROUP)[n : n + GROUP], n, config, SIZE, 3) for n in (0, GROUP)]
    for name in ("a", "b", "m", "motion", "factor"):
        parts = torch.cat([getattr(half.scenes, name) for half in halves])
        assert torch.equal(getattr(whole.scenes, name), parts)
    assert whole.pairs is not None
    assert torch.equal(whole.pairs.b, torch.cat([half.pairs.b for half in halves if half.pairs]))


def test_coding_changes_frames_but_not_labels() -> None:
    plain, coded = batch(), batch(replace(QUIET, coded=1.0))
    assert coded.coded.tolist() == [True, True, False]
    assert torch.equal(plain.scenes.motion, coded.scenes.motion)
    assert not torch.equal(plain.scenes.b[1], coded.scenes.b[1])
    assert torch.equal(plain.scenes.b[2], coded.scenes.b[2])


def test_pictures_have_no_clips() -> None:
    pictures = ToyWindows().windows([5] * GROUP)
    made = make_batch(pictures, 0, QUIET, SIZE, 3)
    assert made.pairs is None
    assert len(made.scenes.factor) == GROUP


def test_windows_smaller_than_a_frame_are_padded() -> None:
    small = [torch.full((2, 3, 40, 50), 7, dtype=torch.uint8)] * GROUP
    assert make_batch(small, 0, QUIET, SIZE, 3).scenes.a.shape[-2:] == (SIZE, SIZE)


class Shift:
    """A teacher that measures one shift, and the opposite one back."""

    cell = 4

    def __init__(self, shift: tuple[float, float], back: float = -1.0) -> None:
        self._shift, self._back = torch.tensor(shift).view(1, 2, 1, 1), back

    def encode(self, frames: Tensor) -> Tensor:
        return frames

    def displacement(self, reference: Tensor, current: Tensor) -> Tensor:
        sign = 1.0 if float(reference.mean()) < float(current.mean()) else self._back
        return (sign * self._shift).expand(len(reference), 2, SIZE // 4, SIZE // 4)


@pytest.mark.parametrize(("back", "certain"), [(-1.0, 1.0), (0.5, 0.0)])
def test_the_motion_of_a_clip_is_composed(back: float, certain: float) -> None:
    dark, light = torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, 3, SIZE, SIZE)
    warp = torch.tensor([0.5, 1.0]).view(1, 2, 1, 1).expand(1, 2, SIZE, SIZE)
    pairs = RealPairs(a=dark, b=light, clean_a=dark, clean_b=light, warp=warp)
    teacher: Any = Shift((2.0, -1.0), back)
    motion, weight = composed(teacher, pairs)
    torch.testing.assert_close(motion[0, :, 8, 8], torch.tensor([2.5, 0.0]))
    assert set(weight.flatten().tolist()) == {certain}


def test_a_motion_that_coding_removed_is_no_label() -> None:
    scenes = batch(replace(QUIET, parts=0.0, amplitude=(1.0, 1.0))).scenes
    a, b, motion = (each[1:2] for each in (scenes.a, scenes.b, scenes.motion))
    moved = motion.norm(dim=1, keepdim=True)[:, :, 2::4, 2::4] > 0.3
    assert survived(a, b, motion)[moved].mean() > 0.8
    assert survived(a, a, motion)[moved].mean() < 0.2


def magnifier() -> Any:
    spec = registry().magnifier("magnet-fast")
    torch.manual_seed(0)
    return spec.build(spec.config(stem=8, width=8, guide=8, hidden=8))


def test_losses_are_smaller_of_the_true_motion() -> None:
    """Of a network that knows the motion, or half of it."""
    made = batch(replace(QUIET, amplitude=(1.0, 2.0), image=0.0))
    truth = torch.nn.functional.avg_pool2d(made.scenes.motion, 4)

    def loss(share: float) -> float:
        model: Any = SimpleNamespace(
            cell=4,
            encode=lambda frames: frames,
            displacement=lambda *_: share * truth,
            motion=lambda *_: share * truth[:1],
        )
        only = WarpedBatch(scenes=made.scenes, coded=made.coded, pairs=None)
        terms = Warp(replace(QUIET, image=0.0)).losses(model, model, only)
        return float(sum(terms.values()))

    assert loss(1.0) < 1e-3
    assert loss(0.5) > 10 * loss(1.0)


def test_still_frames_cost_what_they_show() -> None:
    """The closed form for a motion of one length everywhere."""
    length = 0.3
    shown = torch.zeros(1, 2, 16, 16)
    shown[:, 0] = length
    model: Any = SimpleNamespace(encode=lambda frames: frames, motion=lambda *_: shown)
    found = Warp(WarpConfig(still=2.0))._still(model, shown, shown)
    wanted = 0.06 * np.arcsinh(length / 0.02) / 2 + 2 * length
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_frozen_parameters_have_no_gradient() -> None:
    model = magnifier()
    freeze(model, ("encoder.*", "renderer.*"))
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"measure"}


@pytest.mark.parametrize(("patterns", "problem"), [(("x*",), "fits"), (("*",), "all parameters")])
def test_patterns_that_leave_nothing(patterns: Sequence[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        freeze(magnifier(), patterns)


def test_magnet_is_trained_by_its_own_losses() -> None:
    spec = registry().magnifier("magnet")
    method = build(WarpConfig(), spec)
    assert isinstance(method, WarpFrames)
    torch.manual_seed(0)
    network: Any = spec.build(spec.config())
    terms = method.losses(network, None, batch())
    assert all(torch.isfinite(term) for term in terms.values())


def test_processes_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    train = TrainConfig(steps=3, accumulate=1)

    def parts(rank: int, world: int) -> list[WarpedBatch]:
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "world_size", lambda: world)
        config = WindowConfig(batch=2 * GROUP, size=SIZE)
        return WindowBatches(ToyWindows(), Warp(QUIET), config, train)[2]

    (whole,) = parts(0, 1)
    shares = [parts(rank, 2)[0] for rank in range(2)]
    assert torch.equal(whole.scenes.b, torch.cat([share.scenes.b for share in shares]))


@pytest.mark.parametrize("kind", KINDS)
def test_an_element_is_a_function_of_its_draws(kind: Any) -> None:
    window = windows()[0]
    once, again = (
        draw_element(kind, window, 6, WarpConfig(), SIZE, np.random.default_rng(4))
        for _ in range(2)
    )
    assert torch.equal(once.stream(), again.stream())
    assert once.path == again.path
    assert pickle.dumps(once.field) == pickle.dumps(again.field)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amplitude": (0.0, 1.0)},
        {"clean_amplitude": (2.0, 1.0)},
        {"factors": (1.0, 2.0)},
        {"coded": 1.5},
        {"still": -1.0},
    ],
)
def test_values_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WarpConfig(**wrong)
