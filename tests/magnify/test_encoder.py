"""Encoders as files and into magnifiers: what is loaded, said and refused."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from magkit.errors import MagkitError, UsageError
from magkit.magnify import fast_spec, magnet_spec
from magkit.magnify.encoder import EncoderInfo, LoadReport, load_encoder, read_info, save_encoder
from magkit.magnify.fast import MagnetFast
from magkit.magnify.load import save_weights
from magkit.specs import MagnifierSpec
from magkit.training.run import open_run

FAST = fast_spec.FastConfig(stem=8, width=8, guide=8, hidden=8)


def info(spec: MagnifierSpec[Any], config: Any, *branches: str) -> EncoderInfo:
    trained = branches or ("texture", "motion")
    return EncoderInfo(
        magnifier=spec.name, config=asdict(config), branches=trained, method="byol", steps=7
    )


def written(path: Path, spec: MagnifierSpec[Any], config: Any, *branches: str) -> Path:
    assert spec.encoder is not None
    torch.manual_seed(3)
    state = spec.encoder.build(config).state_dict()
    save_encoder(path, state, info(spec, config, *branches), overwrite=True)
    return path


@pytest.fixture
def fast(tmp_path: Path) -> Path:
    return written(tmp_path / "fast.safetensors", fast_spec.SPEC, FAST)


def load(path: Path, spec: MagnifierSpec[Any] = fast_spec.SPEC, config: Any = FAST) -> LoadReport:
    model: Any = spec.build(config)
    return load_encoder(model, spec, path, config)


def test_all_of_magnets_encoder_is_loaded(tmp_path: Path) -> None:
    spec, config = magnet_spec.SPEC, magnet_spec.MagnetConfig()
    path = written(tmp_path / "encoder.safetensors", spec, config)
    model: Any = spec.build(config)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    report = load_encoder(model, spec, path, config)
    assert report.parameters == 154_416
    trunk, texture, motion, rest = report.groups
    assert (trunk.name, trunk.parameters, trunk.loaded) == ("trunk", 62_256, True)
    assert (texture.parameters, motion.parameters) == (46_080, 46_080)
    assert (rest.loaded, rest.parameters) == (False, 877_968 - 154_416)
    there = load_file(path)
    for key, value in model.state_dict().items():
        assert torch.equal(value, there[key] if key.startswith("encoder.") else before[key])
    assert not all(torch.equal(before[key], there[key]) for key in there)
    shown = report.as_dict()
    assert (shown["method"], shown["steps"], shown["parameters"]) == ("byol", 7, 154_416)
    json.dumps({**shown, "path": str(shown["path"])})


def test_a_branch_that_was_not_trained_is_left_as_it_is(tmp_path: Path) -> None:
    spec, config = magnet_spec.SPEC, magnet_spec.MagnetConfig()
    path = written(tmp_path / "encoder.safetensors", spec, config, "motion")
    model: Any = spec.build(config)
    before = model.encoder.texture_cba.conv2d.weight.clone()
    report = load_encoder(model, spec, path, config)
    assert [group.loaded for group in report.groups] == [True, False, True, False]
    assert report.groups[1].why == "texture not trained in that run"
    assert torch.equal(model.encoder.texture_cba.conv2d.weight, before)
    motion = load_file(path)["encoder.motion_cba.conv2d.weight"]
    assert torch.equal(model.encoder.motion_cba.conv2d.weight, motion)


def test_a_layer_of_two_branches_is_loaded_if_one_was_trained(tmp_path: Path) -> None:
    path = written(tmp_path / "encoder.safetensors", fast_spec.SPEC, FAST, "motion")
    trunk, both, _ = load(path).groups
    assert trunk.loaded
    assert both.loaded
    assert both.why == "its part of texture not trained in that run"


def test_equal_encoders_are_equal_files(tmp_path: Path) -> None:
    """The library alone would write the texts in an order of chance."""
    contents = {
        written(tmp_path / f"{n}.safetensors", fast_spec.SPEC, FAST).read_bytes() for n in range(20)
    }
    assert len(contents) == 1
    state = load_file(tmp_path / "0.safetensors")
    save_encoder(
        tmp_path / "again.safetensors",
        dict(reversed(state.items())),
        info(fast_spec.SPEC, FAST, "motion", "texture"),
    )
    assert (tmp_path / "again.safetensors").read_bytes() in contents
    assert read_info(tmp_path / "0.safetensors").branches == ("motion", "texture")


def test_texts_of_any_letters_survive(tmp_path: Path) -> None:
    path, odd = tmp_path / "odd.safetensors", replace(info(fast_spec.SPEC, FAST), method='é"\\✓')
    save_encoder(path, {"x": torch.ones(3)}, odd)
    assert read_info(path).method == 'é"\\✓'
    assert torch.equal(load_file(path)["x"], torch.ones(3))


def test_the_result_of_a_run(fast: Path, tmp_path: Path) -> None:
    run = open_run("pretrain", {}, made_with={}, output=tmp_path / "run")
    with pytest.raises(MagkitError, match="isn't finished"):
        load(run.folder)
    run.model.write_bytes(fast.read_bytes())
    assert load(run.folder).path == run.model
    other = open_run("finetune", {}, made_with={}, output=tmp_path / "other")
    with pytest.raises(MagkitError, match="a run of 'finetune', not of 'pretrain'"):
        load(other.folder)


def test_what_is_refused(fast: Path, tmp_path: Path) -> None:
    content = fast.read_bytes()
    cases = {
        "cut": content[: len(content) // 2],
        "short": content[:5],
        "empty": b"",
        "text": b"no encoder at all, but a text of some length",
        "greedy": (2**62).to_bytes(8, "little") + content[8:],
        "pickle": b"\x80\x04K\x00.",
    }
    for name, stuff in cases.items():
        (tmp_path / name).write_bytes(stuff)
        with pytest.raises(MagkitError, match=f"{name} is no safetensors file") as caught:
            load(tmp_path / name)
        assert caught.value.hint
    with pytest.raises(MagkitError, match="there is no encoder"):
        load(tmp_path / "nowhere")
    with pytest.raises(MagkitError, match="not the folder of a run"):
        load(tmp_path)
    model: Any = MagnetFast(FAST)
    save_weights(tmp_path / "whole", model, {"magnifier": "magnet-fast"})
    with pytest.raises(MagkitError, match="holds no encoder but weights of 'magnet-fast'"):
        load(tmp_path / "whole")
    with pytest.raises(UsageError, match="of 'magnet-fast', not of 'magnet'") as wrong:
        load(fast, magnet_spec.SPEC, magnet_spec.MagnetConfig())
    assert wrong.value.hint == "add --magnifier magnet-fast"


def test_other_sizes_are_refused(fast: Path) -> None:
    with pytest.raises(MagkitError, match=r"encoder\.layers\.0\.weight is 8x3x8x8, not 12x3x8x8"):
        load(fast, config=replace(FAST, stem=12))


def test_sizes_beyond_the_encoder_are_free(fast: Path) -> None:
    assert load(fast, config=replace(FAST, hidden=16)).parameters > 0


def test_another_range_of_frames_is_refused(tmp_path: Path) -> None:
    spec, config = magnet_spec.SPEC, magnet_spec.MagnetConfig()
    path = written(tmp_path / "encoder.safetensors", spec, config)
    with pytest.raises(UsageError, match="another signed"):
        load(path, spec, replace(config, signed=False))
    load(path, spec, replace(config, kernel=5))


def damaged(path: Path, **changes: str | None) -> None:
    """Write a file anew with other texts; None leaves one out."""
    about = {
        "kind": "encoder",
        "magnifier": "magnet-fast",
        "config": json.dumps(asdict(FAST)),
        "branches": '["motion"]',
        "method": "byol",
        "steps": "1",
        "magkit": "1",
    }
    texts = {k: v for k, v in {**about, **changes}.items() if v is not None}
    save_file(load_file(path), path, texts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": "{"}, "does not say what encoder"),
        ({"config": "[]"}, "does not say what encoder"),
        ({"config": "[" * 100_000}, "does not say what encoder"),
        ({"branches": "3"}, "does not say what encoder"),
        ({"steps": "many"}, "does not say what encoder"),
        ({"method": None}, "does not say what encoder"),
        ({"kind": None}, "holds no encoder"),
        ({"config": '{"width": 2}'}, "at least 4"),
        ({"config": '{"wide": 8}'}, "'wide'"),
        ({"config": '{"stem": 8, "width": 100000000}'}, "does not fit"),
        ({"config": '{"stem": 8, "width": 1000000000000000000}'}, "no encoder can be built"),
        ({"config": f'{{"stem": 8, "width": 1{"0" * 300}}}'}, "no encoder can be built"),
    ],
)
def test_texts_that_lie(fast: Path, changes: dict[str, str | None], words: str) -> None:
    damaged(fast, **changes)
    with pytest.raises(MagkitError) as caught:
        load(fast)
    assert words in caught.value.message


def test_missing_stray_and_broken_tensors(fast: Path) -> None:
    whole, name = load_file(fast), "encoder.layers.4.bias"
    for tensors, words in (
        ({k: v for k, v in whole.items() if k != name}, f"{name} is missing"),
        ({**whole, "head": torch.ones(1)}, "head is unknown"),
        ({**whole, name: torch.full((16,), float("nan"))}, f"non-finite values, in {name}"),
    ):
        save_file(tensors, fast)
        damaged(fast)
        with pytest.raises(MagkitError, match=words):
            load(fast)


def test_a_huge_file_is_refused_unread(fast: Path, tmp_path: Path) -> None:
    """A terabyte that isn't there: reading it would take forever, or all memory."""
    size = 2**40
    header = {
        "__metadata__": {
            **asdict(info(fast_spec.SPEC, FAST)),
            "kind": "encoder",
            "steps": "1",
            "config": json.dumps(asdict(FAST)),
            "branches": "[]",
        },
        "encoder.layers.0.weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]},
    }
    text = json.dumps(header).encode()
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        try:
            file.truncate(8 + len(text) + size)
        except OSError:
            pytest.skip("this file system has no sparse files of a terabyte")
    with pytest.raises(MagkitError, match=r"does not fit|too large"):
        load(path)


def test_nothing_is_written_over_or_of_no_numbers(fast: Path, tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="exists"):
        save_encoder(fast, load_file(fast), info(fast_spec.SPEC, FAST))
    bad = {"x": torch.tensor([float("inf")])}
    with pytest.raises(MagkitError, match="non-finite values, in x"):
        save_encoder(tmp_path / "bad", bad, info(fast_spec.SPEC, FAST))
    assert not (tmp_path / "bad").exists()
