# $BASH_ENV of every program in a portable sandbox: bash reads this first. A script file, or the text after -c, that names
# the sandbox's absolute paths is rewritten (shell.py) and run from here; what has been rewritten before it was
# given to bash, and what names none, runs as it is. ${BASH_SOURCE} would name this file: it is replaced by $0.
if [ -n "$PODFLARE_PORTABLE_REWRITTEN" ]; then
    unset PODFLARE_PORTABLE_REWRITTEN
elif [ -n "$PODFLARE_PORTABLE_ROOT" ]; then
    if [ -n "$BASH_EXECUTION_STRING" ]; then
        __podflare_script=$BASH_EXECUTION_STRING
    elif [ -f "$0" ] && [ -r "$0" ]; then
        __podflare_script=$(<"$0")
    fi
    __podflare_rest=${__podflare_script//"$PODFLARE_PORTABLE_ROOT"/}
    __podflare_rest=${__podflare_rest//\/dev\/null/}
    __podflare_rest=${__podflare_rest//\/bin\//}
    if [[ $__podflare_rest == */[A-Za-z._]* ]]; then
        __podflare_script=$(
            printf %s "$__podflare_script" |
                "$PODFLARE_PORTABLE_ROOT/.venv/bin/python3" -I -S "${BASH_SOURCE[0]%/*}/rewrite.py"
        ) && {
            eval "unset __podflare_script __podflare_rest; $__podflare_script"
            exit
        }
    fi
    unset __podflare_script __podflare_rest
fi
