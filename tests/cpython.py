"""CPython's own tests, inside a sandbox and beside it: `python tests/cpython.py --isolation namespace [MODULE ...]`.

Prints which tests end otherwise inside than with the same interpreter on this machine, and fails for those that
tests/cpython_expected.txt does not explain. Needs an interpreter with its tests (`python -m test`), as pyenv builds it.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from podflare import Sandbox
from podflare_emulator import Emulator

QUICK = (
    *("test_fileio", "test_fnmatch", "test_genericpath", "test_glob", "test_netrc"),
    *("test_posixpath", "test_pwd", "test_shlex", "test_stat", "test_tempfile"),
)
_EXPECTED = Path(__file__).with_name("cpython_expected.txt")
_LINE = re.compile(
    r"^(\w+) \(([\w.]+)\)(?: \.\.\. |.*\n?.* \.\.\. )(ok|FAIL|ERROR|skipped|expected failure)", re.M
)
_WHOLE = (
    *(
        "test_builtin",
        "test_dbm_dumb",
        "test_fcntl",
        "test_file",
        "test_filecmp",
        "test_fileinput",
        "test_grp",
    ),
    *(
        "test_import",
        "test_io",
        "test_mmap",
        "test_os",
        "test_pathlib",
        "test_pickle",
        "test_pipes",
        "test_posix",
    ),
    *("test_pty", "test_runpy", "test_select", "test_selectors", "test_shutil", "test_signal", "test_site"),
    *(
        "test_socket",
        "test_sqlite3",
        "test_subprocess",
        "test_tarfile",
        "test_threading",
        "test_venv",
        "test_zipfile",
    ),
)

Outcomes = dict[str, str]


def has_tests() -> bool:
    return importlib.util.find_spec("test.libregrtest") is not None


def beside(modules: Sequence[str]) -> Outcomes:
    """On this machine, in an environment as bare as a sandbox's."""
    python = getattr(sys, "_base_executable", sys.executable)
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [python, "-m", "test", "-v", "--tempdir", directory, *modules],
            cwd=directory,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": directory, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    return outcomes(done.stdout)


def inside(sandbox: Sandbox, modules: Sequence[str]) -> Outcomes:
    command = f"python3 -m test -v --tempdir /tmp {' '.join(modules)} 2>&1"
    return outcomes(sandbox.run_code(command, language="bash").stdout)


def outcomes(printed: str) -> Outcomes:
    """What `python -m test -v` says of each test, by its full name."""
    found = {}
    for name, place, outcome in _LINE.findall(printed):
        found[place if place.endswith(f".{name}") else f"{place}.{name}"] = outcome
    return found


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> dict[str, str]:
    """Tests that pass here and do not there: what they do there."""
    passed = [name for name, outcome in here.items() if outcome in ("ok", "expected failure")]
    return {name: there.get(name, "not run") for name in passed if there.get(name) != here[name]}


def unexplained(names: Iterable[str]) -> list[str]:
    """Lines of the file: a pattern of names, `#`, and the reason."""
    lines = filter(None, map(str.strip, _EXPECTED.read_text(encoding="utf-8").splitlines()))
    patterns = [line.partition("#")[0].strip() for line in lines if not line.startswith("#")]
    return [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--isolation", default="auto", help="as of podflare-emulator")
    parser.add_argument("--quick", action="store_true", help="the ten modules of CI")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"by default: {' '.join(_WHOLE)}")
    arguments = parser.parse_args()
    if not has_tests():
        sys.exit(f"{sys.executable} has no tests of its own (python -m test)")
    modules = arguments.modules or (QUICK if arguments.quick else _WHOLE)
    differing: dict[str, str] = {}
    count = 0
    with Emulator(isolation=arguments.isolation) as emulator:
        for module in modules:
            with Sandbox(host=emulator.url) as sandbox:
                here = beside([module])
                there = inside(sandbox, [module])
            count += len(here)
            found = differences(there, here)
            differing |= found
            _say(f"{module}: {len(here)} tests, {len(found)} otherwise")
    left = set(unexplained(differing))
    for name, outcome in differing.items():
        _say(f"{'UNEXPLAINED' if name in left else 'explained'}: {name}: {outcome}")
    _say(f"{count} tests, {len(differing)} end otherwise, {len(left)} of them unexplained")
    return int(bool(left))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
