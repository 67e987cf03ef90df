# $BASH_ENV of every program in a portable sandbox: bash reads this first. The text after -c, or a script file, that names
# the sandbox's absolute paths is rewritten (rewrite.py), and this bash becomes one that runs that. What has been
# rewritten before it was given to bash, and what names none, runs as it is. Nothing of this is left, nor traced.
{ __podflare_set=$-; set +x; } 2>/dev/null
if [ -n "${PODFLARE_PORTABLE_REWRITTEN-}" ]; then
    unset PODFLARE_PORTABLE_REWRITTEN
elif [ -n "${PODFLARE_PORTABLE_ROOT-}" ]; then
    __podflare_script=
    if [ -n "${BASH_EXECUTION_STRING-}" ]; then
        __podflare_script=$BASH_EXECUTION_STRING
    elif [ -f "$0" ] && [ -r "$0" ]; then
        { __podflare_script=$(<"$0"); } 2>/dev/null # which would tell of NUL bytes
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
        elif ((BASH_VERSINFO[0] < 5)); then # which cannot give a copy the script's name
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
