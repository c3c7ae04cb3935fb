/** The shells' side of completion: each hands the words so far to `mydock __complete` and shows what it prints. */

const BASH = `# bash completion of mydock; put this into ~/.bashrc: source <(mydock completion bash)
_mydock() {
    local words=() rest="\${COMP_LINE:0:COMP_POINT}" i word gap
    # bash splits words at : and = too; what no space stands before belongs to the word before.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="\${COMP_WORDS[i]}" gap=
        while [[ $rest == [[:space:]]* ]]; do rest="\${rest:1}" gap=1; done
        ((i == COMP_CWORD)) && word="$rest"
        if [[ $i == 0 || -n $gap ]]; then words+=("$word"); else words[-1]+="$word"; fi
        rest="\${rest#"$word"}"
    done
    local current="\${words[-1]}" line value prefix=
    [[ $current == *[:=]* ]] && prefix="\${current%"\${current##*[:=]}"}"
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then compopt -o default; COMPREPLY=(); return; fi
        value="\${line%%$'\\t'*}"
        [[ $value == *[:=] ]] && compopt -o nospace
        COMPREPLY+=("\${value#"$prefix"}")
    done < <(mydock __complete "\${words[@]:1}" 2> /dev/null)
}
complete -F _mydock mydock
`;

const ZSH = `#compdef mydock
# zsh completion of mydock; put this into ~/.zshrc: source <(mydock completion zsh)
_mydock() {
    local -a lines described
    local line value
    lines=("\${(@f)$(mydock __complete "\${(@)words[2,CURRENT]}" 2> /dev/null)}")
    for line in "\${lines[@]}"; do
        [[ $line == :files ]] && { _files; return }
        [[ -z $line ]] && continue
        value="\${line%%$'\\t'*}"
        described+=("\${value//:/\\\\:}:\${line#*$'\\t'}")
    done
    _describe mydock described
}
(( $+functions[compdef] )) && compdef _mydock mydock
`;

const FISH = `# fish completion of mydock; put this into ~/.config/fish/config.fish: mydock completion fish | source
function __mydock_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (mydock __complete $words[2..-1] "$current" 2> /dev/null)
    if test "$lines" = :files
        __fish_complete_path "$current"
    else
        printf '%s\\n' $lines
    end
end
complete -c mydock -f -a '(__mydock_complete)'
`;

export const COMPLETION_SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, fish: FISH, zsh: ZSH };
