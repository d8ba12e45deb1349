"""Completion for fish 3.4 and later."""

from __future__ import annotations

from collections.abc import Iterator

from magkit.completion.tree import Command, Option, Values

SCRIPT = r"""# fish completion for magkit, made by: magkit completion fish

# Whether the words before the cursor lead to this command: "evaluate clip".
function __magkit_at
    set -l node
    set -l takes 0
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        if test $takes = 1
            set takes 0
            continue
        end
        switch "$node $word"
@STEPS@
            case '* -*'
            case '*'
                # A word that is no command leads nowhere, where there are commands.
                contains -- "$node" @GROUPS@
                and return 1
        end
    end
    test "$node" = "$argv"
end

# What magkit says may stand here: a value a line, and what it is behind a tab.
function __magkit_ask
    set -l words (commandline -opc) (commandline -ct)
    set -l magkit (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q $magkit
    or return
    command $magkit _values $argv -- $words 2>/dev/null </dev/null
end

function __magkit_folders
    __fish_complete_directories (commandline -ct | string replace -r -- '^--[^=]+=' '')
end

complete -c magkit -f
@LINES@
"""


def script(root: Command) -> str:
    """The file that fish reads."""
    steps = "\n".join(line for command in root.walk() for line in _steps(command))
    groups = " ".join(_quote(" ".join(each.path)) for each in root.walk() if each.commands)
    lines = "\n".join(line for command in root.walk() for line in _lines(command))
    return SCRIPT.replace("@STEPS@", steps).replace("@GROUPS@", groups).replace("@LINES@", lines)


def _steps(command: Command) -> Iterator[str]:
    """How words lead on from a command that holds others."""
    if not command.commands:
        return
    path = " ".join(command.path)
    if command.takes:
        yield f"            case {' '.join(_quote(f'{path} {flag}') for flag in command.takes)}"
        yield "                set takes 1"
    names = (_quote(f"{path} {child.name}") for child in command.commands)
    yield f"            case {' '.join(names)}"
    yield "                set -a node $word"


def _lines(command: Command) -> Iterator[str]:
    here = " ".join(("__magkit_at", *command.path))
    start = f"complete -c magkit -n {_quote(here)}"
    for child in command.commands:
        yield f"{start} -a {child.name} -d {_quote(child.help)}"
    for argument in command.arguments:
        yield f"{start}{_values(argument.values, '-f')}"
    for option in command.options:
        yield f"{start}{_option(option)} -d {_quote(option.help)}"


def _option(option: Option) -> str:
    spelt = "".join(
        f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in option.flags
    )
    return spelt if option.values is None else f"{spelt}{_values(option.values, '-x')}"


def _values(values: Values, no_files: str) -> str:
    """The flags that say what is offered; `no_files`: that which says that files are not."""
    sources = list(values.words)
    if values.ask:
        sources.append(f"(__magkit_ask {' '.join(values.ask)})")
    if values.paths == "folders":
        sources.append("(__magkit_folders)")
    files = " -rF" if values.paths == "files" else f" {no_files}"
    return files + (f" -a {_quote(' '.join(sources))}" if sources else "")


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
