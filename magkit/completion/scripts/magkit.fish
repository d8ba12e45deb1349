# fish completion for magkit, for fish 3.4 and later: `magkit _values` lists what can stand at the
# cursor, a value a line, and its description after a tab.

function __magkit_complete
    set -l words (commandline -opc)
    set -l word "$(commandline -ct)"
    set -l magkit (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q $magkit
    or return
    # Values of --option=VALUE are listed without the option.
    set -l rest (string replace -r -- '^--[^=]+=' '' $word)
    set -l lead (string sub -l (math (string length -- $word) - (string length -- $rest)) -- $word)
    for line in (command $magkit _values -- $words $word 2>/dev/null </dev/null)
        switch $line
            case \tfiles
                # fish completes files after a command that it doesn't know.
                string replace -r '^' -- $lead (complete -C "__magkit_unknown $rest")
            case \tfolders
                string replace -r '^' -- $lead (__fish_complete_directories $rest)
            case '*'
                echo -- $lead$line
        end
    end
end

complete -c magkit -f -a '(__magkit_complete)'
