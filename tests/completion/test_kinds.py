"""What completes what, for the real commands and for those that may come."""

import pytest

from magkit.cli.command_tree import command_tree
from magkit.completion.kinds import UNSET, argument_values, option_values
from magkit.completion.tree import Command, Values
from magkit.completion.values import KINDS
from magkit.plugins import registry


def found(line: str, flag: str) -> Values | None:
    """What follows a flag of a command."""
    command = next(each for each in command_tree().walk() if each.line == f"magkit {line}")
    return next(option.values for option in command.options if flag in option.flags)


@pytest.mark.parametrize(
    ("line", "flag", "values"),
    [
        ("pretrain", "--method", Values(ask=("methods",))),
        ("pretrain", "--opt", Values(ask=("options", "method", "--method"))),
        (
            "pretrain",
            "--magnifier-opt",
            Values(ask=("options", "magnifier", "--magnifier", "magnet-fast")),
        ),
        ("pretrain", "--preset", Values(ask=("presets", "--method"))),
        ("pretrain", "--train", Values(ask=("settings", "pretrain"))),
        ("pretrain", "--steps", Values()),
        ("pretrain", "--new", None),
        ("pretrain", "-o", Values(paths="folders")),
        ("finetune", "--encoder", Values(ask=("runs", "pretrain"), paths="files")),
        ("finetune", "--weights", Values(paths="files")),
        ("magnify", "--weights", Values(ask=("weights",), paths="files")),
        ("magnify", "--mode", Values(("static", "dynamic"))),
        ("magnify", "--opt", Values(ask=("options", "magnifier", "--magnifier", "magnet-fast"))),
        ("magnify", "--device", Values(("auto", "cpu", "cuda", "mps"))),
        ("magnify", "-f", Values()),
        ("gen-data", "--preset", Values(("paper", "seed-triplets", "seed-frames"))),
        ("gen-data", "--images", Values(paths="files")),
        ("invert", "--video", Values(("all",), ask=("videos",))),
        ("invert", "--davis", Values(paths="folders")),
        ("invert", "--target", Values(ask=("targets",))),
        ("invert", "--opt", Values(ask=("options", "target", "--target", "maskrcnn-small"))),
        ("invert", "--frames", Values(("all", "first"))),
        ("evaluate encoder", "--frames", Values()),
        ("evaluate magnifier", "--against", Values(ask=("magnifiers",))),
        ("plugins new", "--kind", Values(("method", "target", "magnifier"))),
        ("invert", "--config", Values(paths="files")),
    ],
)
def test_options(line: str, flag: str, values: Values | None) -> None:
    assert found(line, flag) == values


@pytest.mark.parametrize(
    ("metavar", "values"),
    [
        ("RUN", Values(ask=("runs", "invert"), paths="folders")),
        ("RUN|FILE", Values(ask=("runs", "pretrain"), paths="files")),
        ("INPUT", Values(paths="files")),
        ("DIR", Values(paths="folders")),
        ("NAME", Values()),
    ],
)
def test_arguments(metavar: str, values: Values) -> None:
    assert argument_values(metavar) == values


def test_a_new_option_is_judged_by_its_metavar() -> None:
    def new(flag: str, metavar: str) -> Values:
        return option_values(("new",), flag, metavar, {})

    assert new("--picture", "FILE.png") == Values(paths="files")
    assert new("--place", "DIR") == Values(paths="folders")
    assert new("--word", "NAME") == Values()
    assert new("--opt", "KEY=VALUE") == Values()


def test_all_that_is_asked_can_be_answered() -> None:
    def asked(command: Command) -> list[tuple[str, ...]]:
        places = [*(o.values for o in command.options), *(a.values for a in command.arguments)]
        return [values.ask for values in places if values and values.ask]

    for command in command_tree().walk():
        for kind, *_ in asked(command):
            assert kind in KINDS


def test_what_is_meant_where_nothing_is_said() -> None:
    for name in UNSET.values():
        registry().target(name)


def test_the_tree_is_that_of_the_help() -> None:
    tree = command_tree()
    lines = {command.line for command in tree.walk()}
    assert {"magkit", "magkit invert", "magkit evaluate clip", "magkit plugins new"} <= lines
    magnify = next(command for command in tree.walk() if command.name == "magnify")
    assert magnify.help == "Make the motion in a clip larger"
    assert [(each.name, each.repeats) for each in magnify.arguments] == [("INPUT", True)]
    assert next(o for o in magnify.options if "-o" in o.flags).flags == ("--output", "-o")
    assert next(o for o in magnify.options if "--opt" in o.flags).repeats
