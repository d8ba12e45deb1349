"""Whole trainings of a tiny network: what comes out, and that nothing but the job determines it."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from magkit.errors import MagkitError, UsageError
from magkit.finetune.finetune import FinetuneJob, FinetuneResult, finetune
from magkit.finetune.initialization import Initialization
from magkit.finetune.task import SceneTask
from magkit.magnify import fast_spec
from magkit.magnify.encoder import EncoderInfo, save_encoder
from magkit.magnify.fast import FastEncoder
from magkit.magnify.load import load_magnifier
from magkit.runtime.weights import write_tensors
from magkit.training.metrics import read_metrics

TINY = FinetuneJob(
    magnifier="magnet-fast",
    options=("stem=8", "width=8", "guide=8", "hidden=8"),
    settings={"steps": 3, "batch": 1, "size": 64, "objects": "1,2", "save_every": 1},
    procedural=3,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    return finetune(TINY, output=tmp_path_factory.mktemp("runs") / "first", workers=0)


def same_weights(one: FinetuneResult, other: FinetuneResult) -> bool:
    left, right = load_file(one.run.model), load_file(other.run.model)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_a_run_holds_all_that_there_is_to_know(outcome: FinetuneResult) -> None:
    assert (outcome.steps, outcome.continued) == (3, 0)
    lines = read_metrics(outcome.run.metrics)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert outcome.metrics["loss"] == pytest.approx(np.mean([line["loss"] for line in lines]))
    config = json.loads((outcome.run.folder / "config.json").read_text())
    assert config["config"]["settings"]["objects"] == [1, 2]
    assert config["config"]["settings"]["lr"] == 1e-3, "the preset"
    assert config["made_with"]["torch"] == torch.__version__.partition("+")[0]
    picture = Image.open(outcome.run.samples / "step-000003.png")
    assert picture.size == (5 * 64 + 4 * 2, 4 * 64 + 3 * 2)


def test_the_result_is_the_average_and_loads_by_itself(outcome: FinetuneResult) -> None:
    with safe_open(outcome.run.model, "pt") as file:
        texts = file.metadata()
    assert (texts["magnifier"], texts["steps"], texts["seed"]) == ("magnet-fast", "3", "0")
    assert str(outcome.run.folder) not in str(texts)
    magnifier = load_magnifier("magnet-fast", outcome.run.model)
    saved = torch.load(outcome.run.folder / "checkpoint-3.pt", weights_only=True)["average"]
    assert all(torch.equal(saved[k], v) for k, v in magnifier.state_dict().items())  # type: ignore[attr-defined]


def test_the_number_of_workers_changes_nothing(outcome: FinetuneResult, tmp_path: Path) -> None:
    assert same_weights(finetune(TINY, output=tmp_path / "run", workers=1), outcome)


def test_a_resumed_run_equals_one_that_was_not_stopped(
    outcome: FinetuneResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    def stop(done: int, _: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        finetune(TINY, workers=0, progress=stop)
    assert not (tmp_path / "runs" / "finetune-001" / "model.safetensors").exists()
    log.clear()
    again = finetune(TINY, workers=0)
    assert again.run.folder == Path("runs/finetune-001")
    assert again.continued == 2
    assert "from step 2" in log.messages[0]
    assert same_weights(again, outcome)
    assert finetune(TINY, workers=0).run.folder == Path("runs/finetune-002"), "the first is done"


@pytest.mark.parametrize("config", ["", "{", "[1]", "null", "[" * 100_000, '{"stem": 1e400}'])
def test_weights_that_do_not_say_what_they_are(
    outcome: FinetuneResult, tmp_path: Path, config: str
) -> None:
    weights = tmp_path / "weights.safetensors"
    write_tensors(weights, load_file(outcome.run.model), {"config": config})
    job = replace(TINY, options=(), weights=weights)
    with pytest.raises(MagkitError):
        finetune(job, output=tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


def test_more_steps_train_a_finished_magnifier_further(
    outcome: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/finetune-001")
    shutil.copytree(outcome.run.folder, folder)
    longer = replace(TINY, settings={**TINY.settings, "steps": 5})
    again = finetune(longer, workers=0)
    assert (again.run.folder, again.continued, again.steps) == (folder, 3, 5)
    assert (folder / "model-3.safetensors").read_bytes() == outcome.run.model.read_bytes()
    assert not same_weights(again, outcome)
    assert finetune(TINY, workers=0).run.folder == Path("runs/finetune-002"), "fewer steps: anew"


def test_the_seed_and_the_data_determine_the_result(
    outcome: FinetuneResult, tmp_path: Path
) -> None:
    seeded = replace(TINY, settings={**TINY.settings, "seed": 1})
    more = replace(TINY, procedural=4)
    for number, job in enumerate((seeded, more)):
        other = finetune(job, output=tmp_path / str(number), workers=0)
        assert not same_weights(other, outcome)
        assert other.run.config != outcome.run.config


def test_weights_to_start_from_bring_their_configuration(
    outcome: FinetuneResult, tmp_path: Path
) -> None:
    job = replace(TINY, options=(), weights=outcome.run.model, half=True)
    job = replace(job, settings={**TINY.settings, "steps": 1, "lr": 1e-12})
    further = finetune(job, output=tmp_path / "run", workers=0)
    assert further.run.config["options"] == outcome.run.config["options"]
    left, right = load_file(outcome.run.model), load_file(further.run.model)
    assert {t.dtype for t in right.values()} == {torch.float16}
    assert all(torch.allclose(left[k], right[k].float(), rtol=1e-3, atol=1e-4) for k in left)


def test_options_over_recorded_ones_are_read_as_all_are(outcome: FinetuneResult) -> None:
    origin = Initialization(
        fast_spec.SPEC, (" stem =4", "width=x", "width = 4 "), outcome.run.model, None
    )
    with pytest.raises(UsageError, match="'width' of magnifier 'magnet-fast'"):
        replace(origin, options=origin.options[:2]).config()
    assert origin.config() == fast_spec.FastConfig(stem=4, width=4, guide=8, hidden=8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained encoder as a file; not of the sizes that TINY asks for."""
    config = fast_spec.FastConfig(stem=12, width=8, guide=8, hidden=8)
    torch.manual_seed(5)
    state = FastEncoder(config).state_dict()
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    about = EncoderInfo(
        magnifier="magnet-fast",
        config=asdict(config),
        branches=("texture", "motion"),
        method="byol",
        steps=9,
    )
    save_encoder(path, state, about)
    return path


def further(encoder: Path | None, **settings: object) -> FinetuneJob:
    return replace(TINY, options=(), encoder=encoder, settings={**TINY.settings, **settings})


def test_a_frozen_encoder_stays_as_it_was_loaded(
    encoder: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    job = further(encoder, freeze=3)
    outcome = finetune(job, output=tmp_path / "run", workers=0)
    there, made = load_file(encoder), load_file(outcome.run.model)
    assert all(torch.equal(made[key], there[key]) for key in there)
    assert outcome.run.config["options"]["stem"] == 12, "the encoder's configuration"
    report = outcome.encoder
    assert report is not None
    assert report.parameters == sum(value.numel() for value in there.values())
    assert [group.name for group in report.groups] == ["trunk", "texture+motion", "rest"]
    assert (
        f"loaded {report.parameters:,} parameters of {encoder} (byol, 9 steps)" in log.messages[0]
    )


def test_an_encoder_and_how_it_learns_determine_the_run(encoder: Path, tmp_path: Path) -> None:
    jobs = {
        "free": further(encoder),
        "slow": further(encoder, encoder_lr=0.1),
        "waiting": further(encoder, freeze=2),
        "random": replace(further(None), options=("stem=12", "width=8", "guide=8", "hidden=8")),
    }
    made = {name: finetune(job, output=tmp_path / name, workers=0) for name, job in jobs.items()}
    configs = [json.dumps(outcome.run.config, sort_keys=True) for outcome in made.values()]
    assert len(set(configs)) == 4
    first = load_file(encoder)["encoder.layers.0.weight"]
    moved = {
        name: (load_file(outcome.run.model)["encoder.layers.0.weight"] - first).abs().max()
        for name, outcome in made.items()
    }
    assert 0 < moved["waiting"] < moved["free"] < moved["random"]
    assert moved["slow"].item() == pytest.approx(0.1 * moved["free"].item(), rel=0.3)


def test_a_training_goes_on_with_a_frozen_encoder(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while the encoder waits, it equals one that was not stopped."""
    job = further(encoder, freeze=2, encoder_lr=0.5, steps=4)

    def stop(done: int, _: int | None) -> None:
        if done == 1:
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        finetune(job, workers=0, progress=stop)
    again = finetune(job, workers=0)
    assert (again.run.folder, again.continued) == (Path("runs/finetune-001"), 1)
    assert same_weights(again, finetune(job, output=tmp_path / "whole", workers=0))


def test_encoders_that_are_refused(outcome: FinetuneResult, encoder: Path, tmp_path: Path) -> None:
    job = further(encoder)
    refused = [
        (replace(job, weights=outcome.run.model), UsageError, "exclude each other"),
        (replace(job, encoder=tmp_path / "none"), MagkitError, "there is no encoder"),
        (replace(job, encoder=outcome.run.folder), MagkitError, "'finetune', not of 'pretrain'"),
        (replace(job, encoder=outcome.run.model), MagkitError, "holds no encoder"),
        (replace(job, magnifier="magnet"), UsageError, "of 'magnet-fast', not of 'magnet'"),
        (replace(job, options=("stem=8",)), MagkitError, "does not fit"),
        (further(encoder, freeze=-1), UsageError, "freeze must not be negative"),
        (further(encoder, encoder_lr=0), UsageError, "encoder_lr must be above 0"),
    ]
    for wrong, kind, words in refused:
        with pytest.raises(kind) as caught:
            finetune(wrong, output=tmp_path / "run", workers=0)
        assert words in caught.value.message
        assert not (tmp_path / "run").exists()


def test_pictures_and_coco_objects(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "train2017"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (150, 200, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "one.png")
    square = [40, 40, 90, 40, 90, 90, 40, 90]
    coco = {
        "images": [{"id": 1, "file_name": "one.png", "width": 200, "height": 150}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "iscrowd": 0,
                "area": 2500,
                "bbox": [40, 40, 50, 50],
                "segmentation": [square],
            }
        ],
    }
    objects = tmp_path / "annotations" / "instances_train2017.json"
    objects.parent.mkdir()
    objects.write_text(json.dumps(coco))
    job = replace(TINY, objects=(str(objects),), procedural=0)
    outcome = finetune(job, output=tmp_path / "run", workers=0)
    assert any("on 1 pictures and 1 objects" in text for text in log.messages)
    assert [part["count"] for part in outcome.run.config["data"]["objects"]] == [1]


def test_an_error_in_a_worker_is_one_sentence(tmp_path: Path) -> None:
    """The picture's header is whole, so that only the process that renders finds out."""
    path = tmp_path / "pictures" / "broken.png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(MagkitError) as caught:
        finetune(replace(TINY, images=(str(path.parent),)), output=tmp_path / "run", workers=1)
    assert str(path.parent) in caught.value.message
    assert "Traceback" not in caught.value.message


def test_what_can_not_be_trained_is_refused_before_anything_is_written(
    outcome: FinetuneResult, tmp_path: Path
) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    other = ("stem=12", "width=8", "guide=8", "hidden=8")
    refused = [
        (replace(TINY, magnifier="magnett"), UsageError, "no magnifier"),
        (replace(TINY, options=("stemm=8",)), UsageError, "'stemm'"),
        (replace(TINY, settings={**TINY.settings, "size": 60}), UsageError, "60 pixels"),
        (replace(TINY, weights=tmp_path / "none"), MagkitError, "no weights file"),
        (replace(TINY, weights=tmp_path / "text.safetensors"), MagkitError, "not a weights file"),
        (replace(TINY, weights=outcome.run.model, options=other), MagkitError, "does not fit"),
        (replace(TINY, images=(str(tmp_path / "none"),)), MagkitError, "no folder"),
        (replace(TINY, objects=(str(tmp_path / "none.json"),)), MagkitError, "none.json"),
        (replace(TINY, object_images=str(tmp_path)), UsageError, "no objects"),
        (replace(TINY, procedural=-1), UsageError, "negative"),
    ]
    for job, kind, words in refused:
        with pytest.raises(kind) as caught:
            finetune(job, output=tmp_path / "run", workers=0)
        assert words in f"{caught.value.message} {caught.value.hint}".replace("There is no", "no")
        assert not (tmp_path / "run").exists()


def test_a_training_lowers_its_loss(tmp_path: Path) -> None:
    """On one batch made once, so that the fall can't be chance."""
    job = replace(TINY, settings={**TINY.settings, "steps": 60, "warmup": 5, "save_every": 60})

    def repeated(task: SceneTask, start: int) -> object:
        first = next(iter(original(task, start)))
        return (first for _ in range(60))

    original = SceneTask.batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SceneTask, "batches", repeated)
        outcome = finetune(job, output=tmp_path / "run", workers=0)
    losses = [line["loss"] for line in read_metrics(outcome.run.metrics)]
    assert np.mean(losses[-5:]) < 0.8 * losses[0]
