"""Steps against a re-implementation in double precision, going on in the middle, bad losses."""

import io
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from magkit.invert.affine import TemporalPrior
from magkit.invert.objective import Objective, TargetTerm
from magkit.invert.optimize import (
    OptimResult,
    OptimState,
    Stage,
    augment,
    has_plateaued,
    learning_rate,
    make_stages,
    optimize,
    resize,
    resize_objective,
)
from magkit.invert.priors import MEAN, STD, colour_matrix, normalize
from magkit.invert.settings import InvertSettings, make_settings
from magkit.invert.targets.maskrcnn import MaskRCNNTarget
from magkit.invert.targets.segmenter import PixelLabels
from magkit.protocols import Annotation, Statistic
from magkit.runtime.seeds import generator

H, W = 64, 96
WEIGHTS = {"mask": 1.5, "bn": 0.02, "var_l1": 0.3, "var_l2": 2e-3, "l2_norm": 1e-3}
STAGED = {"size": 64, "iterations": 14, "sizes": (0.5, 1), "shares": (0.7, 0.3)}
DISTURBED = {"jitter": 6, "flip": 0.5, "noise": 0.1, "plateau": 0.05, "window": 3}
TERMS = {"label": 0.5, "bn": 1.0, "bn_form": "scaled"}
ROUGH = {**STAGED, **DISTURBED, **TERMS, "lr": 0.05, "final_lr_ratio": 0.1, "clip": True}


def mask() -> Tensor:
    made = torch.zeros(H, W)
    made[12:44, 20:70] = 1
    made[12:20, 20:30] = 0
    return made


def noise(count: int = 1, size: tuple[int, int] = (H, W)) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def detector(build_detector: Callable[[], MaskRCNNTarget]) -> MaskRCNNTarget:
    return build_detector()


def seen_by(target: MaskRCNNTarget, settings: InvertSettings, count: int = 1) -> Objective:
    labels = target.labels([[Annotation("bear", mask())]] * count)
    return Objective([TargetTerm("t", target, labels, target.statistics())], settings)


def test_twenty_steps_of_the_thesis(
    build_detector: Callable[[], MaskRCNNTarget], straight_terms: Callable[..., dict[str, Tensor]]
) -> None:
    """Adam at 0.1 from its formula, in double precision."""
    target = build_detector()
    model = target.model.double()
    settings = make_settings("thesis", {**WEIGHTS, "iterations": 20})
    objective = seen_by(target, settings)
    labels: Any = objective.goals[0].labels
    double = {"masks_KHW": labels.masks_KHW.double(), "boxes_K4": labels.boxes_K4.double()}
    objective = replace(
        objective, goals=[replace(objective.goals[0], labels=replace(labels, **double))]
    )
    x = noise().double()
    position = OptimState(x.clone())
    found = optimize(position, make_stages(settings, (H, W)), objective, settings, (0,))

    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(1, 21):
        x.requires_grad_()
        terms = straight_terms(model, x, mask(), [20, 12, 70, 44], 1)
        loss = sum(WEIGHTS[name] * term for name, term in terms.items())
        assert isinstance(loss, Tensor)
        (slope,) = torch.autograd.grad(loss, x)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        mean, square = first / (1 - 0.9**step), second / (1 - 0.999**step)
        x = (x - 0.1 * mean / (square.sqrt() + 1e-8)).detach()
    assert (found.steps, found.finite) == (20, True)
    assert (x - noise()).abs().mean() > 0.5
    torch.testing.assert_close(found.x_N3HW, x, rtol=0, atol=1e-7)


def saved(position: OptimState) -> bytes:
    file = io.BytesIO()
    torch.save(asdict(position), file)
    return file.getvalue()


def test_going_on_ends_with_the_same_bytes(detector: MaskRCNNTarget) -> None:
    """From the middle of each stage and from its last step, through a file."""
    settings = make_settings("thesis", ROUGH)
    plan, objective = make_stages(settings, (H, W)), seen_by(detector, settings, 2)
    kept: list[tuple[int, int, bytes]] = []

    def save(position: OptimState) -> None:
        kept.append((position.stage, position.step, saved(position)))

    start = resize(noise(2), plan[0].size)
    whole = optimize(OptimState(start), plan, objective, settings, (7, 3), save)
    steps = [max(step for stage, step, _ in kept if stage == n) for n in range(2)]
    assert whole.steps == len(kept) == sum(steps)
    assert any(done < stage.steps for done, stage in zip(steps, plan, strict=True))  # a plateau
    assert tuple(whole.x_N3HW.shape) == (2, 3, H, W)
    for stage, step, content in kept:
        if step in (steps[stage] // 2, steps[stage]):
            position = OptimState(**torch.load(io.BytesIO(content), weights_only=True))
            again = optimize(position, plan, objective, settings, (7, 3))
            assert again.steps == whole.steps
            assert torch.equal(again.x_N3HW, whole.x_N3HW), (stage, step)


def test_draws_belong_to_a_seed_and_a_key(detector: MaskRCNNTarget) -> None:
    settings = make_settings("thesis", {**ROUGH, "iterations": 3, "plateau": 0})

    def made(seed: int, key: Sequence[int]) -> Tensor:
        chosen = replace(settings, seed=seed)
        plan = [Stage((H, W), 2)]
        return optimize(OptimState(noise()), plan, seen_by(detector, chosen), chosen, key).x_N3HW

    assert torch.equal(made(0, (1,)), made(0, (1,)))
    assert not torch.equal(made(0, (1,)), made(1, (1,)))
    assert not torch.equal(made(0, (1,)), made(0, (2,)))


@dataclass
class Told:
    """A target whose loss is what it is told: a function of the pictures and of how often."""

    loss: Callable[[Tensor, int], Tensor]
    calls: int = 0
    classes: Sequence[str] = ("bear",)
    stride: int = 1

    def losses(self, images_NCHW: Tensor, _: PixelLabels, /) -> dict[str, Tensor]:
        self.calls += 1
        return {"mask": self.loss(images_NCHW, self.calls)}

    def labels(self, _: Any, /) -> PixelLabels:
        return PixelLabels(mask()[None, None], torch.ones(1, 1).long())

    def statistics(self) -> list[Statistic]:
        return []

    def predict(self, _: Tensor, /) -> list[list[Annotation]]:
        return [[]]


PLAIN = make_settings(
    "thesis", {"bn": 0, "var_l2": 0, "l2_norm": 0, "mask": 1, "iterations": 10, "lr": 0.1}
)


def asked(loss: Callable[[Tensor, int], Tensor], settings: InvertSettings) -> Objective:
    target = Told(loss)
    return Objective([TargetTerm("told", target, target.labels(None), [])], settings)


def square(x: Tensor, _: int) -> Tensor:
    return (x - 0.5).square().mean()


def steps_of(
    loss: Callable[[Tensor, int], Tensor], steps: int, **more: Any
) -> tuple[OptimResult, list[OptimState]]:
    settings = replace(PLAIN, **more)
    kept: list[OptimState] = []
    found = optimize(
        OptimState(noise()),
        [Stage((H, W), steps)],
        asked(loss, settings),
        settings,
        (0,),
        lambda position: kept.append(deepcopy(position)),
    )
    return found, kept


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number(bad: float) -> None:
    """Of which the gradient may be one all the same."""
    found, kept = steps_of(lambda x, n: square(x, n) + (bad if n == 5 else 0), 10)
    assert (found.steps, found.finite, len(kept)) == (4, False, 4)
    assert torch.equal(found.x_N3HW, kept[-1].x_N3HW)
    assert found.x_N3HW.isfinite().all()


def test_a_loss_that_is_no_number_from_the_start() -> None:
    found, kept = steps_of(lambda x, _: x.mean() * math.nan, 10)
    assert (found.steps, found.finite, kept) == (0, False, [])
    assert torch.equal(found.x_N3HW, noise())


def test_a_gradient_that_is_no_number() -> None:
    """The slope of a root at 0 is infinite, and its value is not."""
    found, kept = steps_of(lambda x, n: square(x, n) + ((x * 0).sum().sqrt() if n == 5 else 0), 10)
    assert (found.steps, found.finite) == (4, False)
    assert torch.equal(found.x_N3HW, kept[-1].x_N3HW)
    assert found.x_N3HW.isfinite().all()


def test_what_is_saved_after_every_step() -> None:
    found, kept = steps_of(square, 6)
    assert [p.done for p in kept] == [p.step for p in kept] == [1, 2, 3, 4, 5, 6]
    assert [len(p.losses) for p in kept] == [1, 2, 3, 4, 5, 6]
    assert all(later < before for before, later in pairwise(kept[-1].losses))
    assert {p.stage for p in kept} == {0}
    assert torch.equal(kept[-1].x_N3HW, found.x_N3HW)
    assert not torch.equal(kept[0].x_N3HW, kept[1].x_N3HW)


def test_pictures_are_kept_in_their_range() -> None:
    low, high = (normalize(torch.full((1, 3, 1, 1), v)) for v in (0.0, 1.0))
    x = steps_of(square, 1, clip=True)[0].x_N3HW
    assert (x >= low).all()
    assert (x <= high).all()
    assert (x == low).any()
    x = steps_of(square, 1)[0].x_N3HW
    assert (x < low).any()
    assert (x > high).any()


def test_steps_along_the_axes_of_colour() -> None:
    """Adam's first step goes as far along every axis as its rate says, uphill or down."""
    root, std = colour_matrix("photographs", noise()), torch.tensor(STD)[:, None, None]
    slope = 2 * std * (noise() * std + torch.tensor(MEAN)[:, None, None] - 0.5)
    along = -0.1 * torch.einsum("dc,ndhw->nchw", root, slope).sign()
    expected = noise() + torch.einsum("cd,ndhw->nchw", root, along)
    found, _ = steps_of(lambda x, _: (x - 0.5).square().sum(), 1, axes="photographs")
    torch.testing.assert_close(found.x_N3HW, expected, rtol=0, atol=1e-3)
    found, _ = steps_of(lambda x, _: (x - 0.5).square().sum(), 1, axes="plain")
    torch.testing.assert_close(found.x_N3HW, noise() - 0.1 * slope.sign(), rtol=0, atol=1e-3)


def test_a_plateau_ends_a_stage() -> None:
    found, _ = steps_of(lambda x, _: x.mean() * 0 + 1, 50, plateau=0.01, window=4)
    assert found.steps == 8
    found, _ = steps_of(lambda x, n: x.mean() * 0 + 0.5**n, 50, plateau=0.01, window=4)
    assert found.steps == 50


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], False),
        ([1, 1, 1], False),
        ([1, 1, 1, 1], True),
        ([9, 9, 1, 1, 1, 1], True),
        ([1, 1, 0.95, 0.95], True),
        ([1, 1, 0.9, 0.89], False),
        ([1, 1, 2, 2], True),
        ([-1, -1, -1.05, -1.05], True),
        ([-1, -1, -1.2, -1.2], False),
        ([0, 0, 0, 0], False),
    ],
)
def test_what_is_flat(losses: list[float], expected: bool) -> None:
    """A window of two that lowers the loss by less than a tenth."""
    assert has_plateaued(losses, replace(PLAIN, plateau=0.1, window=2)) == expected
    assert not has_plateaued(losses, replace(PLAIN, plateau=0.0, window=2))


def test_rates() -> None:
    settings = replace(PLAIN, lr=0.2, final_lr_ratio=0.1)
    found = [learning_rate(settings, step, 8) for step in range(8)]
    assert found[0] == 0.2
    assert found[4] == pytest.approx(0.2 * 0.55)
    assert all(later < before for before, later in pairwise(found))
    for early, late in zip(found[1:4], found[:4:-1], strict=True):  # a cosine
        assert early + late == pytest.approx(0.2 * 1.1)
    assert learning_rate(settings, 8, 8) == pytest.approx(0.02)
    assert {learning_rate(PLAIN, step, 8) for step in range(8)} == {PLAIN.lr}


def test_sizes_one_after_the_other() -> None:
    seen = []

    def loss(x: Tensor, _: int) -> Tensor:
        seen.append(tuple(x.shape[2:]))
        return square(x, 0)

    plan = [Stage((32, 48), 2), Stage((H, W), 3)]
    position = OptimState(noise(size=(32, 48)))
    found = optimize(position, plan, asked(loss, PLAIN), PLAIN, (0,))
    assert seen == [(32, 48)] * 2 + [(H, W)] * 3
    assert found.steps == 5
    assert tuple(found.x_N3HW.shape) == (1, 3, H, W)
    assert (position.stage, position.step, position.done) == (2, 0, 5)
    assert optimize(position, plan, asked(loss, PLAIN), PLAIN, (0,)).steps == 5
    assert len(seen) == 5


def test_an_objective_of_smaller_pictures(detector: MaskRCNNTarget) -> None:
    guide = TemporalPrior(noise(), (noise()[:, :1] > 0).float())
    objective = replace(seen_by(detector, PLAIN), guide=guide)
    assert resize_objective(objective, (H, W), (H, W), 1) is objective
    found = resize_objective(objective, (32, 48), (H, W), 1)
    labels: Any = found.goals[0].labels
    assert labels.masks_KHW.shape == (1, 32, 48)
    assert labels.boxes_K4.tolist() == [[10, 6, 35, 22]]
    assert found.guide is not None
    assert found.guide.pixels_N3HW.shape == (1, 3, 32, 48)
    assert 0 <= found.guide.known_N1HW.min() < found.guide.known_N1HW.max() <= 1
    several = resize_objective(seen_by(detector, PLAIN, 3), (32, 48), (H, W), 3)
    again: Any = several.goals[0].labels
    assert again.boxes_K4.tolist() == [[10, 6, 35, 22]] * 3


def test_a_smaller_picture_keeps_its_mean_and_a_larger_one_its_ramp() -> None:
    fine = torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(resize(fine, (16, 24)).mean(), fine.mean(), rtol=0, atol=0.01)
    lines = (torch.arange(64)[:, None] % 4 == 0).float().expand(1, 1, 64, 96)
    assert (resize(lines, (16, 24)) - 0.25).abs().max() < 0.1
    ramp = (torch.arange(8) + 0.5).expand(1, 1, 6, 8)
    larger = resize(ramp, (12, 16))[..., 1:-1]
    torch.testing.assert_close(
        larger, ((torch.arange(16) + 0.5) / 2).expand(1, 1, 12, 16)[..., 1:-1]
    )


def test_pictures_that_are_not_disturbed() -> None:
    x = noise()
    found, move = augment(x, PLAIN, torch.Generator(), 3.0)
    assert found is x
    assert move is None


def test_noise_that_is_laid_over() -> None:
    found, move = augment(noise(), replace(PLAIN, noise=0.25), torch.Generator(), 0)
    assert move is None
    assert float((found - noise()).std()) == pytest.approx(0.25, rel=0.05)


def test_shifts_and_mirroring() -> None:
    """Whole pixels up to the reach both ways, each picture on its own."""
    settings = replace(PLAIN, jitter=5, flip=0.25)
    x, shifts, flips = noise(3), set(), []
    for number in range(200):
        found, move = augment(x, settings, generator(0, number), 5.0)
        assert found is x
        assert move is not None
        for across, _, shift_x, _, down, shift_y in (
            m.flatten().tolist() for m in move.source_from_output_N23
        ):
            assert down == 1
            flips.append(across == -1)
            shifts.add((shift_x - W if across == -1 else shift_x, shift_y))
    assert {x for x, _ in shifts} == {y for _, y in shifts} == set(range(-5, 6))
    assert sum(flips) / len(flips) == pytest.approx(0.25, abs=0.06)
    _, move = augment(x, settings, generator(0, 0), 5.0)
    assert move is not None
    assert len({tuple(m.flatten().tolist()) for m in move.source_from_output_N23}) == 3


@pytest.mark.parametrize("size", [0, 64])
def test_shifts_grow_with_the_picture(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, reaches, seeds = replace(PLAIN, jitter=8, size=size), [], set()

    def watch(x: Tensor, _: Any, draw: torch.Generator, reach: float) -> tuple[Tensor, None]:
        reaches.append(reach)
        seeds.add(draw.initial_seed())
        return x, None

    monkeypatch.setattr("magkit.invert.optimize.augment", watch)
    plan = [Stage((16, 24), 1), Stage((32, 48), 1), Stage((H, W), 1)]
    optimize(OptimState(noise(size=(16, 24))), plan, asked(square, settings), settings, (0,))
    assert reaches == [2, 4, 8]
    assert len(seeds) == 3


@pytest.mark.parametrize("options", [{}, {"rois": "sampled", "proposals": True, "boxes": True}])
def test_an_object_that_shifts_move_out_of_the_picture(
    build_detector: Callable[..., MaskRCNNTarget], options: dict[str, Any]
) -> None:
    settings = make_settings("thesis", {**ROUGH, "jitter": 150, "plateau": 0, "noise": 0})
    objective = seen_by(build_detector(**options), settings, 2)
    found = optimize(OptimState(noise(2)), [Stage((H, W), 6)], objective, settings, (0,))
    assert found.finite
    assert found.steps == 6
    assert found.x_N3HW.isfinite().all()
