"""Completion for bash 4.4 and later, with or without the package bash-completion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import quote

from magkit.completion.tree import Command, Values

SCRIPT = r"""# bash completion for magkit, made by: magkit completion bash

# What there is at $node: its commands, its flags, and those that a value follows.
_magkit_node() {
    commands=() flags=() takes=() places=0
    case $node in
@NODES@
    esac
}

# What may follow an option, $1 of $node, or stand in its $1st place.
_magkit_value() {
    case "$node $1" in
@VALUES@
    esac
}

# Offers those words that begin as $plain does, without $lead, which bash keeps as it is.
_magkit_offer() {
    local value
    for value; do
        [[ $value == "$plain"* ]] || continue
        [[ $value == *= ]] && compopt -o nospace
        value=${value#"$lead"}
        [[ $files ]] || _magkit_quote
        COMPREPLY+=("$value")
    done
}

# $value as it must stand on the line, behind the quote that may be open there.
_magkit_quote() {
    case $word in
        \"*)
            value=${value//\\/\\\\}
            value=${value//\"/\\\"}
            value=${value//\$/\\\$}
            value=${value//\`/\\\`}
            ;;
        \'*) value=${value//\'/\'\\\'\'} ;;
        *) printf -v value %q "$value" ;;
    esac
}

_magkit_ask() {
    local value
    while IFS=$'\t' read -r value _; do
        _magkit_offer "$value"
    done < <("$program" _values "$@" -- "${words[@]}" 2>/dev/null </dev/null)
}

_magkit_paths() {
    local path
    # bash itself quotes names of files.
    files=1
    compopt -o filenames
    while IFS= read -r path; do
        COMPREPLY+=("${path#"$lead"}")
    done < <(compgen "$1" -- "$plain")
}

# $1 as a program would be given it, in $plain.
_magkit_unquote() {
    local rest=$1
    plain=
    if [[ $rest == \'* ]]; then
        plain=${rest#\'}
        return
    fi
    rest=${rest#\"}
    while [[ $rest == *\\* ]]; do
        plain+=${rest%%\\*}
        rest=${rest#*\\}
        plain+=${rest:0:1}
        rest=${rest:1}
    done
    plain+=$rest
}

# bash also splits at = and :, and completes the last piece alone: $words are whole words up to
# the cursor, $lead is what stands before that piece in the last.
_magkit_words() {
    local line=${COMP_LINE:0:COMP_POINT} piece space
    words=()
    for piece in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        space=${line%%[![:space:]]*}
        line=${line#"$space"}
        [[ $line == "$piece"* ]] || piece=$line
        line=${line#"$piece"}
        if [[ -z $space && ${#words[@]} -gt 0 ]]; then
            words[${#words[@]} - 1]+=$piece
        else
            words+=("$piece")
        fi
    done
    lead=${words[${#words[@]} - 1]}
    [[ -z ${piece//[=:@]/} ]] || lead=${lead%"$piece"}
}

_magkit() {
    local program=${1/#\~\//$HOME/} node=magkit option= place=1 files=
    local words word lead plain places IFS=$' \t\n'
    local -a commands flags takes
    COMPREPLY=()
    _magkit_words
    _magkit_node
    for word in "${words[@]:1:${#words[@]}-2}"; do
        if [[ $option ]]; then
            option=
        elif [[ " ${takes[*]} " == *" $word "* ]]; then
            option=$word
        elif [[ " ${commands[*]} " == *" $word "* ]]; then
            node+=" $word"
            _magkit_node
        elif [[ $word != -* ]]; then
            place=$((place + 1))
        fi
    done
    word=${words[${#words[@]} - 1]}
    if [[ -z $option && $word == --*=* ]]; then
        option=${word%%=*}
        word=${word#*=}
        lead=${lead#"$option="}
    fi
    _magkit_unquote "$lead"
    lead=$plain
    _magkit_unquote "$word"
    if [[ $option ]]; then
        _magkit_value "$option"
    elif [[ $word == -* ]]; then
        _magkit_offer "${flags[@]}"
    elif ((${#commands[@]})); then
        ((place > 1)) || _magkit_offer "${commands[@]}"
    elif ((places)); then
        _magkit_value "$place"
    elif [[ -z $word ]]; then
        _magkit_offer "${flags[@]}"
    fi
}

complete -F _magkit magkit
"""


def script(root: Command) -> str:
    """The file that bash reads."""
    nodes = "\n".join(line for command in root.walk() for line in _node(command))
    values = "\n".join(line for patterns, v in _places(root) for line in _case(patterns, v))
    return SCRIPT.replace("@NODES@", nodes).replace("@VALUES@", values)


def _node(command: Command) -> Iterator[str]:
    flags = [flag for option in command.options for flag in option.flags]
    yield f"        {quote(command.line)})"
    if command.commands:
        yield f"            commands=({_joined(child.name for child in command.commands)})"
    yield f"            flags=({_joined(flags)})"
    if command.takes:
        yield f"            takes=({_joined(command.takes)})"
    if command.arguments:
        yield "            places=1"
    yield "            ;;"


def _places(root: Command) -> Iterator[tuple[list[str], Values]]:
    """Patterns of `NODE FLAG` or `NODE PLACE`, and what all of them take."""
    found: dict[Values, list[str]] = {}
    flags: dict[str, dict[str, Values]] = {}
    for command in root.walk():
        for option in command.options:
            for flag in option.flags if option.values else ():
                flags.setdefault(flag, {})[command.line] = option.values or Values()
        for number, argument in enumerate(command.arguments, 1):
            place = "'[0-9]*" if argument.repeats else f"{number}'"
            found.setdefault(argument.values, []).append(f"'{command.line} {place}")
    for flag, values in flags.items():
        if len(set(values.values())) == 1:
            found.setdefault(next(iter(values.values())), []).append(f"*{quote(f' {flag}')}")
            continue
        for path, value in values.items():
            found.setdefault(value, []).append(quote(f"{path} {flag}"))
    yield from ((patterns, value) for value, patterns in found.items() if value != Values())


def _case(patterns: list[str], values: Values) -> Iterator[str]:
    yield f"        {' | '.join(patterns)})"
    if values.paths:
        yield f"            _magkit_paths {'-f' if values.paths == 'files' else '-d'}"
    if values.words:
        yield f"            _magkit_offer {_joined(values.words)}"
    if values.ask:
        yield f"            _magkit_ask {_joined(values.ask)}"
    yield "            ;;"


def _joined(words: Iterable[str]) -> str:
    return " ".join(map(quote, words))
