# bash completion for magkit, for bash 4.4 and later, with or without the package bash-completion.
# `magkit _values` lists what can stand at the cursor.

# Offers $value, without $lead, which bash keeps, quoted as the word on the line is.
_magkit_offer() {
    [[ $value == *= ]] && compopt -o nospace
    value=${value#"$lead"}
    # bash itself quotes names of files.
    if [[ ! $files ]]; then
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
    fi
    COMPREPLY+=("$value")
}

_magkit_paths() {
    local path
    files=1
    compopt -o filenames
    while IFS= read -r path; do
        COMPREPLY+=("${path#"$lead"}")
    done < <(compgen "$1" -- "$plain")
}

# Sets $plain to $1 without its quotes.
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

# bash also splits words at = and :, and completes the last piece alone. Sets $words to the whole
# words up to the cursor, and $lead to what precedes that piece in the last word.
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
    local program=${1/#\~\//$HOME/} files= words word lead plain line value IFS=$' \t\n'
    COMPREPLY=()
    _magkit_words
    word=${words[${#words[@]} - 1]}
    # Values of --option=VALUE are listed without the option.
    if [[ $word == --*=* ]]; then
        lead=${lead#"${word%%=*}="}
        word=${word#*=}
    fi
    _magkit_unquote "$lead"
    lead=$plain
    _magkit_unquote "$word"
    while IFS= read -r line; do
        value=${line%%$'\t'*}
        case $line in
            $'\tfiles') _magkit_paths -f ;;
            $'\tfolders') _magkit_paths -d ;;
            *) [[ $value != "$plain"* ]] || _magkit_offer ;;
        esac
    done < <("$program" _values -- "${words[@]}" 2>/dev/null </dev/null)
}

complete -F _magkit magkit
