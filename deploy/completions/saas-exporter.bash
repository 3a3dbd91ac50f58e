# Completion of saas-exporter for bash. Generated from the table of settings: UPDATE_GOLDEN=1 cargo test --test it documents
#
# For all users: /usr/share/bash-completion/completions/saas-exporter; for one: source it in ~/.bashrc.

_saas_exporter() {
    local flag="" value="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"
    COMPREPLY=()
    # An equals sign is a word of its own, unless COMP_WORDBREAKS was changed.
    if [[ $value == --*=* ]]; then
        flag="${value%%=*}"
        value="${value#*=}"
    elif [[ $value == = ]]; then
        flag="$before"
        value=""
    elif [[ $before == = && $COMP_CWORD -ge 2 ]]; then
        flag="${COMP_WORDS[COMP_CWORD - 2]}"
    elif [[ $before == --* && $value != -* ]]; then
        flag="$before"
    fi
    case "$flag" in
        --config.file) _saas_exporter_paths -f "$value" ;;
        --web.listen-address) : ;;
        --web.port) : ;;
        --poll.interval) : ;;
        --poll.concurrency) : ;;
        --shard) : ;;
        --total-shards) : ;;
        --textfile.path) _saas_exporter_paths -f "$value" ;;
        --cache.dir) _saas_exporter_paths -d "$value" ;;
        --statuspage.status-scale) _saas_exporter_words "binary ternary" "$value" ;;
        --statuspage.resolved-retention) : ;;
        --notify.slack-webhook-url-file) _saas_exporter_paths -f "$value" ;;
        --log.level) _saas_exporter_words "error warn info debug trace" "$value" ;;
        --log.format) _saas_exporter_words "text json" "$value" ;;
        *) _saas_exporter_flags "$value" ;;
    esac
}

_saas_exporter_flags() {
    local flags=(
        --config.file=
        --config.check
        --healthcheck
        --web.listen-address=
        --web.port=
        --web.enable-reload
        --poll.interval=
        --poll.concurrency=
        --shard=
        --total-shards=
        --once
        --textfile.path=
        --cache.dir=
        --cache.clear
        --statuspage.status-scale=
        --statuspage.resolved-retention=
        --notify.slack-webhook-url-file=
        --log.level=
        --log.format=
        --debug
        --help
        --version
    )
    [[ $1 == -* || -z $1 ]] || return 0
    _saas_exporter_words "${flags[*]}" "$1"
    # Behind a flag that takes a value the value follows, not a space.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2> /dev/null || true
    fi
}

_saas_exporter_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# Only paths are quoted: an equals sign of a flag would be too.
_saas_exporter_paths() {
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
    compopt -o filenames 2> /dev/null || true
}

complete -F _saas_exporter saas-exporter
