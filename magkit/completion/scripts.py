"""The scripts of all shells, and the files in which the project keeps them."""

from __future__ import annotations

from collections.abc import Callable

from magkit.completion import bash, fish, powershell, zsh
from magkit.completion.tree import Command

SCRIPTS: dict[str, Callable[[Command], str]] = {
    "bash": bash.script,
    "zsh": zsh.script,
    "fish": fish.script,
    "powershell": powershell.script,
}
FILES = {
    "bash": "bash/magkit",
    "zsh": "zsh/_magkit",
    "fish": "fish/magkit.fish",
    "powershell": "powershell/magkit.ps1",
}
"""Below `completions/`; the wheel puts all but the last where those shells look."""
