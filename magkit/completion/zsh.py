"""Completion for zsh: a function that compinit finds and loads when it is needed first."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from magkit.completion.tree import Argument, Command, Option, Values

SCRIPT = r"""#compdef magkit
# zsh completion for magkit, made by: magkit completion zsh

# Offers what magkit says may stand here: a value a line, and what it is behind a tab.
_magkit_ask() {
  local -a lines values shown keys shown_keys expl
  local line value text ours=${magkit/#\~\//$HOME/}
  lines=("${(@f)$("$ours" _values "$@" -- "${(@Q)words[1,CURRENT]}" 2>/dev/null </dev/null)}")
  for line in "${lines[@]}"; do
    value=${line%%$'\t'*}
    text=$value
    [[ $line == *$'\t'* ]] && text+="  -- ${line#*$'\t'}"
    if [[ $value == *= ]]; then
      keys+=("$value") shown_keys+=("$text")
    elif [[ -n $value ]]; then
      values+=("$value") shown+=("$text")
    fi
  done
  _description values expl value
  compadd -l "${expl[@]}" -d shown -a values
  # More follows a key.
  compadd -l -S '' "${expl[@]}" -d shown_keys -a keys
}

_magkit_words() {
  local -a expl
  _description values expl value
  compadd "${expl[@]}" -- "$@"
}

@FUNCTIONS@
# Loaded by its name, at the first TAB, this file is the function itself; else it is read at once,
# perhaps by a shell in which nothing has started completion. -i leaves out folders that others may
# write to, where compinit would ask.
if [[ ${funcstack[1]-} == _magkit ]]; then
  _magkit "$@"
else
  (( ${+functions[compdef]} )) || { autoload -Uz compinit && compinit -i }
  compdef _magkit magkit
fi
"""


def script(root: Command) -> str:
    """The file `_magkit`."""
    functions = "\n".join(line for command in root.walk() for line in _function(command))
    return SCRIPT.replace("@FUNCTIONS@", functions)


def _function(command: Command) -> Iterator[str]:
    yield f"{_name(command)}() {{"
    if not command.path:
        yield "  local magkit=${(Q)words[1]}"
    if command.commands:
        yield "  local context curcontext=$curcontext state state_descr line"
        yield "  local -A opt_args"
    specs = [spec for option in command.options for spec in _option(option)]
    specs += [_argument(place, each) for place, each in enumerate(command.arguments, 1)]
    if command.commands:
        specs += ["': :->command'", "'*:: :->rest'"]
    yield f"  _arguments -s{' -C' if command.commands else ''} \\"
    yield " \\\n".join(f"    {spec}" for spec in specs)
    if command.commands:
        yield from _choice(command)
    yield "}\n"


def _choice(command: Command) -> Iterator[str]:
    yield "  case $state in"
    yield "    command)"
    yield "      local -a commands=("
    for child in command.commands:
        yield f"        {quote(f'{child.name}:{child.help}')}"
    yield "      )"
    yield "      _describe -t commands command commands"
    yield "      ;;"
    yield "    rest)"
    yield "      case $words[1] in"
    for child in command.commands:
        yield f"        {child.name}) {_name(child)} ;;"
    yield "      esac"
    yield "      ;;"
    yield "  esac"


def _option(option: Option) -> Iterator[str]:
    takes = f":value:{_action(option.values)}" if option.values else ""
    said = f"[{_escaped(option.help)}]"
    for flag in option.flags:
        often = "*" if option.repeats else f"({' '.join(option.flags)})"
        joined = ("=" if flag.startswith("--") else "+") if option.values else ""
        yield quote(f"{often}{flag}{joined}{said}{takes}")


def _argument(place: int, argument: Argument) -> str:
    often = "*" if argument.repeats else f"{place}"
    return quote(f"{often}:{_escaped(argument.name)}:{_action(argument.values)}")


def _action(values: Values) -> str:
    """What `_arguments` does for a value; several things where there are several kinds."""
    parts = []
    if values.words:
        parts.append(f"_magkit_words {' '.join(map(quote, values.words))}")
    if values.ask:
        parts.append(f"_magkit_ask {' '.join(map(quote, values.ask))}")
    if values.paths:
        parts.append("_files" if values.paths == "files" else "_path_files -/")
    # In braces it is evaluated as it stands: a text of this file, never a value.
    return f"{{{'; '.join(parts)}}}" if parts else " "


def _name(command: Command) -> str:
    return f"_{command.line}".replace(" ", "_").replace("-", "_")


def _escaped(text: str) -> str:
    """A text without what ends a part of what `_arguments` reads."""
    return "".join(f"\\{c}" if c in "[]:\\" else c for c in text)
