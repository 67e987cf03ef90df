"""Chooses an isolation backend: tries each in full, the best first."""

from __future__ import annotations

import sys

from msgspec import Struct
from msgspec.structs import replace

from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.launcher import Launcher
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.hosting.machine.disposable import disposable
from podflare_emulator.hosting.machine.refusal import Refusal
from podflare_emulator.hosting.warden import Config, Warden

BACKENDS = ("namespace", "preload", "portable")  # best first


class Launched(Struct, frozen=True):
    """A running launcher, the guest that proved that it works, and the backends refused before it."""

    backend: str
    launcher: Launcher
    guest: Guest
    refusals: tuple[Refusal, ...]


async def launch(config: Config, *, layers_needed: bool = False, begun: Warden | None = None) -> Launched:
    """Launches the backend that `config` names, or for "auto" the best that can make a guest.

    Raises HostingError if none can.

    Args:
        layers_needed: whether the backend must let forks share layers of files.
        begun: a warden that has begun with this configuration, but for the backend.
    """
    refusals: list[Refusal] = []
    for backend in BACKENDS if config.isolation == "auto" else (config.isolation,):
        declined = decline(backend) if config.isolation == "auto" else None
        tried = replace(config, isolation=backend)
        ours = begun if begun and begun.config == tried else None
        outcome = declined or await attempt(tried, layers_needed=layers_needed, begun=ours)
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
        else:
            launcher, guest = outcome
            return Launched(backend, launcher, guest, tuple(refusals))
    raise HostingError("; ".join(map(str, refusals)))


def decline(backend: str) -> Refusal | None:
    """Why "auto" skips a backend that might work; None if it does not.

    Without namespaces, code can escape the mapping of paths, as with `D=root; rm -rf /$D/x` in bash. Landlock is the
    safety net: without it, that would delete the developer's own files while the test passes.
    """
    if backend == "namespace":
        return None
    from podflare_emulator.guest.system import landlock  # late, as most machines have the backend above

    if landlock.abi() or disposable():
        return None
    return Refusal(
        backend,
        "this kernel has no Landlock to keep what escapes it from your own files, and this is neither a container nor "
        f"CI; to use it anyway, name it: --isolation {backend}, pytest --podflare-isolation={backend} or "
        f"Emulator(isolation='{backend}')",
        left_out=True,
    )


async def attempt(
    config: Config, *, layers_needed: bool = False, begun: Warden | None = None
) -> Refusal | tuple[Launcher, Guest]:
    """Tries one backend, up to a guest that is ready to run code; the arguments are those of `launch`."""
    backend = config.isolation
    if config.python.root and backend != "namespace":
        return Refusal(backend, "a root filesystem (rootfs) needs namespace isolation")
    if backend in ("namespace", "preload") and sys.platform != "linux":
        return Refusal(backend, "it needs Linux")
    if backend == "preload":
        from podflare_emulator.guest.jail import preload  # late, as in `decline`

        try:
            preload.library()  # the warden would fail on it too, but starting one takes longer
        except OSError as error:
            return Refusal(backend, str(error))
    launcher = Launcher(config)
    try:
        await launcher.start(begun)
    except (HostingError, OSError) as error:
        return Refusal(backend, str(error))
    if layers_needed and launcher.no_layers:
        await launcher.stop()
        return Refusal(backend, f"its forks share no layers of files: {launcher.no_layers}")
    try:
        return launcher, await launcher.guest("default", {}, Limits(egress=config.egress))
    except (HostingError, OSError) as error:
        await launcher.stop()
        return Refusal(backend, str(error))
