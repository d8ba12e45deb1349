"""Methods that are broken in one way each, and the check that tells."""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit import MapInfo, MethodSpec, Preset, UsageError, View
from magkit.testing import Check, method_checks


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    dim: int = field(default=8, metadata={"help": "length of an embedding"})

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError("dim must be at least 1")


class Toy(nn.Module):
    """Tells each picture's other view from those of the batch."""

    keyed = False
    shuffled = False

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels, dim)

    def before_keys(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        pass

    def loss(
        self, views: Sequence[View], queries: Sequence[Tensor], keys: Sequence[Tensor], /
    ) -> dict[str, Tensor]:
        one, other = (F.normalize(self.embed(maps).float(), dim=1) for maps in queries)
        return {"contrast": F.cross_entropy(one @ other.T / 0.2, torch.arange(len(one)))}

    def embed(self, maps_NCHW: Tensor, /) -> Tensor:
        found: Tensor = self.head(maps_NCHW.mean((2, 3)))
        return found

    def after_step(self, encoder: nn.Module, keys: nn.Module | None, progress: float, /) -> None:
        pass


Damage = Callable[[Any], None]


def spec(damage: Damage = lambda _toy: None, **others: Any) -> MethodSpec[Any]:
    def build(config: ToyConfig, maps: MapInfo) -> Toy:
        toy = Toy(maps.channels, config.dim)
        damage(toy)
        return toy

    given = {"config": ToyConfig, "build": build, "summary": "a toy", "name": "toy", **others}
    return MethodSpec(**given)


def check(made: MethodSpec[Any], name: str) -> Check:
    return next(each for each in method_checks(made) if each.name == name)


@pytest.mark.parametrize("each", [c for c in method_checks(spec()) if c.name != "spec-is-light"])
def test_the_toy_itself_is_whole(each: Check) -> None:
    each()


# What is done to the toy. Python takes a function that is an object's own attribute as it is.


def says_keyed_by_a_text(toy: Any) -> None:
    toy.keyed = "no"


def does_not_say_what_is_trained(toy: Any) -> None:
    toy.parameters = lambda _recurse=True: iter(())


def says_too_much_is_trained(toy: Any) -> None:
    toy.parameters = lambda _recurse=True: iter([toy.head.weight, toy.head.bias, nn.Parameter()])


def trains_its_twin(toy: Any) -> None:
    toy.twin = copy.deepcopy(toy.head)
    toy.parameters = toy.head.parameters


def no_term(toy: Any) -> None:
    toy.loss = lambda _views, _queries, _keys: {}


def one_term_a_picture(toy: Any) -> None:
    toy.loss = lambda _views, queries, _keys: {"contrast": queries[0].mean((1, 2, 3))}


def no_number(toy: Any) -> None:
    toy.loss = lambda _views, queries, _keys: {"contrast": queries[0].mean().log() * 0 - torch.inf}


def overflows_in_half_precision(toy: Any) -> None:
    def loss(views: Any, queries: Any, keys: Any) -> dict[str, Tensor]:
        flat = queries[0].mean()
        return {"contrast": flat + (torch.inf if torch.is_autocast_enabled("cpu") else 0.0)}

    toy.loss = loss


def embeds_places(toy: Any) -> None:
    toy.embed = lambda maps: maps
    toy.loss = lambda _views, queries, _keys: {"size": queries[0].square().mean()}


def embeds_one_number(toy: Any) -> None:
    toy.embed = lambda maps: maps.mean((1, 2, 3))[:, None]


def loses_the_gradient(toy: Any) -> None:
    whole = toy.loss
    toy.loss = lambda views, queries, keys: {
        name: term.detach() for name, term in whole(views, queries, keys).items()
    }


def loses_the_encoder(toy: Any) -> None:
    whole = toy.loss
    toy.loss = lambda views, queries, keys: whole(views, [maps.detach() for maps in queries], keys)


def trains_what_is_not_used(toy: Any) -> None:
    toy.spare = nn.Linear(2, 2)


def gradient_of_a_root_of_nothing(toy: Any) -> None:
    whole = toy.loss
    toy.loss = lambda views, queries, keys: {
        **whole(views, queries, keys),
        "root": (toy.head.weight.square().sum() * 0).sqrt(),
    }


def undoes_the_step(toy: Any) -> None:
    first = toy.head.weight.detach().clone()

    def after_step(encoder: nn.Module, keys: Any, progress: float) -> None:
        with torch.no_grad():
            toy.head.weight.copy_(first)

    toy.after_step = after_step


def climbs(toy: Any) -> None:
    """What it says is lowered is not what its gradient lowers."""
    whole = toy.loss

    def loss(views: Any, queries: Any, keys: Any) -> dict[str, Tensor]:
        term = whole(views, queries, keys)["contrast"]
        return {"contrast": 2 * term.detach() - term}

    toy.loss = loss


def pulls_and_does_not_push(toy: Any) -> None:
    def loss(views: Any, queries: Any, keys: Any) -> dict[str, Tensor]:
        one, other = (F.normalize(toy.embed(maps).float(), dim=1) for maps in queries)
        pulled = (one - one.roll(1, 0)).square().sum(1)
        return {"pull": (pulled + (one - other).square().sum(1)).mean()}

    toy.loss = loss


def keyed_and_left_behind(toy: Any) -> None:
    toy.keyed = True


def switches_the_keys_on(toy: Any) -> None:
    def after_step(encoder: nn.Module, keys: Any, progress: float) -> None:
        for old, new in zip(keys.parameters(), encoder.parameters(), strict=True):
            old.data.lerp_(new.data, 0.5)
        keys.requires_grad_(True)

    toy.keyed, toy.after_step = True, after_step


def counts_steps_in_an_attribute(toy: Any) -> None:
    toy.steps, whole = 0, toy.loss

    def loss(views: Any, queries: Any, keys: Any) -> dict[str, Tensor]:
        toy.steps += 1
        return {"contrast": whole(views, queries, keys)["contrast"] * (1 + 0.1 * toy.steps)}

    toy.loss = loss


def draws_elsewhere(toy: Any) -> None:
    whole = toy.loss
    toy.loss = lambda views, queries, keys: {
        "contrast": whole(views, queries, keys)["contrast"] * (1 + random.random())
    }


def starts_always_alike(toy: Any) -> None:
    torch.manual_seed(3)
    nn.init.normal_(toy.head.weight)
    nn.init.zeros_(toy.head.bias)


def remembers_in_an_attribute(toy: Any) -> None:
    whole, toy.seen = toy.loss, []

    def loss(views: Any, queries: Any, keys: Any) -> dict[str, Tensor]:
        toy.seen = [queries[0].detach()]
        found: dict[str, Tensor] = whole(views, queries, keys)
        return found

    toy.loss = loss


REACH = "gradients-reach-all-that-is-trained"
TERMS = "loss-terms-are-named-finite-scalars"
FAULTS: list[tuple[Damage, str, str]] = [
    (says_keyed_by_a_text, "builds", "keyed is 'no'"),
    (does_not_say_what_is_trained, "parameters-are-told", r"head.weight.*would be trained"),
    (says_too_much_is_trained, "parameters-are-told", "yields 1 that aren't"),
    (trains_its_twin, "parameters-are-told", "twin.weight, twin.bias would be trained"),
    (no_term, TERMS, "there is no loss term"),
    (one_term_a_picture, TERMS, "'contrast' is no scalar"),
    (no_number, TERMS, "'contrast' is -?(inf|nan)"),
    (overflows_in_half_precision, TERMS, "'contrast' is inf under --precision bf16"),
    (embeds_places, "embeds-pictures", r"embed returns \(16, 16, 8, 8\)"),
    (embeds_one_number, "embeds-pictures", r"embed returns \(16, 1\)"),
    (loses_the_gradient, REACH, "grad"),
    (loses_the_encoder, REACH, "reaches encoder.trunk.0.weight"),
    (trains_what_is_not_used, REACH, "reaches method.spare.weight"),
    (gradient_of_a_root_of_nothing, "trains", "no finite gradient"),
    (undoes_the_step, "trains", "leave methods.features.head.weight as it was drawn"),
    (climbs, "trains", "10 steps of Adam along its gradient take the loss"),
    (pulls_and_does_not_push, "does-not-collapse", "collapsing to a point"),
    (keyed_and_left_behind, "keys-follow", "stays as it was drawn"),
    (switches_the_keys_on, "keys-follow", "gradients switched on"),
    (counts_steps_in_an_attribute, "resumes-to-the-bit", r"stopped twice .*register_buffer"),
    (draws_elsewhere, "respects-the-seed", "two trainings with the same seed"),
    (starts_always_alike, "respects-the-seed", "another seed gives the same random weights"),
    (remembers_in_an_attribute, "holds-no-state-of-its-own", "one.seen, two.seen is a tensor"),
]


@pytest.mark.parametrize(
    ("damage", "name", "sentence"), FAULTS, ids=[f[0].__name__ for f in FAULTS]
)
def test_a_method_with_a_fault(
    damage: Damage, name: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "does-not-collapse":  # a few steps bring the other faults to light
        few = {"steps": 12, "sample_every": 12, "save_every": 12}
        monkeypatch.setattr("magkit.testing.methods.LONG", few)
    with pytest.raises(AssertionError, match=sentence):
        check(spec(damage), name)()


def test_a_method_that_is_no_module() -> None:
    made = spec(build=lambda _config, _maps: object())
    with pytest.raises(
        AssertionError, match=r"build returns object, which is no torch\.nn\.Module"
    ):
        check(made, "builds")()


PRESETS: Iterator[tuple[Preset, str]] = iter(
    [
        (Preset(why=""), "says nothing of its values' origin"),
        (Preset(why="so", settings={"step": 3}), "no setting of the pretraining is named 'step'"),
        (Preset(why="so", settings={"batch": 1}), "batch must be at least 2"),
        (Preset(why="so", options={"width": 3}), "no option of method 'toy' is named 'width'"),
        (Preset(why="so", options={"dim": 0}), "dim must be at least 1"),
    ]
)


@pytest.mark.parametrize(("preset", "sentence"), list(PRESETS))
def test_presets_of_what_is_not_there(preset: Preset, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check(spec(presets={"small": preset}), "presets-are-known")()


def test_options_go_over_the_first_preset() -> None:
    made = spec(presets={"small": Preset(why="so", options={"dim": 0})})
    with pytest.raises(AssertionError, match="dim must be at least 1"):
        check(made, "builds")()
    checks = method_checks(made, options=("dim=4",))
    next(each for each in checks if each.name == "builds")()


def test_a_method_that_does_not_suit_the_pictures() -> None:
    def refuse(config: Any, frames: int, batch: int) -> None:
        raise UsageError(f"{frames} frames are too few", "--opt dim=2")

    with pytest.raises(AssertionError, match="4096 frames are too few; --opt dim=2"):
        check(replace(spec(), check=refuse), "trains")()
