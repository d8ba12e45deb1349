"""Judgements on measurements made up for the purpose, and which frames are kept out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from magkit.adapt.verdict import (
    AMPLITUDES,
    CODINGS,
    PICTURES,
    Judgement,
    Measures,
    held_out_pictures,
    judge,
)


def measures(trembling: float, gain: float) -> Measures:
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.5, 2, PICTURES)
    return Measures(
        [[trembling * s] * len(CODINGS) for s in spread], [[gain] * len(AMPLITUDES)] * PICTURES
    )


@pytest.mark.parametrize(
    ("trembling", "gain", "judgement"),
    [
        (0.5, 1.0, "better"),
        (0.5, 0.985, "better"),
        (0.95, 1.0, "equal"),
        (1.0, 1.0, "equal"),
        (0.5, 0.9, "worse"),
        (0.5, 1.1, "worse"),
        (1.5, 1.0, "worse"),
    ],
)
def test_judgements(trembling: float, gain: float, judgement: Judgement) -> None:
    verdict = judge(measures(1.0, 1.0), measures(trembling, gain))
    assert verdict.judgement == judgement
    assert verdict.trembling.value == pytest.approx(trembling)
    assert verdict.gain_error.value == pytest.approx(abs(gain - 1))


def test_an_uncertain_change_is_no_improvement() -> None:
    before, after = measures(1.0, 1.0), measures(1.0, 1.0)
    for number, row in enumerate(after.trembling):
        row[:] = [value * (0.2 if number % 2 else 1.4) for value in row]
    verdict = judge(before, after)
    assert verdict.trembling.low < 1 < verdict.trembling.high
    assert verdict.judgement == "equal"


def test_the_record_holds_means_of_pictures() -> None:
    found = judge(measures(1.0, 0.9), measures(0.5, 1.05)).as_dict()
    assert found["judgement"] == "better"
    assert len(found["after"]["trembling"]) == PICTURES
    assert found["before"]["gain_error"] == pytest.approx([0.1] * PICTURES)


class Numbered:
    """Windows of two frames whose grey level is their number."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def windows(self, indices: Sequence[int]) -> list[Tensor]:
        return [torch.full((2, 3, 200, 300), n, dtype=torch.uint8) for n in indices]

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("count", "numbers"),
    [(1, [0] * 8), (3, [0, 0, 0, 1, 1, 1, 2, 2]), (16, list(range(0, 16, 2)))],
)
def test_pictures_are_spread_over_the_windows(count: int, numbers: list[int]) -> None:
    pictures = held_out_pictures(Numbered(count))
    assert [round(float(p.mean()) * 255) for p in pictures] == numbers
    assert {tuple(p.shape) for p in pictures} == {(3, 192, 192)}
