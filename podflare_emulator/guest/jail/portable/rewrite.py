"""`python3 -I -S <this file>`: rewrites the bash script on standard input to standard output (bash_start.sh)."""

import os
import sys

if __name__ == "__main__":
    package = type(sys)("_podflare_jail")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules[package.__name__] = package
    paths = __import__("_podflare_jail.paths", fromlist=["paths"])
    shell = __import__("_podflare_jail.shell", fromlist=["shell"])

    script = os.fsdecode(sys.stdin.buffer.read())
    for own_name in ("${BASH_SOURCE[0]}", "${BASH_SOURCE}", "$BASH_SOURCE"):
        script = script.replace(own_name, "${0}")
    rewritten = shell.shell_command(script, paths.PathMap.of_variables(os.environ))
    sys.stdout.buffer.write(os.fsencode(rewritten))
