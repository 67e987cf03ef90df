"""The Python that guests run: where it and its packages are installed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import podflare_emulator.guest
from podflare_emulator.guest.order import Python
from podflare_emulator.guest.protocol import Connection
from podflare_emulator.hosting.errors import HostingError

_OLDEST = (3, 10)
_GUEST_CODE = str(Path(podflare_emulator.guest.__file__).parent)

# Variables that change what an interpreter finds. A separate process ignores them (`-E`).
_BENDING = (
    "PYTHONEXECUTABLE",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONPLATLIBDIR",
    "PYTHONUSERBASE",
)

# Runs in the interpreter in question, which need not be this one. `entries`: its sys.path.
_PROBE = """
import importlib.util, os, sys, sysconfig
standard = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
standard |= {os.path.join(path, "lib-dynload") for path in standard}
# Setuptools' editable installs add no directory to the path, but a finder that knows where each package lies.
editable = [
    os.path.dirname(place)
    for name, module in list(sys.modules.items()) if name.startswith("__editable__")
    for place in getattr(module, "MAPPING", {}).values()
]
path = []
for entry in map(os.path.realpath, filter(None, [*entries, *editable])):
    if os.path.isdir(entry) and entry not in standard and entry not in path:
        path.append(entry)
name = "python%d.%d" % sys.version_info[:2]
base = os.path.join(os.path.realpath(sys.base_prefix), "bin", name)
if not os.path.exists(base):
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
library = ""
if sys.platform == "linux":
    with open("/proc/self/maps", "rb") as maps:  # the one that was loaded, from wherever that was
        for words in map(bytes.split, maps):
            if words[-1].rpartition(b"/")[2].startswith(b"libpython3."):
                library = os.path.dirname(os.fsdecode(words[-1]))
prefix = os.path.realpath(sys.base_prefix)
pip = ""
if not importlib.util.find_spec("pip"):  # uv makes environments without it
    import glob
    places = (os.path.join(sysconfig.get_path("stdlib"), "ensurepip", "_bundled"), "/usr/share/python-wheels")
    wheels = [wheel for place in places for wheel in glob.glob(os.path.join(os.path.realpath(place), "pip-*.whl"))]
    pip = next((wheel[len(prefix) + 1:] for wheel in wheels if wheel.startswith(prefix + os.sep)), "")
found = [base, prefix, library, sys.version_info[:3], path, pip]
"""
_PROGRAM = f"import json, sys; entries = sys.path\n{_PROBE}\nprint(json.dumps(found))"


def find(executable: str | None, root: str = "", entries: Sequence[str] | None = None) -> Python:
    """Asks the interpreter at `executable` (a virtual environment's is fine; None: the running one) about itself.

    With `root`, asks one in the tree there: `executable` is a path in that tree, or None for its python3.
    `entries`: the running one's sys.path, as it was when it started; saves starting another to ask it.

    Raises HostingError if it is missing, does not start, or is too old.
    """
    program = executable or ("python3" if root else sys.executable)
    try:
        if entries is None or executable or root or any(name in os.environ for name in _BENDING):
            answer = _ask_within(root, program) if root else _ask(program)
            found = json.loads(answer.stdout)
        else:
            found = _look_here(entries)
        base, prefix, library, version, path, pip = found
    except subprocess.CalledProcessError as error:
        raise HostingError(
            f"{program} does not run as a Python interpreter: {error.stderr.strip()[-300:]}"
        ) from None
    except (OSError, ValueError) as error:
        raise HostingError(f"{program} does not run as a Python interpreter: {error}") from None
    if tuple(version) < _OLDEST:
        found, oldest = (".".join(map(str, numbers)) for numbers in (version, _OLDEST))
        raise HostingError(f"{program} is Python {found}; guests need {oldest} or later")
    inside = [entry for entry in path if entry != "/"]  # "-c" puts the current directory first
    return Python(base, prefix, library, ".".join(map(str, version[:2])), tuple(inside), pip, root)


def _look_here(entries: Sequence[str]) -> list[Any]:
    names: dict[str, Any] = {"entries": entries}
    exec(_PROBE, names)
    found: list[Any] = names["found"]
    return found


def _ask(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "-E", "-B", "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ},
        stdin=subprocess.DEVNULL,
    )


def _ask_within(root: str, program: str) -> subprocess.CompletedProcess[str]:
    ours, theirs = socket.socketpair()
    with ours:
        connection = Connection(ours)
        connection.send({"root": root, "command": [program, "-E", "-B", "-c", _PROGRAM]})
        with theirs:
            answer = subprocess.run(
                [sys.executable, "-I", "-S", "-B", _GUEST_CODE, "within", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                capture_output=True,
                text=True,
                check=True,
                cwd="/",
                env={},
                stdin=subprocess.DEVNULL,
            )
        failure = connection.receive()
    if failure is not None:
        raise HostingError(f"rootfs: {root} cannot be used for sandboxes: {failure[0]['failed']}")
    if not answer.stdout:
        raise HostingError(f"rootfs: {program} in {root} does not run: {answer.stderr.strip()[-300:]}")
    return answer
