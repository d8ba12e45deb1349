"""What completes an option or an argument, judged by what its help calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from magkit.completion.tree import Paths, Values
from magkit.invert import ANY, CLASSES, DEFAULT_TARGET, DEFAULT_VERIFIER
from magkit.invert.settings import PRESETS

MAGNIFIERS = Values(ask=("magnifiers",))
SETTINGS = Values(ask=("settings", "invert"))

BY_FLAG = {
    "--against": MAGNIFIERS,
    "--backbone": Values(("resnet18", "resnet34", "resnet50")),
    "--branch": Values(("both", "motion", "texture")),
    "--class": Values((ANY, *CLASSES)),
    "--classes": Values(("all",)),
    "--device": Values(("auto", "cpu", "cuda", "mps")),
    "--frames": Values(("all", "first")),
    "--magnifier": MAGNIFIERS,
    "--method": Values(ask=("methods",)),
    "--set": SETTINGS,
    "--sweep": SETTINGS,
    "--target": Values(ask=("targets",)),
    "--verifier": Values(("none",), ask=("targets",)),
    "--video": Values(("all",), ask=("videos",)),
}
BY_METAVAR = {
    "NAME|FILE": Values(ask=("weights",), paths="files"),
    "RUN|FILE": Values(ask=("runs", "pretrain"), paths="files"),
}
OWNERS = {
    "--magnifier-opt": ("magnifier", "--magnifier"),
    "--verifier-opt": ("target", "--verifier"),
}
"""Whose options a flag takes, where it isn't --opt: a kind, and the flag that names one."""

UNSET = {"--target": DEFAULT_TARGET, "--verifier": DEFAULT_VERIFIER}
"""What is meant where a flag that has no default is left out."""


def option_values(
    command: tuple[str, ...], flag: str, metavar: str, defaults: Mapping[str, str]
) -> Values:
    """What may follow a flag.

    Args:
        command: The path of its command.
        flag: As it is spelt: "--video".
        metavar: What help calls the value; nothing: it is a number.
        defaults: Of all options of the command, by their flags; nothing for those without.
    """
    if flag == "--opt":
        return _options(next(_kinds(defaults), None), defaults)
    if flag in OWNERS:
        return _options(OWNERS[flag], defaults)
    if flag == "--preset":
        return (
            Values(ask=("presets", "--method")) if "--method" in defaults else Values((*PRESETS,))
        )
    if flag == "--train":
        return Values(ask=("settings", command[-1]))
    if metavar and flag in BY_FLAG:
        return BY_FLAG[flag]
    return _by_metavar(metavar)


def argument_values(metavar: str) -> Values:
    """What may stand where help has this word."""
    if metavar == "RUN":
        return Values(ask=("runs", "invert"), paths="folders")
    return _by_metavar(metavar)


def _kinds(defaults: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    # A method comes with a magnifier, whose options have a flag of their own.
    return (
        (kind, f"--{kind}") for kind in ("method", "target", "magnifier") if f"--{kind}" in defaults
    )


def _options(owner: tuple[str, str] | None, defaults: Mapping[str, str]) -> Values:
    if owner is None:
        return Values()
    unset = defaults.get(owner[1]) or UNSET.get(owner[1])
    return Values(ask=("options", *owner, *([unset] if unset else [])))


def _by_metavar(metavar: str) -> Values:
    paths: Paths = ""
    if any(word in metavar for word in ("FILE", "PATH", "SRC", "INPUT")):
        paths = "files"
    elif any(word in metavar for word in ("DIR", "ROOT", "RUN")):
        paths = "folders"
    return BY_METAVAR.get(metavar, Values(paths=paths))
