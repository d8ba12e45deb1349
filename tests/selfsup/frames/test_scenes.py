"""Data sets of every format as frames."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from magkit.data.open import open_dataset
from magkit.selfsup.frames import open_frames, procedural_scenes

Made = Callable[..., Path]


@pytest.mark.parametrize("layout", ["folder", "tar", "recipe", "published"])
def test_frames_are_those_of_the_data_set(dataset: Made, layout: str) -> None:
    place = str(dataset(layout))
    truth = open_dataset(place).triplets([4, 0])
    for order in ("abc", "cab"):
        source = open_frames(place, 32)
        assert source.roles == ("a", "b", "c")
        for role in order:
            expected: Tensor = getattr(truth, role)
            assert torch.allclose(source.frames([4, 0], role), expected, atol=1e-6)
    assert len(source) == 6
    assert str(source) == f"6 scenes of {place}"


@pytest.mark.parametrize("layout", ["folder", "recipe"])
def test_single_frames_have_no_partners(dataset: Made, layout: str) -> None:
    place = str(dataset(layout, "frames"))
    source = open_frames(place, 32)
    assert source.roles == ("a",)
    assert torch.allclose(source.frames([1], "a"), open_dataset(place).frames([1]), atol=1e-6)


def test_frames_of_a_scene_are_scaled_alike(dataset: Made) -> None:
    source = open_frames(str(dataset("folder")), 16)
    large = open_frames(str(dataset("folder")), 32)
    for role in source.roles:
        small = source.frames([2], role)
        assert small.shape == (1, 3, 16, 16)
        means = torch.nn.functional.avg_pool2d(large.frames([2], role), 2)
        assert (small - means).abs().mean() < 0.03
    assert source.describe() != large.describe()


def test_procedural_scenes_are_a_function_of_their_seed() -> None:
    one, other = procedural_scenes(3, 32, 0), procedural_scenes(3, 32, 1)
    frames = one.frames([2], "c")
    assert not torch.equal(other.frames([2], "c"), frames)
    text = pickle.dumps(one)
    assert len(text) < 10_000
    again = pickle.loads(text)
    assert torch.equal(again.frames([2], "c"), frames)
    assert one.describe() == again.describe() != other.describe()


def test_scenes_are_read_once(dataset: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_frames(str(dataset("folder")), 32)
    first = {role: source.frames([3], role) for role in "ba"}
    for name in ("frames", "triplets"):
        monkeypatch.delattr(f"magkit.data.dataset.StoredScenes.{name}")
    assert all(torch.equal(source.frames([3], role), first[role]) for role in "ba")
