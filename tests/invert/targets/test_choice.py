"""What --target, --weights and --opt say."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch

from magkit.errors import MagkitError, UsageError
from magkit.invert.targets.load import TargetChoice, build_target, parse_targets

CPU = torch.device("cpu")


def test_one_target() -> None:
    assert parse_targets(["maskrcnn-small"], [], []) == [TargetChoice("maskrcnn-small")]
    found = parse_targets(["maskrcnn"], [Path("w.pth")], ["boxes=true"])
    assert found == [TargetChoice("maskrcnn", 1.0, Path("w.pth"), ("boxes=true",))]


def test_several_targets() -> None:
    found = parse_targets(["a=0.5", "b", "c=1e2"], [Path("1"), Path("2"), Path("3")], ["x=1"])
    assert [(each.name, each.weight, each.weights) for each in found] == [
        *(("a", 0.5, Path("1")), ("b", 1.0, Path("2")), ("c", 100.0, Path("3")))
    ]
    assert [tuple(each.options) for each in found] == [("x=1",), (), ()]
    assert all(each.weights is None for each in parse_targets(["a", "b"], [], []))


@pytest.mark.parametrize("text", ["a=", "a=0", "a=-1", "a=x", "a=nan", "a=inf", "a=1=2", "a=1,5"])
def test_weights_in_the_sum_are_above_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="is no target with a weight") as refused:
        parse_targets(["b", text], [], [])
    assert text in refused.value.message


@pytest.mark.parametrize("files", [1, 3])
def test_as_many_files_as_targets(files: int) -> None:
    with pytest.raises(UsageError, match=f"2 targets are named, and {files} weights files"):
        parse_targets(["a", "b"], [Path("w")] * files, [])


def test_a_target_of_a_file(weights: dict[str, Path]) -> None:
    choice = TargetChoice("segmenter", 0.5, weights["target"])
    found = build_target(choice, CPU)
    assert "bear" in found.classes
    assert choice.to_dict() == {
        "name": "segmenter",
        "weight": 0.5,
        "options": {},
        "weights": sha256(weights["target"].read_bytes()).hexdigest(),
    }


def test_options_reach_the_target(weights: dict[str, Path]) -> None:
    choice = TargetChoice("maskrcnn-small", weights=weights["maskrcnn-small"], options=["boxes=on"])
    found = build_target(choice, CPU)
    assert found.config.boxes  # type: ignore[attr-defined]
    assert choice.to_dict()["options"] == {"rois": "true", "proposals": False, "boxes": True}


def test_what_is_known_to_find_its_weights_has_no_hash() -> None:
    assert TargetChoice("maskrcnn").to_dict()["weights"] is None


@pytest.mark.parametrize("options", [["box=true"], ["boxes"], ["rois=all"]])
def test_options_that_are_wrong(options: list[str]) -> None:
    choice = TargetChoice("maskrcnn-small", options=options)
    with pytest.raises(UsageError, match=r"rois|boxes|box"):
        build_target(choice, CPU)
    with pytest.raises(UsageError, match=r"rois|boxes|box"):
        choice.to_dict()


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no target is named 'maskrcn'") as refused:
        build_target(TargetChoice("maskrcn"), CPU)
    assert "maskrcnn" in refused.value.hint


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    for name in ("segmenter", "maskrcnn-small", "maskrcnn", "maskrcnn-v2"):
        with pytest.raises(MagkitError, match=f"the weights of '{name}' are missing"):
            build_target(TargetChoice(name, weights=tmp_path / "none"), CPU)


def test_weights_of_another_target(weights: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="holds weights of the target 'segmenter'") as refused:
        build_target(TargetChoice("maskrcnn-small", weights=weights["target"]), CPU)
    assert refused.value.hint == "add --target segmenter"
