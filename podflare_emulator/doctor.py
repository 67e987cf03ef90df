"""`podflare-emulator doctor`: what this machine can do, found out by doing it."""

from __future__ import annotations

import asyncio
import sys

from podflare_emulator.guest.jail import landlock
from podflare_emulator.guest.order import Python
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.interpreter import find
from podflare_emulator.hosting.isolation import BACKENDS, Refusal, attempt
from podflare_emulator.settings import Settings

_HINTS = {
    "namespace": "in Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined; "
    "on Ubuntu 24.04: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
}


def run(settings: Settings) -> int:
    """Prints a line a thing that was tried. Returns 0 when the emulator can run at all, else 1."""
    try:
        python = find(settings.python)
    except HostingError as error:
        _say("Python", False, str(error))
        return 1
    _say("Python", True, f"{python.version} at {python.executable}")
    outcomes = {backend: asyncio.run(_try(backend, python)) for backend in BACKENDS}
    for backend, reason in outcomes.items():
        _say(f"{backend} isolation", reason is None, reason or "a sandbox was made, and has run code")
        if reason and backend in _HINTS:
            sys.stdout.write(f"{'':24}     to get it: {_HINTS[backend]}\n")
    abi = landlock.abi()
    _say(
        "Landlock",
        bool(abi),
        f"ABI {abi}" if abi else "portable sandboxes cannot be kept from writing on the host",
    )
    chosen = next((backend for backend, reason in outcomes.items() if reason is None), None)
    sys.stdout.write(f"\n--isolation auto takes: {chosen or 'nothing: the emulator cannot run here'}\n")
    return 0 if chosen else 1


async def _try(backend: str, python: Python) -> str | None:
    """Why the backend cannot be had; None if it can."""
    outcome = await attempt(backend, python, ())
    if isinstance(outcome, Refusal):
        return outcome.reason
    launcher, guest = outcome
    exits: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    guest.execute("open('/root/probe', 'w').write('1')", "python", exits.set_result)
    result = await exits
    await guest.end()
    await launcher.stop()
    return None if result == 0 else f"a sandbox was made, but running code in it ended with {result}"


def _say(ability: str, there: bool, words: str) -> None:
    sys.stdout.write(f"{ability:24} {'yes' if there else 'no':4}{' '.join(words.split())}\n")
