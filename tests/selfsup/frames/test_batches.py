"""Batches: every frame once an epoch, whoever reads them and from wherever on."""

import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from magkit.errors import UsageError
from magkit.selfsup.frame_source import TRIPLET, FrameBatch, FrameBatches


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 30), share=st.integers(1, 7), world=st.integers(1, 4))
def test_processes_share_every_frame_once_an_epoch(
    numbers: Any, count: int, share: int, world: int
) -> None:
    steps = -(-3 * count // (share * world))
    ranks = [
        FrameBatches(numbers(count), 7, share * world, steps, rank, world) for rank in range(world)
    ]
    alone = FrameBatches(numbers(count), 7, share * world, steps)
    seen = []
    for step in range(steps):
        parts = [batches[step] for batches in ranks]
        whole = alone[step]
        assert torch.equal(torch.cat([part.frames["a"] for part in parts]), whole.frames["a"])
        assert torch.equal(torch.cat([part.epochs_N for part in parts]), whole.epochs_N)
        assert whole.frames["a"][:, 0, 0, 0].tolist() == whole.indices_N.tolist()
        seen += list(zip(whole.epochs_N.tolist(), whole.indices_N.tolist(), strict=True))
    for epoch in range(3):
        assert sorted(i for e, i in seen if e == epoch) == list(range(count))


def test_orders_differ_by_epoch_and_seed(numbers: Any) -> None:
    orders = {
        tuple(FrameBatches(numbers(20), seed, 20, 2)[step].indices_N.tolist())
        for seed in (0, 1)
        for step in (0, 1)
    }
    assert len(orders) == 4


def test_roles_show_the_same_scenes(numbers: Any) -> None:
    batch = FrameBatches(numbers(9, TRIPLET), 0, 4, 1, roles=("a", "c"))[0]
    assert set(batch.frames) == {"a", "c"}
    assert batch.frames["a"].dtype == torch.uint8
    assert torch.equal(batch.frames["c"], batch.frames["a"] + 200)


def test_what_can_not_be_shared_or_is_not_there_is_refused(numbers: Any) -> None:
    with pytest.raises(UsageError, match="30 frames can't be shared evenly by 4"):
        FrameBatches(numbers(9), 0, 30, 1, world=4)
    with pytest.raises(UsageError, match="without a partner 'c'"):
        FrameBatches(numbers(9), 0, 4, 1, roles=("a", "c"))


def test_spawned_workers_make_the_same_batches(dataset: Any) -> None:
    from magkit.selfsup.frames import open_frames

    batches = FrameBatches(open_frames(str(dataset("folder")), 32), 0, 4, 3, roles=TRIPLET)
    here = [batches[step] for step in range(3)]
    assert len(pickle.dumps(batches)) < 20_000, "what is remembered stays here"
    data: DataLoader[FrameBatch] = DataLoader(
        batches, batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    for found, truth in zip(data, here, strict=True):
        assert torch.equal(found.indices_N, truth.indices_N)
        assert all(torch.equal(found.frames[role], truth.frames[role]) for role in TRIPLET)
