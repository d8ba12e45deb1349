"""Targets whose answers, names, strides or weights are wrong, and the check that tells."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from magkit import Annotation, TargetSpec
from magkit.testing import Check

Damaged = Callable[..., TargetSpec[Any]]
Asked = Callable[[TargetSpec[Any], str], Check]


PREDICTIONS: list[tuple[Callable[[list[Annotation]], list[Annotation]], str]] = [
    (lambda seen: [replace(seen[0], label="background")], "predict sees 'background'"),
    (lambda seen: [replace(seen[0], score=1.5)], "a score of 1.5: keep it from 0 to 1"),
    (lambda seen: seen[::-1], "sort them"),
    (lambda seen: [replace(seen[0], mask_HW=torch.ones(16, 24))], "no float of 64 x 96"),
    (lambda seen: [replace(seen[0], mask_HW=torch.full((64, 96), -3.0))], "outside of 0 to 1"),
]


@pytest.mark.parametrize(("change", "sentence"), PREDICTIONS)
def test_predictions_with_a_fault(
    damaged: Damaged, asked: Asked, change: Any, sentence: str
) -> None:
    def damage(toy: Any) -> None:
        whole = toy.predict
        toy.predict = lambda images: [change(seen) for seen in whole(images)]

    with pytest.raises(AssertionError, match=sentence):
        asked(damaged(damage), "predicts-known-classes-surest-first")()


@pytest.mark.parametrize(
    ("stride", "sentence"),
    [(0, "is 0"), (2.0, "is 2.0"), (48, "96 pixels don't suit a stride of 48")],
)
def test_strides_that_mean_nothing(
    damaged: Damaged, asked: Asked, stride: Any, sentence: str
) -> None:
    with pytest.raises(AssertionError, match=sentence):
        asked(damaged(lambda toy: setattr(toy, "stride", stride)), "builds")()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((), "classes is empty"),
        (("cat", "dog", "cat"), "classes names cat twice"),
        (("cat", " "), "classes holds ' '"),
        (("cat", 3), "classes holds 3"),
        (("cat", "any"), "a class is named 'any'"),
    ],
)
def test_classes_that_cannot_be_asked_for(
    damaged: Damaged, asked: Asked, names: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(AssertionError, match=sentence):
        asked(damaged(lambda toy: setattr(toy, "classes", names)), "classes-are-named")()


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda whole, _: whole(None), "takes a missing weights file without a word"),
        (lambda _, weights: load_file(weights), "missing weights file for FileNotF"),
        (
            lambda whole, weights: load_file(weights) if weights.is_file() else whole(weights),
            "takes a damaged weights file for SafetensorError",
        ),
    ],
)
def test_weights_that_are_not_looked_at(
    damaged: Damaged, asked: Asked, build: Any, sentence: str
) -> None:
    def careless(config: Any, weights: Path | None, device: torch.device) -> Any:
        def whole(path: Path | None) -> Any:
            return damaged().build(config, path, device)

        return build(whole, weights) if weights else whole(None)

    with pytest.raises(AssertionError, match=sentence):
        asked(replace(damaged(), build=careless), "refuses-broken-weights")()


def test_weights_that_do_not_ship(damaged: Damaged, asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="and there is no such file"):
        asked(replace(damaged(), weights=tmp_path / "none"), "refuses-broken-weights")()
