"""Batches: the same from any step on, by any number of processes, with any memory."""

import dataclasses
import logging
import pickle

import pytest
import torch

from magkit.runtime.loader import load_batches
from magkit.synth import sources as cache_module
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources
from magkit.synth.scene import SceneConfig
from magkit.synth.sources import TensorCache
from magkit.synth.stream import SceneBatches
from magkit.synth.triplets import Degradation, Triplets, batch_share

CONFIG = SceneConfig(size=32, objects=(2, 3))


def batches(sources: Sources, steps: int = 4) -> SceneBatches:
    return SceneBatches(CONFIG, sources, seed=1, batch=2, steps=steps)


def equal(one: Triplets, other: Triplets) -> bool:
    return all(
        torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)
    )


def test_a_batch_is_a_function_of_its_step(procedural: Sources) -> None:
    data = batches(procedural)
    forwards = [data[step] for step in range(4)]
    assert all(equal(data[step], forwards[step]) for step in (3, 0, 2, 1))
    assert not torch.equal(forwards[0].a, forwards[1].a)
    assert forwards[0].a.shape == (2, 3, 32, 32)


def test_a_small_memory_changes_nothing(procedural: Sources) -> None:
    tiny = Sources(ProceduralPictures(12, TensorCache(1)), ProceduralCutouts(12, TensorCache(1)))
    assert equal(batches(procedural)[2], batches(tiny)[2])


def test_a_start_in_the_middle(procedural: Sources) -> None:
    data = batches(procedural)
    made = list(load_batches(data, 2, workers=0))
    assert len(made) == 2
    assert equal(made[0], data[2])


def test_other_processes_render_the_same(procedural: Sources) -> None:
    data = batches(procedural, 3)
    made = list(load_batches(data, 0, workers=2))
    assert len(made) == 3
    assert all(equal(batch, data[step]) for step, batch in enumerate(made))


@pytest.mark.parametrize("world", [2, 3, 6])
def test_the_shares_of_processes_are_the_batch(procedural: Sources, world: int) -> None:
    config = SceneConfig(size=32, objects=(1, 2), deform=0.3)
    kind = Degradation(noise=0.5, read_noise=0.1, coded=0.5, x264=0.6)
    for step in (0, 1):
        whole = SceneBatches(config, procedural, 4, 6, 2, kind)[step]
        shares = [
            SceneBatches(config, procedural, 4, 6, 2, kind, rank, world)[step]
            for rank in range(world)
        ]
        assert {len(share.factor) for share in shares} == {6 // world}
        for f in dataclasses.fields(whole):
            joined = torch.cat([getattr(share, f.name) for share in shares])
            assert torch.equal(joined, getattr(whole, f.name))


def test_a_process_makes_its_share_and_what_is_coded_with_it() -> None:
    plain, coded = Degradation(coded=1.0), Degradation(x264=1.0)
    assert batch_share(12, 1, 4, plain, 0, 0).places == (3, 4, 5)
    assert batch_share(12, 1, 4, coded, 0, 0).places == tuple(range(8))
    assert batch_share(8, 1, 2, coded, 0, 0).places == (4, 5, 6, 7)
    some = [batch_share(12, 1, 4, Degradation(x264=0.1), 0, step).places for step in range(40)]
    assert sum(places == (3, 4, 5) for places in some) > 20, "alone if none of its own is coded"
    assert max(map(len, some)) > 3


def test_the_memory_has_a_bound_and_forgets_the_oldest() -> None:
    cache = TensorCache(1000)
    made = []

    def get(key: int) -> torch.Tensor:
        def make() -> torch.Tensor:
            made.append(key)
            return torch.full((100,), float(key))

        return cache.get(key, make)

    for key in (0, 0, 1, 0, 2):
        assert get(key)[0] == key
    assert cache.size <= 1000
    get(1)
    assert made == [0, 1, 2, 1]


def test_the_memory_is_not_sent_to_other_processes() -> None:
    cache = TensorCache(12345)
    cache.get("x", lambda: torch.zeros(1000))
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.capacity == 12345
    assert copy.size == 0
    assert len(pickle.dumps(cache)) < 500


def test_one_item_may_be_larger_than_the_memory() -> None:
    assert TensorCache(10).get("x", lambda: torch.ones(100)).sum() == pytest.approx(100)


def test_freed_memory_is_given_back_as_the_memo_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    cache = TensorCache(1 << 20)
    monkeypatch.setattr(cache_module, "TRIM_BYTES", 3000)
    monkeypatch.setattr(cache_module, "trim_memory", lambda: given.append(cache.size))
    for number in [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]:
        cache.get(number, lambda: torch.zeros(1000, dtype=torch.uint8))
    assert given == [4000, 8000]
    assert 7 in cache
    assert 8 not in cache


class Complaining:
    """Numbered batches that warn."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, step: int) -> int:
        logging.getLogger("magkit.x").warning("batch %d is odd", step)
        return step


@pytest.mark.parametrize("workers", [0, 1])
def test_what_workers_log_is_heard(workers: int, log: pytest.LogCaptureFixture) -> None:
    assert list(load_batches(Complaining(), 0, workers)) == [0, 1]
    assert log.messages == ["batch 0 is odd", "batch 1 is odd"]
