# PowerShell completion for magkit, for PowerShell 5.1 and later: `magkit _values` lists what can
# stand at the cursor, a value a line, and its description after a tab.

Register-ArgumentCompleter -Native -CommandName magkit -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements | Where-Object {
        $_.Extent.StartOffset -lt $cursorPosition
    } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
        else { $_.Extent.Text }
    })
    # After a space a new word begins, which is no element yet.
    if ($wordToComplete -eq '') { $words += '' }

    # Values of --option=VALUE are listed without the option.
    $word = $words[-1]
    $lead = ''
    if ($word -match '^(--[^=]+=)(.*)$') {
        $lead = $Matches[1]
        $word = $Matches[2]
    }

    # PowerShell 5.1 drops empty arguments; magkit takes two quotes for an empty word.
    $line = @($words | ForEach-Object { if ($_ -eq '') { '""' } else { $_ } })
    # With nothing here, or a line without a value, PowerShell offers files and folders.
    & $words[0] _values '--' @line 2>$null | ForEach-Object {
        $name, $help = $_ -split "`t", 2
        if ($name -and $name.StartsWith($word, [System.StringComparison]::Ordinal)) {
            $text = "$lead$name"
            if ($text -notmatch '^[A-Za-z0-9_./=:-]+$') {
                $code = [System.Management.Automation.Language.CodeGeneration]
                $text = "'" + $code::EscapeSingleQuotedStringContent($text) + "'"
            }
            if (-not $help) { $help = $name }
            [System.Management.Automation.CompletionResult]::new(
                $text, $name, 'ParameterValue', $help)
        }
    }
}
