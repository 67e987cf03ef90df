"""Which isolation backend is used: chosen by trying the whole recipe, best first."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from podflare_emulator.guest.jail import preload
from podflare_emulator.guest.order import Python, Seed
from podflare_emulator.guest.system import landlock
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guest import Guest
from podflare_emulator.hosting.launcher import Launcher
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.hosting.machine.disposable import disposable
from podflare_emulator.hosting.refusal import Refusal

BACKENDS = ("namespace", "preload", "portable")  # best first


@dataclass(frozen=True)
class Launched:
    """A running launcher, the guest that proved it, and what was tried before."""

    backend: str
    launcher: Launcher
    guest: Guest
    refusals: tuple[Refusal, ...]


async def launch(
    isolation: str,
    python: Python,
    seeds: tuple[Seed, ...],
    *,
    egress: bool = True,
    egress_denied: str = "refuse",
    egress_unenforced: bool = False,
    files_on_disk: bool = False,
    network: str = "auto",
    layers_needed: bool = False,
) -> Launched:
    """Launches the wanted backend, for "auto" the best that can make a guest; raises HostingError if none can.

    Args:
        egress: whether that guest reaches the network.
        egress_denied: what one without it meets: "refuse" or "drop".
        egress_unenforced: whether a backend that cannot prevent that will do all the same.
        files_on_disk: whether sandboxes' files are kept out of memory.
        network: "host", "private" or "auto".
        layers_needed: whether a backend must let forks share layers of files.
    """
    wishes: dict[str, Any] = {
        "egress": egress,
        "egress_denied": egress_denied,
        "egress_unenforced": egress_unenforced,
        "files_on_disk": files_on_disk,
        "network": network,
        "layers_needed": layers_needed,
    }
    refusals: list[Refusal] = []
    for backend in BACKENDS if isolation == "auto" else (isolation,):
        declined = decline(backend) if isolation == "auto" else None
        outcome = declined or await attempt(backend, python, seeds, **wishes)
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
        else:
            launcher, guest = outcome
            return Launched(backend, launcher, guest, tuple(refusals))
    raise HostingError("; ".join(map(str, refusals)))


def decline(backend: str) -> Refusal | None:
    """Why "auto" leaves out a backend that may work.

    Without namespaces, paths are mapped by means that can be escaped: `D=root; rm -rf /$D/x` in bash. Landlock is the
    net below; without it they would be files of the developer's, while the test passes.
    """
    if backend == "namespace" or landlock.abi() or disposable():
        return None
    return Refusal(
        backend,
        "this kernel has no Landlock to keep what escapes it from your own files, and this is neither a container nor "
        f"CI; to take it all the same, name it: --isolation {backend}, pytest --podflare-isolation={backend} or "
        f"Emulator(isolation='{backend}')",
        left_out=True,
    )


async def attempt(
    backend: str,
    python: Python,
    seeds: tuple[Seed, ...],
    *,
    egress: bool = True,
    egress_denied: str = "refuse",
    egress_unenforced: bool = False,
    files_on_disk: bool = False,
    network: str = "auto",
    layers_needed: bool = False,
) -> Refusal | tuple[Launcher, Guest]:
    """One backend, as far as a guest that is ready to run code."""
    if python.root and backend != "namespace":
        return Refusal(backend, "a system of its own (rootfs) takes namespace isolation")
    if backend in ("namespace", "preload") and sys.platform != "linux":
        return Refusal(backend, "it needs Linux")
    if backend == "preload":
        try:
            preload.library()  # the warden would say so too, after it has been started for nothing
        except OSError as error:
            return Refusal(backend, str(error))
    launcher = Launcher(
        backend,
        python,
        seeds,
        egress=egress,
        egress_denied=egress_denied,
        egress_unenforced=egress_unenforced,
        files_on_disk=files_on_disk,
        network=network,
    )
    try:
        await launcher.start()
    except (HostingError, OSError) as error:
        return Refusal(backend, str(error))
    if layers_needed and launcher.no_layers:
        await launcher.stop()
        return Refusal(backend, f"its forks share no layers of files: {launcher.no_layers}")
    try:
        return launcher, await launcher.guest("default", {}, Limits(egress=egress))
    except HostingError as error:
        await launcher.stop()
        return Refusal(backend, str(error))
