"""Magnifiers that are broken in one way each, and the check that tells."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from magkit import EncoderSpec, MagnifierSpec
from magkit.testing import Check, magnifier_checks


@dataclass(frozen=True)
class ToyConfig:
    """Nothing to choose."""


class ToyEncoder(nn.Module):
    """Cells of 2 x 2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 2, 2)

    def forward(self, frames_NCHW: Tensor) -> dict[str, Tensor]:
        return {"texture": self.layer(frames_NCHW)}


class Toy(ToyEncoder):
    """Adds the change of each pixel; beside that, a layer that may be trained."""

    stride = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def encode(self, frames_NCHW: Tensor, /) -> Tensor:
        return frames_NCHW

    def motion(self, reference: Tensor, current: Tensor, /) -> Tensor:
        return current - reference

    def render(self, current: Tensor, motion: Tensor, factor: Tensor, /) -> Tensor:
        return current + motion * (factor - 1).view(-1, 1, 1, 1)


def losses(model: Toy, batch: Any) -> dict[str, Tensor]:
    reach = model(batch.a)["texture"].square().mean()
    shown = batch.b + (batch.b - batch.a) * (batch.factor - 1).view(-1, 1, 1, 1) * model.scale
    return {"image": (shown - batch.m).abs().mean(), "reach": reach}


ENCODER: EncoderSpec[Any] = EncoderSpec(
    build=lambda _config: ToyEncoder(), strides={"texture": 2}, groups={"trunk": ("layer.*",)}
)
SPEC: MagnifierSpec[Any] = MagnifierSpec(
    name="toy", summary="a toy", config=ToyConfig, build=lambda _config: Toy()
)
TRAINED = replace(SPEC, losses=losses, needs_motion=False, encoder=ENCODER, preset={"batch": 2})

Damage = Callable[[Any], None]


def spec(damage: Damage) -> MagnifierSpec[Any]:
    def build(config: ToyConfig) -> Toy:
        toy = Toy()
        damage(toy)
        return toy

    return replace(SPEC, build=build)


def check(made: MagnifierSpec[Any], name: str) -> Check:
    return next(each for each in magnifier_checks(made) if each.name == name)


WHOLE = {each.name: each for made in (SPEC, TRAINED) for each in magnifier_checks(made)}


@pytest.mark.parametrize("each", [c for c in WHOLE.values() if c.name != "spec-is-light"], ids=str)
def test_the_toy_itself_is_whole(each: Check) -> None:
    each()


def test_pictures_are_asked_of_what_has_its_weights() -> None:
    untrained, ready = ({str(c) for c in magnifier_checks(made)} for made in (TRAINED, SPEC))
    assert {"factor-1-changes-nothing", "keeps-range"} <= ready - untrained
    assert {"trains", "encoder-is-part-of-it"} == untrained - ready


# What is done to the toy. Python takes a function that is an object's own attribute as it is.


def has_no_stride(toy: Any) -> None:
    toy.stride = 0.5


def cuts_frames(toy: Any) -> None:
    whole = toy.render
    toy.render = lambda current, motion, factor: whole(current, motion, factor)[..., :32, :32]


def draws_no_numbers(toy: Any) -> None:
    toy.render = lambda current, _motion, _factor: current / 0


def tells_motion_in_whole_numbers(toy: Any) -> None:
    toy.motion = lambda reference, current: (100 * (current - reference)).int()


def tells_motion_as_one_row(toy: Any) -> None:
    toy.motion = lambda reference, current: (current - reference).flatten(1)


def draws_at_random(toy: Any) -> None:
    whole = toy.render
    toy.render = lambda current, motion, factor: whole(
        current, motion + torch.rand_like(motion), factor
    )


def remembers_frames(toy: Any) -> None:
    toy.register_buffer("last", torch.zeros(3))

    def encode(frames: Tensor) -> Tensor:
        toy.last += frames.mean((0, 2, 3))
        return frames

    toy.encode = encode


def shows_all_by_the_first_factor(toy: Any) -> None:
    whole = toy.render
    toy.render = lambda current, motion, factor: whole(current, motion, factor[:1])


def compares_frames(toy: Any) -> None:
    toy.motion = lambda reference, current: current - reference.mean(0, keepdim=True)


def shows_shades_of_256(toy: Any) -> None:
    whole = toy.render
    toy.render = lambda current, motion, factor: 255 * whole(current, motion, factor)


def bursts_at_a_pixel(toy: Any) -> None:
    whole = toy.render

    def render(current: Tensor, motion: Tensor, factor: Tensor) -> Tensor:
        frames: Tensor = whole(current, motion, factor)
        frames[:, :, 0, 0] -= 9 * (factor - 1)[:, None]
        return frames

    toy.render = render


def shows_motion_once_more(toy: Any) -> None:
    whole = toy.render
    toy.render = lambda current, motion, factor: whole(current, motion, factor + 1)


def sees_motion_where_there_is_none(toy: Any) -> None:
    toy.motion = lambda reference, current: current - reference + 0.01


def shows_nothing(toy: Any) -> None:
    toy.render = lambda current, _motion, _factor: current


def shows_it_backwards(toy: Any) -> None:
    whole = toy.motion
    toy.motion = lambda reference, current: -whole(reference, current)


FAULTS: list[tuple[Damage, str, str]] = [
    (has_no_stride, "builds", "stride is 0.5"),
    (cuts_frames, "keeps-size", r"\(32, 32\).*frames of the size of those encoded"),
    (draws_no_numbers, "keeps-size", "what is no number"),
    (tells_motion_in_whole_numbers, "filters-its-motion-over-time", "torch.int32 for two frames"),
    (tells_motion_as_one_row, "filters-its-motion-over-time", r"motion gives \(2, 12288\)"),
    (draws_at_random, "says-the-same-each-time", "otherwise the second time"),
    (remembers_frames, "says-the-same-each-time", "frames change last of the magnifier"),
    (shows_all_by_the_first_factor, "shows-a-scene-alone-as-among-others", "its own factor"),
    (compares_frames, "shows-a-scene-alone-as-among-others", "normalise nothing over the batch"),
    (shows_shades_of_256, "keeps-range", "at a factor of 1 frames in .* become values from"),
    (bursts_at_a_pixel, "keeps-range", r"at a factor of 3 frames in .* from -1\d\.\d\d to 0"),
    (shows_motion_once_more, "factor-1-changes-nothing", "a factor of 1 changes a frame by"),
    (sees_motion_where_there_is_none, "still-scenes-stay-still", "stands still changes by"),
    (shows_nothing, "larger-factors-show-larger-motion", "at a factor of 3"),
    (shows_it_backwards, "larger-factors-show-larger-motion", "at a factor of 3"),
]


@pytest.mark.parametrize(
    ("damage", "name", "sentence"), FAULTS, ids=[f[0].__name__ for f in FAULTS]
)
def test_a_magnifier_with_a_fault(damage: Damage, name: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check(spec(damage), name)()


def test_a_preset_of_settings_that_are_not_there() -> None:
    made = replace(SPEC, preset={"step": 3})
    with pytest.raises(AssertionError, match="no setting of the training is named 'step'"):
        check(made, "preset-is-known")()


LOSSES: list[tuple[Callable[[Any, Any], Any], str]] = [
    (lambda _model, _batch: {}, "there is no loss term"),
    (
        lambda model, batch: {"far": (batch.motion * model.scale).mean()},
        "that say nothing of motion",
    ),
    (lambda model, batch: {"image": losses(model, batch)["image"]}, "reaches layer.weight"),
    (
        lambda model, batch: {k: 2 * v.detach() - v for k, v in losses(model, batch).items()},
        "5 steps on two scenes take the loss",
    ),
    (
        lambda model, batch: {
            **losses(model, batch),
            "root": (model.scale * 0).square().sqrt(),
        },
        "5 had no finite gradient",
    ),
]


@pytest.mark.parametrize(("wrong", "sentence"), LOSSES)
def test_losses_with_a_fault(wrong: Any, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check(replace(TRAINED, losses=wrong), "trains")()


ENCODERS: list[tuple[dict[str, Any], str]] = [
    ({"groups": {"trunk": ("layer.weight",)}}, "layer.bias of this encoder belongs to no group"),
    ({"groups": {"trunk": ("layer.*",), "texture": ("texture.*",)}}, "to the group texture"),
    ({"groups": {"texture+shape": ("layer.*",)}}, "shape is no branch"),
    ({"centres": {"motion": 0.5}}, "motion is no branch"),
    ({"strides": {"texture": 2, "motion": 2}}, "gives maps of texture, and strides tells of"),
    ({"strides": {"texture": 4}}, r"'texture' gives \(2, 4, 32, 32\)"),
    ({"build": lambda _config: nn.Conv2d(3, 4, 2, 2)}, "tensors are not the magnifier's"),
]


@pytest.mark.parametrize(("changed", "sentence"), ENCODERS)
def test_encoders_with_a_fault(changed: dict[str, Any], sentence: str) -> None:
    made = replace(TRAINED, encoder=replace(ENCODER, **changed))
    with pytest.raises(AssertionError, match=sentence):
        check(made, "encoder-is-part-of-it")()


def test_what_cannot_be_trained() -> None:
    nothing: Any = lambda _config: object()  # noqa: E731
    made = replace(TRAINED, build=nothing)
    with pytest.raises(AssertionError, match="gives a object, which can't be trained"):
        check(made, "trains")()


@pytest.mark.parametrize(
    ("change", "metadata", "sentence"),
    [
        (
            lambda state: state,
            {"magnifier": "other"},
            "'other', not of 'toy'; package .* and 'toy' as the magnifier",
        ),
        (
            lambda state: {**state, "more": torch.ones(1)},
            {},
            r"does not fit the magnifier 'toy': 1 are",
        ),
        (
            lambda state: state,
            {"config": '{"width": 3}'},
            "no option of magnifier 'toy' is named 'width'",
        ),
        (lambda state: state, {"magnifier": "toy"}, ""),
    ],
)
def test_weights_that_ship(
    tmp_path: Path, change: Any, metadata: dict[str, str], sentence: str
) -> None:
    path = tmp_path / "toy.safetensors"
    save_file(change(Toy().state_dict()), path, metadata)
    builds = check(replace(SPEC, weights=path), "builds")
    if not sentence:
        builds()
        return
    with pytest.raises(AssertionError, match=sentence):
        builds()


def test_weights_that_do_not_ship(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="weights of the magnifier 'toy' are missing"):
        check(replace(SPEC, weights=tmp_path / "none"), "builds")()
