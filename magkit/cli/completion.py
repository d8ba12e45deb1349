"""`magkit completion`: what makes shells complete magkit's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from magkit.cli.common import Overwrite
from magkit.cli.output import Output

Shell = Annotated[
    Literal["bash", "zsh", "fish", "powershell"],
    typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell."),
]
To = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where it goes; shown if unset."),
]


def completion(
    out: Output, shell: Shell, *, output: To = None, overwrite: Overwrite = False
) -> None:
    """Print the script with which a shell completes commands, options and values.

    Shells look for it in these places, when they start:

    \b
    bash        ~/.local/share/bash-completion/completions/magkit
    zsh         _magkit in a folder of fpath, such as ~/.zfunc
    fish        ~/.config/fish/completions/magkit.fish
    powershell  any file; once, add the line ". FILE" to what $PROFILE names

    Installed for all users, magkit has put the first three in place.
    """
    from magkit.cli.command_tree import command_tree
    from magkit.completion.scripts import SCRIPTS

    text = SCRIPTS[shell](command_tree())
    if output is None:
        out.write(text)
        out.finish({"shell": shell, "script": text})
        return

    from magkit.runtime.files import atomic_path

    with atomic_path(output, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    out.finish({"shell": shell, "output": output}, wrote=[output], then=f"start a new {shell}")
