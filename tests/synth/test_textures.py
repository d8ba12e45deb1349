"""Procedural pictures and objects: functions of their number, varied, of the promised form."""

import numpy as np
import pytest
import torch

from magkit.synth.procedural import (
    CANVAS,
    SIDE,
    ProceduralCutouts,
    ProceduralPictures,
    clouds,
    dead_leaves,
    grating,
    mask,
    strokes,
)
from magkit.synth.sources import ConcatCutouts, ConcatPictures, fit_longest, snap_size


def test_textures_are_functions_of_their_number() -> None:
    one, other = ProceduralPictures(10), ProceduralPictures(10)
    other.picture(7)
    for index in (0, 3):
        assert torch.equal(one.picture(index), other.picture(index))
        assert one.picture(index).shape == (3, SIDE, SIDE)
        assert one.picture(index).dtype == torch.uint8
    assert not torch.equal(one.picture(0), one.picture(3))


@pytest.mark.parametrize("maker", [dead_leaves, clouds, strokes, grating])
def test_every_texture_has_contrast(maker: object) -> None:
    assert callable(maker)
    pixels = maker(np.random.default_rng(4))
    assert pixels.shape == (SIDE, SIDE, 3)
    assert np.clip(pixels, 0, 255).std() > 3


def test_objects_fit_into_what_is_asked_for() -> None:
    cutouts = ProceduralCutouts(20)
    for index in range(8):
        for longest in (12, 40, 500):
            made = cutouts.cutout(index, longest)
            assert made.shape[0] == 4
            assert max(made.shape[1:]) <= min(longest, CANVAS)
            assert made.min() >= 0
            assert made.max() <= 1
            assert made[3].max() > 0.5
    assert torch.equal(cutouts.cutout(3, 40), ProceduralCutouts(20).cutout(3, 40))


def test_there_are_thin_objects_among_them() -> None:
    areas = [np.asarray(mask(np.random.default_rng(n)), np.float64).mean() for n in range(60)]
    assert min(areas) / 255 < 0.05
    assert max(areas) / 255 > 0.3


def test_parts_are_counted_through() -> None:
    one, two = ProceduralPictures(3), ProceduralPictures(5)
    joined = ConcatPictures(one, two)
    assert len(joined) == 8
    assert torch.equal(joined.picture(4), two.picture(1))
    assert joined.name(4) == "texture 1"
    assert joined.unreadable == set()
    with pytest.raises(IndexError):
        joined.picture(8)
    cutouts = ConcatCutouts(ProceduralCutouts(2), ProceduralCutouts(4))
    assert torch.equal(cutouts.cutout(3, 30), ProceduralCutouts(4).cutout(1, 30))
    assert cutouts.name(3) == "shape 1"


@pytest.mark.parametrize("size", [5, 30.7, 192])
def test_sizes_lie_on_a_grid(size: float) -> None:
    assert size / 1.15 < snap_size(size) < size * 1.15
    assert snap_size(snap_size(size)) == snap_size(size)


def test_objects_are_shrunk_and_never_enlarged() -> None:
    thing = torch.full((4, 60, 20), 255, dtype=torch.uint8)
    assert fit_longest(thing, 30).shape == (4, 30, 10)
    assert fit_longest(thing, 900).shape == (4, 60, 20)
    assert fit_longest(thing[:, :, :1], 3).shape == (4, 3, 1)
