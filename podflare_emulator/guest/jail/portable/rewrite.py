"""`python3 -I -S <this file> [NAME [PID]]`: rewrites the bash script on standard input, and prints it (bash_start.sh).

`NAME`: the name under which bash got the file. If the bash's PID is given too, this prints instead the path of a copy
below `.venv`, which removes itself and has that name as its `$0`. The name that bash itself uses, in error messages
for example, ends with it: the host removes the rest.
"""

import os
import shlex
import sys

_BEGINNING = "{{ BASH_ARGV0={}; /bin/rm -rf -- {}; }} 2>/dev/null; "  # on the script's own first line
_OWN_NAMES = ("${BASH_SOURCE[0]}", "${BASH_SOURCE}", "$BASH_SOURCE")


def main(name: str = "", pid: str = "") -> None:
    package = type(sys)("_podflare_jail")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules[package.__name__] = package
    paths = __import__("_podflare_jail.paths", fromlist=["paths"])
    shell = __import__("_podflare_jail.shell", fromlist=["shell"])

    path_map = paths.PathMap.of_variables(os.environ)
    script = os.fsdecode(sys.stdin.buffer.read())
    if "\0" in script[:80].partition("\n")[0]:
        sys.exit("not a script: bash reports that itself")
    for variable in _OWN_NAMES if name else ():
        script = script.replace(variable, "${0}")
    rewritten = shell.shell_command(script, path_map)
    if pid:
        rewritten = _copy(rewritten, name, path_map.virtual(name), f"{path_map.prefix}/.venv/scripts.{pid}")
    sys.stdout.buffer.write(os.fsencode(rewritten))


def _copy(script: str, own_name: str, name: str, place: str) -> str:
    inner = "-/" * name.split("/").count("..")  # so that no `..` in the name leads out of `place`
    copy = f"{place}/{inner}{name}"
    os.makedirs(os.path.dirname(os.path.normpath(copy)))
    os.makedirs(f"{place}/{inner}", exist_ok=True)
    with open(copy, "wb") as file:
        file.write(os.fsencode(_BEGINNING.format(shlex.quote(own_name), shlex.quote(place)) + script))
    return copy


if __name__ == "__main__":
    main(*sys.argv[1:])
