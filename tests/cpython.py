"""CPython's own tests, inside a sandbox and beside it: `python tests/cpython.py --isolation namespace [MODULE ...]`.

Prints which tests end otherwise inside than with the same interpreter on this machine, and fails for those that
tests/cpython_expected.txt does not explain. Needs an interpreter with its tests (`python -m test`), as pyenv builds it.
What ends otherwise is run once more, on both sides, before it is believed: many of these tests mind a busy machine.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

from podflare import Sandbox
from podflare_emulator import Emulator

QUICK = (
    *("test_fileio", "test_fnmatch", "test_genericpath", "test_glob", "test_netrc"),
    *("test_posixpath", "test_pwd", "test_shlex", "test_stat", "test_tempfile"),
)
_WHOLE = Path(__file__).with_name("cpython_modules.txt")
_EXPECTED = Path(__file__).with_name("cpython_expected.txt")
_HEADING = re.compile(r"^(\w+) \(([\w.]+)\)(?:\n.*?)? \.\.\. ", re.M)
_OUTCOME = re.compile(r"(?:^|(?<=[ .]))(ok|FAIL|ERROR|skipped(?= ['\"].*$)|expected failure)", re.M)
_SECONDS = 1200
_ENDLESS = ("ThreadedVSOCKSocketStreamTest",)  # a virtual machine without a loopback for VSOCK waits for ever

Outcomes = dict[str, str]
Run = Callable[[Sequence[str]], str]  # what `python -m test` with these arguments prints


def has_tests() -> bool:
    """Debian's has what runs them, without them."""
    return all(importlib.util.find_spec(f"test.{name}") for name in ("libregrtest", *QUICK))


def beside(arguments: Sequence[str]) -> str:
    """On this machine, in an environment as bare as a sandbox's."""
    with tempfile.TemporaryDirectory() as directory:
        venv.create(f"{directory}/venv", symlinks=True)  # a sandbox's Python is that of one, too
        done = subprocess.run(
            [f"{directory}/venv/bin/python3", "-m", "test", "--tempdir", directory, *arguments],
            cwd=directory,
            env={
                "PATH": f"{directory}/venv/bin:/usr/local/bin:/usr/bin:/bin",
                "HOME": directory,
                "LANG": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    return done.stdout


def in_a_child(sandbox: Sandbox) -> Run:
    """As a program that the sandbox starts."""
    return lambda arguments: (
        sandbox.run_code(f"python3 -m test --tempdir /tmp {' '.join(arguments)} 2>&1", language="bash").stdout
    )


def in_the_repl(sandbox: Sandbox) -> Run:
    """In the sandbox's own interpreter, which is of no use for anything else afterwards."""

    def run(arguments: Sequence[str]) -> str:
        code = (
            f"import sys; sys.argv[1:] = ['--tempdir', '/tmp', *{list(arguments)!r}]; sys.stderr = sys.stdout\n"
            "from test.libregrtest.main import main; main()"
        )
        done = sandbox.run_code(code)
        return f"{done.stdout}\n{done.stderr}"

    return run


def asked_for(modules: Sequence[str], names: Sequence[str] = ()) -> list[str]:
    """Arguments of `python -m test`: of these modules all tests, or those with these names."""
    return [
        "-v",
        "--timeout",
        str(_SECONDS),
        *(f"-i={name}" for name in _ENDLESS),
        *(f"-m={name}" for name in names),
        *modules,
    ]


def outcomes(printed: str) -> Outcomes:
    """What `python -m test -v` says of each test, by its full name, whatever the test has printed meanwhile."""
    found: Outcomes = {}
    headings = list(_HEADING.finditer(printed))
    for heading, following in zip_longest(headings, headings[1:]):
        name, place = heading.groups()
        said = _OUTCOME.search(printed, heading.end(), following.start() if following else len(printed))
        if said:
            full = place if place.endswith(f".{name}") else f"{place}.{name}"
            found[full] = said[1]
    return found


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> dict[str, str]:
    """Tests that pass here and do not there: what they do there."""
    passed = [name for name, outcome in here.items() if outcome in ("ok", "expected failure")]
    return {name: there.get(name, "not run") for name in passed if there.get(name) != here[name]}


def unexplained(names: Iterable[str], isolation: str = "namespace") -> list[str]:
    """Lines of the file: a pattern of names, on which backends, `#`, and the reason."""
    words = [line.split() for line in _lines(_EXPECTED)]
    patterns = [pattern for pattern, *backends in words if not backends or isolation in backends]
    return [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _lines(file: Path) -> Iterator[str]:
    """Without comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return filter(None, lines)


class Comparison:
    """Of one module after the other; what has been run is kept in a directory, and not run again."""

    def __init__(self, emulator: Emulator, within: Callable[[Sandbox], Run], kept: Path, label: str) -> None:
        self._emulator = emulator
        self._within = within
        self._kept = kept
        self._label = label

    def of(self, module: str) -> tuple[int, dict[str, str]]:
        """How many tests it has, and which end otherwise inside, twice."""
        here = outcomes(self._once(f"beside/{module}", lambda: beside(asked_for([module]))))
        there = outcomes(self._once(f"{self._label}/{module}", lambda: self._inside(asked_for([module]))))
        found = differences(there, here)
        if found:
            again = asked_for([module], list(found))
            here_again = outcomes(self._once(f"{self._label}/{module}.beside_again", lambda: beside(again)))
            there_again = outcomes(self._once(f"{self._label}/{module}.again", lambda: self._inside(again)))
            found = differences(there_again, {name: here_again.get(name, "ok") for name in found})
        self._write(
            f"{self._label}/{module}.json", json.dumps({"tests": len(here), "otherwise": found}, indent=1)
        )
        return len(here), found

    def _inside(self, arguments: Sequence[str]) -> str:
        with Sandbox(host=self._emulator.url) as sandbox:
            return self._within(sandbox)(arguments)

    def _once(self, name: str, run: Callable[[], str]) -> str:
        file = self._kept / name
        if not file.exists():
            self._write(name, run())
        return file.read_text(encoding="utf-8", errors="replace")

    def _write(self, name: str, text: str) -> None:
        file = self._kept / name
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{file.name}.new")
        new.write_text(text, encoding="utf-8", errors="replace")
        new.replace(file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--isolation", default="namespace", help="as of podflare-emulator")
    parser.add_argument("--quick", action="store_true", help="the ten modules of CI")
    parser.add_argument("--child", action="store_true", help="in a child of the sandbox's, not in its REPL")
    parser.add_argument("--jobs", type=int, default=1, help="how many modules at a time")
    parser.add_argument(
        "--kept", type=Path, help="a directory for what is printed; what is there is not run again"
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="by default those of tests/cpython_modules.txt"
    )
    arguments = parser.parse_args()
    if not has_tests():
        sys.exit(f"{sys.executable} has no tests of its own (python -m test)")
    modules = arguments.modules or (QUICK if arguments.quick else [*_lines(_WHOLE)])
    modules = [module for module in modules if importlib.util.find_spec(f"test.{module}")]
    differing: dict[str, str] = {}
    count = 0
    with (
        tempfile.TemporaryDirectory() as directory,
        Emulator(isolation=arguments.isolation) as emulator,
        ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        comparison = Comparison(
            emulator,
            in_a_child if arguments.child else in_the_repl,
            arguments.kept or Path(directory),
            emulator.isolation + ("-child" if arguments.child else ""),
        )
        for module, (tests, found) in zip(modules, pool.map(comparison.of, modules), strict=True):
            count += tests
            differing |= found
            _say(f"{module}: {tests} tests, {len(found)} otherwise")
        isolation = emulator.isolation
    left = set(unexplained(differing, isolation))
    for name, outcome in differing.items():
        _say(f"{'UNEXPLAINED' if name in left else 'explained'}: {name}: {outcome}")
    _say(f"{count} tests, {len(differing)} end otherwise, {len(left)} of them unexplained")
    _say(f"{sum(os.times()[:4]) / 60:.0f} minutes of processor time")
    return int(bool(left))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
