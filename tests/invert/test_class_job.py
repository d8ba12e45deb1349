"""Jobs of classes: what is made, and that it is the same whoever makes it and whenever."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.invert import optimizer
from magkit.invert.frames_on_disk import OutputFolder, read_image
from magkit.invert.job import ClassJob, Inverted, invert
from magkit.invert.optimize import OptimState, noise_state
from magkit.invert.optimizer import ClassOptimizer, picture_key
from magkit.invert.plan import plan_classes
from magkit.invert.settings import make_settings
from magkit.invert.targets.load import TargetChoice, load_target
from magkit.runtime.shard import Shard

Colours = Callable[..., ClassJob]
Tiny = Callable[..., TargetChoice]
CPU = torch.device("cpu")


def pictures_in(folder: Path) -> dict[str, bytes]:
    found = sorted(folder.glob("classes/*/*.png"))
    return {path.relative_to(folder / "classes").as_posix(): path.read_bytes() for path in found}


def test_pictures_of_every_class(colours: Colours, tiny: Tiny, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    done = invert(
        colours({"iterations": 25}),
        output=tmp_path / "run",
        progress=lambda made, total: told.append((made, total)),
    )
    assert isinstance(done, Inverted)
    assert (done.written, done.complete) == (9, True)
    assert done.seconds > 0
    made = pictures_in(tmp_path / "run")
    assert list(made) == [f"{c}/{n:02d}.png" for c in ("blue", "green", "red") for n in range(3)]
    assert len(set(made.values())) == 9, "all pictures differ"
    target = load_target(tiny(), CPU).target
    for name in made:
        shown = read_image(tmp_path / "run" / "classes" / name)
        assert shown.shape == (3, 32, 48)
        assert target.predict(shown[None])[0][0].label == name.split("/")[0]
    steps = [made for made, _ in told]
    assert steps == sorted(steps)
    assert (told[0], told[-1]) == ((0, 50), (50, 50)), "two batches"
    record = json.loads((tmp_path / "run" / "records" / "red" / "01.json").read_text())
    assert (record["class"], record["steps"]) == ("red", 25)
    assert set(record["terms"]) == {"class", "bn", "var_l1"}
    left = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert left == ["classes", "config.json", "records"], "no state, nothing temporary"


@pytest.fixture
def undisturbed(colours: Colours, tmp_path: Path) -> dict[str, bytes]:
    """The pictures that one process makes."""
    return pictures_in(invert(colours(), output=tmp_path / "undisturbed").run.folder)


def test_the_same_job_makes_the_same_bytes(
    colours: Colours, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    invert(colours(), output=tmp_path / "again")
    assert pictures_in(tmp_path / "again") == undisturbed
    invert(colours({"seed": 1}), output=tmp_path / "other")
    other = pictures_in(tmp_path / "other")
    assert other.keys() == undisturbed.keys()
    assert not set(other.values()) & set(undisturbed.values())


@pytest.mark.parametrize("order", [(2, 1), (3, 1, 2)])
def test_shares_together_make_what_one_process_makes(
    colours: Colours, tmp_path: Path, undisturbed: dict[str, bytes], order: tuple[int, ...]
) -> None:
    shares = [
        invert(colours(), output=tmp_path / "run", share=Shard(number, max(order)))
        for number in order
    ]
    assert shares[-1].complete
    assert not shares[0].complete
    assert sum(done.written for done in shares) == 9
    assert pictures_in(tmp_path / "run") == undisturbed
    again = invert(colours(), output=tmp_path / "run", share=Shard(1, 2))
    assert (again.written, again.complete) == (0, True)


def test_shares_need_a_folder(colours: Colours) -> None:
    with pytest.raises(UsageError, match="need to be told its folder"):
        invert(colours(), share=Shard(1, 2))


class KilledError(Exception):
    """In place of a process' death."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Saves after each step; counts the steps; `limit` is the one after which the process dies."""
    counts, keep = {"done": 0, "limit": -1}, OutputFolder.save_state

    def counted(folder: OutputFolder, stem: str, position: OptimState) -> None:
        keep(folder, stem, position)
        counts["done"] += 1
        if counts["done"] == counts["limit"]:
            raise KilledError

    monkeypatch.setattr(optimizer, "SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(OutputFolder, "save_state", counted)
    return counts


@pytest.mark.parametrize(("limit", "batch"), [(2, 0), (6, 0), (9, 1)])
def test_a_batch_stopped_in_its_middle_goes_on_from_there(
    colours: Colours,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    steps: dict[str, int],
    limit: int,
    batch: int,
) -> None:
    steps |= {"done": 0, "limit": limit}
    with pytest.raises(KilledError):
        invert(colours(), output=tmp_path / "run")
    state = tmp_path / "run" / f"state-batch-{batch:03d}.pt"
    assert state.is_file()
    assert len(pictures_in(tmp_path / "run")) == 5 * batch
    steps |= {"done": 0, "limit": -1}
    done = invert(colours(), output=tmp_path / "run")
    assert steps["done"] == 12 - limit, "no step is done twice"
    assert done.written == 9 - 5 * batch
    assert pictures_in(tmp_path / "run") == undisturbed
    assert not state.exists()


def test_a_damaged_state_costs_its_batch_alone(
    colours: Colours, tmp_path: Path, undisturbed: dict[str, bytes], steps: dict[str, int]
) -> None:
    steps |= {"done": 0, "limit": 9}
    with pytest.raises(KilledError):
        invert(colours(), output=tmp_path / "run")
    state = tmp_path / "run" / "state-batch-001.pt"
    state.write_bytes(state.read_bytes()[:-200])
    steps |= {"done": 0, "limit": -1}
    invert(colours(), output=tmp_path / "run")
    assert steps["done"] == 6
    assert pictures_in(tmp_path / "run") == undisturbed


def test_stopped_between_two_pictures_of_a_batch(
    colours: Colours,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, written = OutputFolder.write, list[str]()

    def stopped(folder: OutputFolder, stem: str, x: Any, record: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(stem)
        write(folder, stem, x, record)

    with monkeypatch.context() as patch:
        patch.setattr(OutputFolder, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            invert(colours(), output=tmp_path / "run")
    assert len(pictures_in(tmp_path / "run")) == 2
    assert invert(colours(), output=tmp_path / "run").written == 7
    assert pictures_in(tmp_path / "run") == undisturbed


def test_an_unfinished_run_is_found(
    colours: Colours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [invert(colours(), new=new).run.folder.name for new in (False, False, True)]
    assert folders == ["invert-001", "invert-001", "invert-002"]
    assert invert(colours(per_class=2)).run.folder.name == "invert-003"


def test_another_job_is_refused(colours: Colours, tiny: Tiny, tmp_path: Path) -> None:
    invert(colours(per_class=1), output=tmp_path / "run")
    before = pictures_in(tmp_path / "run")
    for words, other in {
        "per_class is 1 there, 2 here": colours(per_class=2),
        "labels is": colours(per_class=1, classes="red"),
        "bn is": colours({"bn": 2.5}, per_class=1),
        "targets is": colours(per_class=1, targets=[tiny("seed=1")]),
    }.items():
        with pytest.raises(MagkitError, match="holds another run") as caught:
            invert(other, output=tmp_path / "run")
        assert words in caught.value.message
    assert pictures_in(tmp_path / "run") == before


def test_a_picture_s_start_depends_on_no_other_picture(tiny: Tiny) -> None:
    starts = []
    for asked, per_class, batch in (("all", 3, 9), ("blue,green", 2, 3)):
        targets, settings = [load_target(tiny(), CPU)], make_settings("classes", {"batch": batch})
        plan = plan_classes(asked, per_class, targets, settings)
        found = {}
        for each in plan.batches():
            position = noise_state((32, 48), settings, list(map(picture_key, each)))
            found.update({p.stem: x for p, x in zip(each, position.x_N3HW, strict=True)})
        starts.append(found)
    assert len(starts[1]) == 4
    for stem, x in starts[1].items():
        assert torch.equal(x, starts[0][stem])
    everything = torch.stack(list(starts[0].values()))
    assert len(torch.unique(everything[:, 0, 0, 0])) == 9


def test_what_is_minimised_is_of_the_whole_batch(tiny: Tiny, tmp_path: Path) -> None:
    """Against the formulas, in double precision with NumPy."""
    targets = [load_target(tiny("seed=4"), CPU)]
    settings = make_settings(
        "classes", {"bn": 3, "label": 2, "var_l1": 0, "var_l2": 0, "bn_form": "scaled"}
    )
    plan = plan_classes("blue,red", 2, targets, settings)
    (batch,) = plan.batches()
    maker = ClassOptimizer(plan, targets, OutputFolder(tmp_path), CPU)
    x = noise_state((32, 48), settings, list(map(picture_key, batch))).x_N3HW
    terms = maker.objective(batch).terms(x)
    mean, std = (np.array(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images = x.double().numpy() * std + mean
    body = targets[0].target.body  # type: ignore[attr-defined]
    kernel = body[0].weight.double().numpy()
    wide = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    maps = sum(
        np.einsum("oc,nchw->nohw", kernel[:, :, i, j], wide[:, :, i : i + 32, j : j + 48])
        for i in range(3)
        for j in range(3)
    )
    centre, spread = maps.mean((0, 2, 3)), maps.var((0, 2, 3)) + 1e-5
    known = 1 + 1e-5
    apart = ((centre - 1.8) ** 2 / known + (np.sqrt(spread / known) - 1) ** 2).mean()
    assert float(terms["bn"]) == pytest.approx(3 * apart, rel=1e-4)
    means = np.maximum((maps - 1.8) / np.sqrt(1 + body[1].eps), 0).mean((2, 3))
    logits = means @ (6 * np.eye(3) - 2).T
    numbers = [{"red": 0, "blue": 2}[each.label] for each in batch]
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    entropy = -logs[range(4), numbers].mean()
    assert float(terms["class"]) == pytest.approx(2 * entropy, rel=1e-4)


def test_several_targets_share_the_pictures(colours: Colours, tiny: Tiny, tmp_path: Path) -> None:
    both = [tiny(), TargetChoice("tiny", weight=0.5, options=("seed=7",))]
    invert(colours(targets=both, per_class=1), output=tmp_path / "run")
    record = json.loads((tmp_path / "run" / "records" / "red" / "00.json").read_text())
    assert {"tiny 1 class", "tiny 2 class", "tiny 1 bn", "tiny 2 bn"} <= set(record["terms"])


def test_a_loss_that_is_no_number(colours: Colours, tiny: Tiny, tmp_path: Path) -> None:
    job = colours(targets=[tiny("fault=nan")])
    with pytest.raises(MagkitError, match="batch-000: the loss is no number after 0 steps"):
        invert(job, output=tmp_path / "run")
    assert not pictures_in(tmp_path / "run")


def test_nothing_is_asked_for(colours: Colours, tmp_path: Path) -> None:
    job = colours(dict.fromkeys(("label", "bn", "var_l1", "var_l2"), 0))
    with pytest.raises(UsageError, match="all weights are 0"):
        invert(job, output=tmp_path / "run")


def test_contrast_that_is_lost_is_warned_of(
    colours: Colours, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    settings = {"var_l1": 1000, "bn": 0, "iterations": 30, "lr": 0.3, "spectrum": "white"}
    invert(colours(settings, per_class=1), output=tmp_path / "run")
    assert any("batch-000 has lost its contrast" in text for text in log.messages)


def test_snapshots(colours: Colours, tmp_path: Path) -> None:
    invert(colours(), output=tmp_path / "run", snapshots=3)
    names = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert names == [f"batch-{b:03d}-{s:05d}.png" for b in (0, 1) for s in (3, 6)]
    with Image.open(tmp_path / "run" / "snapshots" / names[0]) as image:
        assert image.size == (3 * (48 + 4), 2 * (32 + 4)), "five pictures in rows of three"
