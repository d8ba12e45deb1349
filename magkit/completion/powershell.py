"""Completion for PowerShell 5.1 and later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from magkit.completion.tree import Command, Values

SCRIPT = r"""# PowerShell completion for magkit, made by: magkit completion powershell

Register-ArgumentCompleter -Native -CommandName magkit -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # Of each command: those below it; its flags; which of them a value follows.
    $nodes = @{
@NODES@
    }
    # What may follow a flag, or stand in a place: words, and what magkit is asked for the others.
    $values = @{
@VALUES@
    }

    $words = @($commandAst.CommandElements | Where-Object {
        $_.Extent.StartOffset -lt $cursorPosition
    } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
        else { $_.Extent.Text }
    })
    # Behind a space a new word begins, which is no element yet.
    if ($wordToComplete -eq '') { $words += '' }

    $node = 'magkit'
    $option = ''
    $place = 1
    for ($i = 1; $i -lt $words.Count - 1; $i++) {
        $word = $words[$i]
        if ($option -ne '') { $option = '' }
        elseif ($nodes[$node].Takes -ccontains $word) { $option = $word }
        elseif ($nodes[$node].Commands.Name -ccontains $word) { $node = "$node $word" }
        elseif (-not $word.StartsWith('-')) { $place++ }
    }

    $word = $words[-1]
    $lead = ''
    if ($option -eq '' -and $word -match '^(--[^=]+)=(.*)$') {
        $option = $Matches[1]
        $lead = "$option="
        $word = $Matches[2]
    }
    $found = @()
    if ($option -eq '' -and $word.StartsWith('-')) {
        $found = $nodes[$node].Flags
    } elseif ($option -eq '' -and $nodes[$node].Commands) {
        if ($place -eq 1) { $found = $nodes[$node].Commands }
    } else {
        $key = if ($option -ne '') { "$node $option" } else { "$node $place" }
        if (-not $values.ContainsKey($key)) { $key = "$node *" }
        if ($values.ContainsKey($key)) {
            $found = @($values[$key].Words | Where-Object { $_ } | ForEach-Object {
                @{ Name = $_; Help = $_ }
            })
            if ($values[$key].Ask) {
                $found += @(& $words[0] _values @($values[$key].Ask) '--' @words 2>$null |
                    ForEach-Object {
                        $name, $help = $_ -split "`t", 2
                        @{ Name = $name; Help = if ($help) { $help } else { $name } }
                    })
            }
        }
    }

    # With nothing here, PowerShell offers files and folders.
    $found | Where-Object { $_.Name -and $_.Name.StartsWith($word) } | ForEach-Object {
        $text = "$lead$($_.Name)"
        if ($text -notmatch '^[A-Za-z0-9_./=:-]+$') {
            $code = [System.Management.Automation.Language.CodeGeneration]
            $text = "'" + $code::EscapeSingleQuotedStringContent($text) + "'"
        }
        [System.Management.Automation.CompletionResult]::new(
            $text, $_.Name, 'ParameterValue', $_.Help)
    }
}
"""

QUOTES = "'\u2018\u2019\u201a\u201b"
"""What ends a string in single quotes: PowerShell takes the printers' ones for the same."""


def script(root: Command) -> str:
    """The lines that a profile holds."""
    nodes = "\n".join(line for command in root.walk() for line in _node(command))
    values = "\n".join(line for command in root.walk() for line in _values(command))
    return SCRIPT.replace("@NODES@", nodes).replace("@VALUES@", values)


def _node(command: Command) -> Iterator[str]:
    flags = [(flag, option.help) for option in command.options for flag in option.flags]
    yield f"        {_quote(command.line)} = @{{"
    yield "            Commands = @("
    yield from (_named(child.name, child.help) for child in command.commands)
    yield "            )"
    yield "            Flags = @("
    yield from (_named(flag, said) for flag, said in flags)
    yield "            )"
    yield f"            Takes = {_array(command.takes)}"
    yield "        }"


def _values(command: Command) -> Iterator[str]:
    for option in command.options:
        for flag in option.flags:
            yield from _value(command, flag, option.values)
    for place, argument in enumerate(command.arguments, 1):
        yield from _value(command, "*" if argument.repeats else f"{place}", argument.values)


def _value(command: Command, where: str, values: Values | None) -> Iterator[str]:
    if values is not None and (values.words or values.ask):
        key = _quote(f"{command.line} {where}")
        yield f"        {key} = @{{ Words = {_array(values.words)}; Ask = {_array(values.ask)} }}"


def _named(name: str, said: str) -> str:
    return f"                @{{ Name = {_quote(name)}; Help = {_quote(said)} }}"


def _array(words: Iterable[str]) -> str:
    return f"@({', '.join(map(_quote, words))})"


def _quote(text: str) -> str:
    return "'" + text.translate({ord(mark): mark * 2 for mark in QUOTES}) + "'"
