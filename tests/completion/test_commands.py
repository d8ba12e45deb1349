"""The tables of commands, and the values that an option takes: of real commands and of new ones."""

from collections.abc import Iterator

import pytest
import typer

from magkit.cli.app import app
from magkit.completion.commands import (
    DEFAULTS,
    Command,
    Values,
    argument_values,
    command_tree,
    option_values,
)
from magkit.completion.sources import SOURCES
from magkit.plugins import registry

TREE = command_tree(typer.main.get_command(app))


def commands(command: Command = TREE, path: str = "magkit") -> Iterator[tuple[str, Command]]:
    """A command and all below it, each with the line that runs it."""
    yield path, command
    for name, child in command["commands"].items():
        yield from commands(child, f"{path} {name}")


def found(line: str, flag: str) -> Values | None:
    """The values of an option."""
    command = dict(commands())[f"magkit {line}"]
    return next(option["values"] for option in command["options"] if flag in option["flags"])


@pytest.mark.parametrize(
    ("line", "flag", "values"),
    [
        ("pretrain", "--method", Values(ask=["methods"])),
        ("pretrain", "--opt", Values(ask=["options", "method", "--method"])),
        (
            "pretrain",
            "--magnifier-opt",
            Values(ask=["options", "magnifier", "--magnifier", "magnet-fast"]),
        ),
        ("pretrain", "--preset", Values(ask=["presets", "--method"])),
        ("pretrain", "--train", Values(ask=["settings", "pretrain"])),
        ("pretrain", "--steps", Values()),
        ("pretrain", "--new", None),
        ("pretrain", "-o", Values(paths="folders")),
        ("finetune", "--encoder", Values(ask=["runs", "pretrain"], paths="files")),
        ("finetune", "--weights", Values(paths="files")),
        ("magnify", "--weights", Values(ask=["weights"], paths="files")),
        ("magnify", "--mode", Values(words=["static", "dynamic", "follow"])),
        ("magnify", "--opt", Values(ask=["options", "magnifier", "--magnifier", "magnet-fast"])),
        ("magnify", "--device", Values(words=["auto", "cpu", "cuda", "mps"])),
        ("magnify", "-f", Values()),
        ("gen-data", "--preset", Values(words=["paper", "seed-triplets", "seed-frames"])),
        ("gen-data", "--images", Values(paths="files")),
        ("invert", "--video", Values(words=["all"], ask=["videos"])),
        ("invert", "--davis", Values(paths="folders")),
        ("invert", "--target", Values(ask=["targets"])),
        ("invert", "--opt", Values(ask=["options", "target", "--target", "maskrcnn-small"])),
        ("invert", "--frames", Values(words=["all", "first"])),
        ("evaluate encoder", "--frames", Values()),
        ("evaluate magnifier", "--against", Values(ask=["magnifiers"])),
        ("plugins new", "--kind", Values(words=["method", "target", "magnifier"])),
        ("invert", "--config", Values(paths="files")),
    ],
)
def test_options(line: str, flag: str, values: Values | None) -> None:
    assert found(line, flag) == values


@pytest.mark.parametrize(
    ("metavar", "values"),
    [
        ("RUN", Values(ask=["runs", "invert"], paths="folders")),
        ("RUN|FILE", Values(ask=["runs", "pretrain"], paths="files")),
        ("INPUT", Values(paths="files")),
        ("DIR", Values(paths="folders")),
        ("NAME", Values()),
    ],
)
def test_arguments(metavar: str, values: Values) -> None:
    assert argument_values(metavar) == values


def test_a_new_option_is_judged_by_its_metavar() -> None:
    def new(flag: str, metavar: str) -> Values:
        return option_values("new", flag, metavar, {})

    assert new("--picture", "FILE.png") == Values(paths="files")
    assert new("--place", "DIR") == Values(paths="folders")
    assert new("--word", "NAME") == Values()
    assert new("--opt", "KEY=VALUE") == Values()


def test_all_that_is_asked_can_be_answered() -> None:
    for _, command in commands():
        places = [*(o["values"] for o in command["options"])]
        places += [a["values"] for a in command["arguments"]]
        for values in places:
            assert not values or "ask" not in values or values["ask"][0] in SOURCES


def test_defaults_are_targets() -> None:
    for name in DEFAULTS.values():
        registry().target(name)


def test_the_tree_is_that_of_the_help() -> None:
    tree = dict(commands())
    lines = {"magkit", "magkit invert", "magkit evaluate clip", "magkit plugins new"}
    assert lines <= set(tree)
    magnify = tree["magkit magnify"]
    assert magnify["help"] == "Make the motion in a clip larger"
    assert [(a["name"], a["repeats"]) for a in magnify["arguments"]] == [("INPUT", True)]
    options = {flag: option for option in magnify["options"] for flag in option["flags"]}
    assert options["-o"]["flags"] == ["--output", "-o"]
    assert options["--opt"]["repeats"]
