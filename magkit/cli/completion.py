"""`magkit completion`: prints the completion script for a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from magkit.cli.options import Overwrite
from magkit.cli.output import Output

Shell = Annotated[
    Literal["bash", "zsh", "fish", "powershell"],
    typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell."),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="The file to write; standard output if unset."
    ),
]

SCRIPTS = {
    "bash": "magkit.bash",
    "zsh": "_magkit",
    "fish": "magkit.fish",
    "powershell": "magkit.ps1",
}
"""Files in magkit/completion/scripts; the wheel installs all but the last for all users."""


def completion(
    out: Output, shell: Shell, *, output: To = None, overwrite: Overwrite = False
) -> None:
    """Print the script with which a shell completes commands, options and values.

    Shells load it from these places when they start:

    \b
    bash        ~/.local/share/bash-completion/completions/magkit
    zsh         _magkit in a folder of fpath, such as ~/.zfunc
    fish        ~/.config/fish/completions/magkit.fish
    powershell  any file; add the line ". FILE" to your $PROFILE once

    An installation for all users includes the first three.
    """
    text = read_script(shell)
    if output is None:
        out.write(text)
        out.finish({"shell": shell, "script": text})
        return

    from magkit.runtime.files import atomic_path

    with atomic_path(output, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    out.finish({"shell": shell, "output": output}, wrote=[output], then=f"start a new {shell}")


def read_script(shell: str) -> str:
    """Return the script for a shell."""
    import magkit.completion

    folder = Path(magkit.completion.__file__).parent / "scripts"
    return (folder / SCRIPTS[shell]).read_text(encoding="utf-8")
