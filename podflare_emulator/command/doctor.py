"""`podflare-emulator doctor`: tests what this machine can do, by doing it."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import podflare_emulator.guest
from podflare_emulator.command.printing import say
from podflare_emulator.command.remedies import Surroundings, cost, remedy
from podflare_emulator.guest.jail.environment import SYSTEM_PATH
from podflare_emulator.guest.order import Python
from podflare_emulator.guest.processes import probe
from podflare_emulator.guest.protocol import Connection
from podflare_emulator.guest.system import landlock
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.isolation import BACKENDS, attempt, decline
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.machine.refusal import Refusal
from podflare_emulator.hosting.warden import Config, helper
from podflare_emulator.vocabulary.settings import Settings

_GUEST_CODE = str(Path(podflare_emulator.guest.__file__).parent)
_SIGNALS_SINCE = 6  # Landlock's ABI: Linux 6.12
_NEEDS = {
    "namespace": (probe.USER_NAMESPACE, probe.MOUNTS, probe.PID_NAMESPACE, probe.FRESH_PROC),
    "preload": (probe.FAKECHROOT,),
}
_SDK = (
    "Python SDK for Podflare: cloud sandboxes with a Python REPL that can be forked in memory."  # its summary
)
_DESCRIPTORS_EACH = 4  # per sandbox: a socket, two pipes, the jail's entrance
_DESCRIPTORS_BESIDE = 64
_ENOUGH_SANDBOXES = 200


def run(settings: Settings) -> int:
    """Print a table with one row per ability; below a missing one, its cost and its remedy.

    Returns 0 when the emulator can run at all, else 1.
    """
    _row("ABILITY", "", "WHAT WAS FOUND")
    try:
        python = find(settings.python)
    except HostingError as error:
        _row("Python", "no", str(error), "the emulator cannot run", "--python PATH")
        return 1
    _row("Python", "yes", f"{python.version} at {python.executable}")
    _bash(str(settings.rootfs or ""))
    _client()
    answers, around = _probe(), Surroundings.found()
    for ability, words in answers.items():
        if words:
            _row(ability, "no", words, cost(ability), remedy(ability, answers, around))
        else:
            _row(ability, "yes", _detail(ability))
    _open_files()
    _temp_directory()
    chosen, named = "", ""
    for backend in BACKENDS:
        reason = asyncio.run(_try(backend, python))
        declined = decline(backend)
        if not (reason or declined):
            chosen = chosen or backend
        if reason:
            missing = next((name for name in _NEEDS.get(backend, ()) if answers.get(name)), None)
            how = remedy(missing, answers, around) if missing else "see the reason above"
            _row(f"{backend} isolation", "no", reason, "auto takes another backend", how)
        else:
            named = named or backend
            aside = f"; auto leaves it out: {declined.reason}" if declined else ""
            _row(f"{backend} isolation", "yes", f"a sandbox was created and ran code{aside}")
    nothing = (
        f"nothing unasked; say --isolation {named}" if named else "nothing: the emulator cannot run here"
    )
    say(f"\n--isolation auto takes: {chosen or nothing}")
    return 0 if named else 1


def _probe() -> dict[str, str]:
    """What guest/processes/probe.py finds: for each ability why it is missing, or "".

    It runs in its own process: this one may have threads, and the attempts cannot be undone.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            subprocess.run(
                [sys.executable, "-I", "-S", "-B", _GUEST_CODE, "probe", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                check=False,
            )
        arrived = Connection(ours).receive()
    answers: dict[str, str] = arrived[0]["answers"] if arrived else {}
    return answers


def _detail(ability: str) -> str:
    if ability == probe.LANDLOCK:
        abi = landlock.abi()
        signals = "" if abi >= _SIGNALS_SINCE else "; signals to other processes are refused from ABI 6 on"
        return f"ABI {abi}{signals}"
    if ability == probe.USERS:
        return "under namespace isolation a sandbox has ids 0 to 65535"
    if ability == probe.IDMAPPED_MOUNTS:
        return "under namespace isolation the host's files keep their owners"
    if ability == probe.WAY_OUT:
        return f"connected to the outside by {helper()}"
    if ability == probe.ROOT_EMULATION:
        return "changes of owners, groups and ids by a sandbox's root succeed without effect"
    if ability == probe.FAKECHROOT:
        from podflare_emulator.guest.jail import preload

        return preload.library()
    return ""


def _bash(root: str) -> None:
    """Search the PATH of the sandboxes, which differs from this process's."""
    found = shutil.which("bash", path=os.pathsep.join(f"{root}{place}" for place in SYSTEM_PATH.split(":")))
    if found:
        _row("bash", "yes", found)
    else:
        words = f"not found in {SYSTEM_PATH}" + (f" under {root}" if root else "")
        cost = "bash code, and terminals without a command, end with exit code 127"
        _row("bash", "no", words, cost, "apt-get install -y bash (in Alpine: apk add bash)")


def _client() -> None:
    """Which package called `podflare` is installed: pip replaces the vendor's by this project's without a warning."""
    try:
        found = metadata("podflare")
    except PackageNotFoundError:
        cost = (
            "Python programs in this environment cannot use a sandbox; other languages and the MCP server can"
        )
        _row(
            "podflare client",
            "no",
            "none installed",
            cost,
            "install this project's SDK, or pip install podflare",
        )
        return
    if found["Summary"] == _SDK:
        whose = "this project's SDK; it replaces the vendor's client, a package of the same name"
    else:
        whose = "the vendor's client"
    _row("podflare client", "yes", f"{found['Version']}, {whose}")


def _open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    words = f"limit {soft}, can be raised to {hard}"
    sandboxes = (soft - _DESCRIPTORS_BESIDE) // _DESCRIPTORS_EACH
    if soft == resource.RLIM_INFINITY or sandboxes >= _ENOUGH_SANDBOXES:
        _row("open files", "yes", words)
    else:
        _row(
            "open files",
            "no",
            words,
            f"only about {max(sandboxes, 0)} sandboxes can run at a time",
            f"ulimit -n {hard if hard > soft else 65536} (in Docker: --ulimit nofile=65536)",
        )


def _temp_directory() -> None:
    directory = tempfile.gettempdir()
    if os.statvfs(directory).f_flag & getattr(os, "ST_NOEXEC", 0):
        _row(
            "temp directory",
            "no",
            f"{directory} is mounted noexec",
            "without namespace isolation, programs in a sandbox's files cannot run, and commands cannot be stubbed",
            "use another temp directory, such as TMPDIR=/var/tmp",
        )
    else:
        _row("temp directory", "yes", directory)


async def _try(backend: str, python: Python) -> str | None:
    """Why the backend is not available; None if it is."""
    outcome = await attempt(Config(backend, python))
    if isinstance(outcome, Refusal):
        return outcome.reason
    launcher, guest = outcome
    exits: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    guest.execute("open('/root/probe', 'w').write('1')", "python", exits.set_result)
    result = await exits
    await guest.end()
    await launcher.stop()
    return None if result == 0 else f"a sandbox was created, but its code ended with exit code {result}"


def _row(ability: str, there: str, words: str, price: str = "", how: str = "") -> None:
    say(f"{ability:22}{there:5}{' '.join(words.split())}".rstrip())
    for title, text in (("costs you", price), ("to get it", how)):
        if text:
            say(f"{'':27}{title}: {text}")
