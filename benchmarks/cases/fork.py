"""How long a fork takes, by how many children there are and by what the parent holds."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import Bench, Skipped, case
from cases.memory import descendants
from podflare import Sandbox

_CHILDREN = (1, 5, 32)
_BETWEEN_TESTS = 0.005  # seconds: pytest's, and the resets'
_REFILLED = 0.05  # seconds: in which the jails for the next fork are made, if there are few
_SETTLED = 0.5
_GB = 1 << 30
_MB = 1 << 20

# Every page is written to, as data that was computed or read would be.
_ARRAYS = """
try:
    import numpy
    held = [numpy.ones({piece} // 8) for _ in range({pieces})]
except ImportError:
    held = [bytearray(b"1") * {piece} for _ in range({pieces})]
"""

_BUFFERS = """
held = [{kind}(b"1") * {piece} for _ in range({pieces})]
"""

_OBJECTS = """
import resource
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
held = []
full = resident() + {size}
while resident() < full:
    first = len(held) * 10_000
    held.append([dict(number=i, name=str(i), half=i / 2) for i in range(first, first + 10_000)])
"""

_MANY_FILES = """
import os
for directory in range(100):
    os.makedirs(f"/root/tree/{{directory}}")
    for number in range({count} // 100):
        with open(f"/root/tree/{{directory}}/{{number}}.txt", "w") as file:
            file.write(f"{{directory}}/{{number}}")
"""

# What `python -m venv` and `pip install pandas` would leave, from the packages of the sandboxes' Python.
_ENVIRONMENT = """
import importlib.util, os, shutil
packages = "/root/venv/lib/python/site-packages"
os.makedirs(packages)
for name in ("pandas", "numpy", "dateutil", "pytz", "tzdata", "six"):
    found = importlib.util.find_spec(name)
    if found:
        place = os.path.dirname(found.origin) if found.submodule_search_locations else found.origin
        for source in (place, os.path.join(os.path.dirname(place), name + ".libs")):
            if os.path.isdir(source):
                shutil.copytree(source, os.path.join(packages, os.path.basename(source)))
            elif os.path.isfile(source):
                shutil.copy(source, packages)
print(os.path.exists(packages + "/pandas"))
"""

_LARGE_FILES = """
import os
os.makedirs("/root/data")
for number in range({size} // {piece}):
    with open(f"/root/data/{{number}}.bin", "wb") as file:
        file.write(os.urandom({piece}))
"""


@case()
def fork_first(bench: Bench) -> None:
    """Of a new sandbox each time; the other cases fork one sandbox again and again."""
    for stopwatch in bench.repeat("fork(1), first of a sandbox"):
        with Sandbox(client=bench.client) as parent:
            parent.run_code("x = 1")
            with stopwatch:
                (child,) = parent.fork(1)
            child.close()


@case()
def fork_small(bench: Bench) -> None:
    _fork(bench, "small state", "x = 1")


@case(seconds=120)
def fork_processor_time(bench: Bench) -> None:
    """A whole cycle: with the children's ends, and the jails that are made for the next fork."""
    if not os.path.exists("/proc/self/stat"):
        raise Skipped("there is no /proc here")
    with Sandbox(client=bench.client) as parent:
        for count in _CHILDREN:
            cycles = (320 if bench.full else 64) // count
            for repetition in range(cycles + 1):
                if repetition == 1:  # the first fork has the jails made that the others take
                    before = _settled_processor_time()
                for child in parent.fork(count):
                    child.close()
                time.sleep(_REFILLED)
            each = (_settled_processor_time() - before) / cycles / count
            bench.record(f"processor time of a child, by fork({count})", "ms CPU", [each])


def _settled_processor_time() -> float:
    """In ms, of the emulator's processes and those that have ended, when they have nothing left to do.

    The server is not among them where it is a thread of this process.
    """
    time.sleep(_SETTLED)
    ticks = 0
    for pid in descendants():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own, user and system, and its children's
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


@case()
def fork_prepared(bench: Bench) -> None:
    """What every test pays for its own copy of what was set up once."""
    with Sandbox(client=bench.client) as parent:
        assert parent.run_code("x = 1").exit_code == 0
        bench.expect_forks(parent.id)
        for stopwatch in bench.repeat("fork(1) of a prepared sandbox"):
            with stopwatch:
                (child,) = parent.fork(1)
            child.run_code("x += 1")
            child.close()
            time.sleep(_BETWEEN_TESTS)


@case()
def fork_arrays_100_mb(bench: Bench) -> None:
    _fork(bench, "100 MB in arrays", _ARRAYS.format(piece=10 * _MB, pieces=10))


@case(quick=False)
def fork_arrays_1_gb(bench: Bench) -> None:
    _fork(bench, "1 GB in arrays", _ARRAYS.format(piece=64 * _MB, pieces=16))


@case(quick=False)
def fork_bytes_1_gb(bench: Bench) -> None:
    for kind in ("bytearray", "bytes"):
        name = {"bytearray": "bytearrays"}.get(kind, kind)
        _fork(bench, f"1 GB in {name}", _BUFFERS.format(kind=kind, piece=64 * _MB, pieces=16))


@case(quick=False, seconds=180)
def fork_objects_1_gb(bench: Bench) -> None:
    _fork(bench, "1 GB in small objects", _OBJECTS.format(size=_GB))


@case(quick=False, seconds=180)
def fork_files_10_000(bench: Bench) -> None:
    _fork(bench, "10,000 files", _MANY_FILES.format(count=10_000))


@case(quick=False, seconds=300)
def fork_environment(bench: Bench) -> None:
    with Sandbox(client=bench.client) as sandbox:
        if sandbox.run_code("import pandas").exit_code:
            raise Skipped("the sandboxes' Python has no pandas")
    _fork(bench, "an environment with pandas", _ENVIRONMENT, (1, 5))


@case(quick=False, seconds=300)
def fork_files_500_mb(bench: Bench) -> None:
    copies = 1 if bench.isolation == "namespace" else max(_CHILDREN) + 2  # there they share a layer
    free, needed = shutil.disk_usage(tempfile.gettempdir()).free, 500 * _MB * copies
    if free < needed:
        raise Skipped(f"{needed // _MB} MB on disk are needed in the temp directory, {free // _MB} are free")
    _fork(bench, "500 MB of files", _LARGE_FILES.format(size=500 * _MB, piece=25 * _MB))


def _fork(bench: Bench, state: str, prepare: str, children: Sequence[int] = _CHILDREN) -> None:
    with Sandbox(client=bench.client) as parent:
        result = parent.run_code(prepare)
        assert result.exit_code == 0, result.stderr
        for count in children:
            for stopwatch in bench.repeat(f"fork({count}), {state}", (f"fork, {state}", count)):
                with stopwatch:
                    children = parent.fork(count)
                for child in children:
                    child.close()
