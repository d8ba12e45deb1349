"""`magkit completion`: prints the completion script of a shell."""

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
"""Files in magkit/completion/scripts; the wheel puts all but the last where those shells look."""


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
    text = script(shell)
    if output is None:
        out.write(text)
        out.finish({"shell": shell, "script": text})
        return

    from magkit.runtime.files import atomic_path

    with atomic_path(output, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    out.finish({"shell": shell, "output": output}, wrote=[output], then=f"start a new {shell}")


def script(shell: str) -> str:
    """Returns the script of a shell."""
    import magkit.completion

    folder = Path(magkit.completion.__file__).parent / "scripts"
    return (folder / SCRIPTS[shell]).read_text(encoding="utf-8")
