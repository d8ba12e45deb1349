"""Batches of a data set: every scene once an epoch, whoever reads them and from wherever on."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import torch

from magkit.data.dataset import StoredBatches
from magkit.data.open import open_dataset
from magkit.runtime.loader import load_batches
from magkit.synth.triplets import Degradation, Triplets

Made = Callable[..., Path]


def test_every_scene_comes_once_an_epoch(made: Made) -> None:
    data = open_dataset(str(made("folder")))
    factors = data.triplets(range(5)).factor
    batches = StoredBatches(data, seed=7, batch=2, steps=10, size=32)
    seen = torch.cat([batches[step].factor for step in range(10)]).view(4, 5)
    assert all(torch.equal(epoch.sort()[0], factors.sort()[0]) for epoch in seen)
    assert len({tuple(epoch.tolist()) for epoch in seen}) > 1, "each epoch has its own order"
    other = StoredBatches(data, seed=8, batch=2, steps=10, size=32)
    assert not all(torch.equal(other[n].factor, batches[n].factor) for n in range(10))


def test_a_batch_depends_on_nothing_but_its_number(made: Made) -> None:
    data = open_dataset(str(made("tar")))
    batches = StoredBatches(data, 1, batch=2, steps=4, size=24, degradation=Degradation(coded=0.5))
    alone = [batches[step] for step in range(4)]
    for workers, start in ((0, 1), (1, 2)):
        for found, truth in zip(load_batches(batches, start, workers), alone[start:], strict=True):
            assert torch.equal(found.a, truth.a)
            assert torch.equal(found.motion, truth.motion)


def test_windows_are_cut_out_of_all_frames_alike(made: Made) -> None:
    data = open_dataset(str(made("folder")))
    whole = data.triplets(range(5))
    window = StoredBatches(data, 1, batch=5, steps=1, size=20)[0]
    assert window.a.shape == (5, 3, 20, 20)
    assert window.motion.shape == (5, 2, 20, 20)
    for index, factor in enumerate(window.factor):
        scene = int((whole.factor == factor).nonzero())
        places = [
            (top, left)
            for top in range(13)
            for left in range(13)
            if torch.equal(whole.b[scene, :, top : top + 20, left : left + 20], window.b[index])
        ]
        top, left = places[0]
        for name in ("a", "c", "m", "motion", "moving"):
            cut = getattr(whole, name)[scene, :, top : top + 20, left : left + 20]
            assert torch.equal(getattr(window, name)[index], cut)


def test_the_shares_of_processes_are_the_batch(made: Made) -> None:
    data = open_dataset(str(made("folder")))
    kind = Degradation(noise=0.5, read_noise=0.1, coded=0.5, x264=0.6)
    whole = StoredBatches(data, 1, batch=6, steps=2, size=24, degradation=kind)[1]
    shares = [StoredBatches(data, 1, 6, 2, 24, kind, rank, 3)[1] for rank in range(3)]
    for f in fields(Triplets):
        joined = torch.cat([getattr(share, f.name) for share in shares])
        assert torch.equal(joined, getattr(whole, f.name))
