# $BASH_ENV of every program in a portable sandbox: bash reads this first. If the text after -c, or a script file, names
# absolute paths of the sandbox, it is rewritten (rewrite.py), and this bash execs one that runs the result. A script
# that names none, or was rewritten before bash got it, runs as it is. This leaves no variables, functions or traces.
{ __podflare_set=$-; set +x; } 2>/dev/null
if [ -n "${PODFLARE_PORTABLE_REWRITTEN-}" ]; then
    unset PODFLARE_PORTABLE_REWRITTEN
elif [ -n "${PODFLARE_PORTABLE_ROOT-}" ]; then
    __podflare_script=
    if [ -n "${BASH_EXECUTION_STRING-}" ]; then
        __podflare_script=$BASH_EXECUTION_STRING
    elif [ -f "$0" ] && [ -r "$0" ]; then
        { __podflare_script=$(<"$0"); } 2>/dev/null # bash would warn about NUL bytes
    fi
    __podflare_rest=${__podflare_script//"$PODFLARE_PORTABLE_ROOT"/}
    __podflare_rest=${__podflare_rest//\/dev\/null/}
    __podflare_rest=${__podflare_rest//\/bin\//}
    if [[ $__podflare_rest == */[A-Za-z._]* ]]; then
        __podflare_rewrite() {
            "$PODFLARE_PORTABLE_ROOT/.venv/bin/python3" -I -S "${BASH_SOURCE[0]%/*}/rewrite.py" "$@" 2>/dev/null
        }
        __podflare_options=()
        [[ $__podflare_set == *x* ]] && __podflare_options+=(-x)
        for __podflare_option in ${SHELLOPTS//:/ }; do
            __podflare_options+=(-o "$__podflare_option")
        done
        for __podflare_option in ${BASHOPTS//:/ }; do
            case $__podflare_option in login_shell | restricted_shell) ;; *) __podflare_options+=(-O "$__podflare_option") ;; esac
        done
        if [ -n "${BASH_EXECUTION_STRING-}" ]; then
            __podflare_script=$(__podflare_rewrite <<<"$__podflare_script") &&
                PODFLARE_PORTABLE_REWRITTEN=1 exec "$BASH" "${__podflare_options[@]}" -c "$__podflare_script" "$0" "$@"
        elif ((BASH_VERSINFO[0] < 5)); then # it cannot give a copy the script's name
            __podflare_script=$(__podflare_rewrite "$0" <"$0") &&
                PODFLARE_PORTABLE_REWRITTEN=1 exec "$BASH" "${__podflare_options[@]}" -c "$__podflare_script" "$0" "$@"
        else
            __podflare_script=$(__podflare_rewrite "$0" $$ <"$0") &&
                PODFLARE_PORTABLE_REWRITTEN=1 exec "$BASH" "${__podflare_options[@]}" "$__podflare_script" "$@"
        fi
        unset -f __podflare_rewrite
    fi
    unset __podflare_script __podflare_rest __podflare_option __podflare_options
fi
if [[ $__podflare_set == *x* ]]; then
    unset __podflare_set
    : "$BASH"
    set -x
else
    unset __podflare_set
    : "$BASH"
fi
