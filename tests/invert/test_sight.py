"""Who shows where things are, and what is said of who doesn't."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit.cli.output import Output
from magkit.cli.verifier import warn_of_verifier
from magkit.invert.job import invert, plan_clips
from magkit.invert.judge import Judges, predicts_no_masks
from magkit.invert.targets.load import TargetChoice, load_target

CPU = torch.device("cpu")
SIZE = (64, 96)


@pytest.mark.parametrize("name", ["maskrcnn-small", "segmenter"])
def test_built_ins_show_masks(name: str) -> None:
    assert not predicts_no_masks(load_target(TargetChoice(name), CPU), SIZE, CPU)


def test_a_classifier_shows_none(tiny: Callable[..., TargetChoice]) -> None:
    assert predicts_no_masks(load_target(tiny(), CPU), SIZE, CPU)
    assert not predicts_no_masks(load_target(tiny("fault=blind"), CPU), SIZE, CPU), (
        "it says nothing"
    )


def test_a_job_of_masks_warns_of_a_classifier(
    small: Callable[..., Any],
    tiny: Callable[..., TargetChoice],
    tmp_path: Path,
    log: pytest.LogCaptureFixture,
) -> None:
    classifier = tiny("classes=bear,bird,cow")
    for number, targets in enumerate(([classifier], small().targets)):
        job = small(targets=targets, frames="first")
        invert(job, output=tmp_path / f"{number}")
    (warned,) = [each for each in log.records if "shows no masks" in each.getMessage()]
    assert warned.levelno == logging.WARNING
    assert "'tiny' names classes" in warned.getMessage()


def test_a_classifier_as_verifier_is_told(
    small: Callable[..., Any],
    tiny: Callable[..., TargetChoice],
    capsys: pytest.CaptureFixture[str],
) -> None:
    plans, out = plan_clips(small(classes=["any"])), Output()
    warn_of_verifier(out, Judges([], load_target(tiny(), CPU), CPU), plans)
    assert "'tiny' names classes and shows no masks: its J and F are 0" in capsys.readouterr().err
    warn_of_verifier(out, Judges([], load_target(small().targets[0], CPU), CPU), plans)
    assert capsys.readouterr().err == ""
