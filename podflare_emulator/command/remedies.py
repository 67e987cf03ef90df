"""What a missing ability of the machine costs, and how to get it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from podflare_emulator.guest.processes import probe

_NAMESPACES = (
    probe.USER_NAMESPACE,
    probe.MOUNTS,
    probe.PID_NAMESPACE,
    probe.FRESH_PROC,
    probe.NETWORK_NAMESPACE,
    probe.OVERLAY,
)

_COSTS = {
    probe.USER_NAMESPACE: "no namespace isolation",
    probe.MOUNTS: "no namespace isolation",
    probe.PID_NAMESPACE: "no namespace isolation",
    probe.FRESH_PROC: "no namespace isolation",
    probe.NETWORK_NAMESPACE: "sandboxes cannot be cut off from the network: egress=False is refused",
    probe.WAY_OUT: "sandboxes share this machine's network: two cannot listen on one port, and they reach its loopback",
    probe.OVERLAY: "new sandboxes and forks copy their files, which is slower than shared layers",
    probe.PIDFD: "nothing: processes are killed by PID instead",
    probe.LANDLOCK: "under preload and portable isolation, code that escapes the path mapping can write your files: "
    "auto takes them only in a container or in CI",
    probe.USERS: "changes of owners, groups and ids succeed without effect (root emulation): a server that refuses to "
    "run as root does not run",
    probe.IDMAPPED_MOUNTS: "under namespace isolation the host's files are owned by nobody: they can be replaced or "
    "removed, but not changed in place, and deep system directories are read-only",
    probe.ROOT_EMULATION: "in a sandbox, changes of owners, groups and ids fail: tar and cp -a as root, chown, su",
    probe.FAKECHROOT: "no preload isolation",
}

# Sysctl -> the value that forbids namespaces, and the command that allows them.
_SWITCHES = {
    "user.max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
    "kernel.unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "kernel.apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04's AppArmor forbids it)",
    ),
}


@dataclass(frozen=True)
class Surroundings:
    """What may forbid an ability: sysctls by name, a seccomp filter, an AppArmor profile.

    `namespaces`: whether the kernel is built with user namespaces, even if it does not allow them here.
    """

    switches: Mapping[str, str] = field(default_factory=dict)
    filtered: bool = False
    profile: str = ""
    namespaces: bool = False

    @classmethod
    def found(cls) -> Surroundings:
        """Those of this process."""
        switches = {name: _read(f"/proc/sys/{name.replace('.', '/')}") for name in _SWITCHES}
        profile = _read("/proc/self/attr/current").partition(" ")[0]
        filtered = "\nSeccomp:\t2" in _read("/proc/self/status")
        namespaces = os.path.exists("/proc/self/ns/user")
        return cls(switches, filtered, "" if profile == "unconfined" else profile, namespaces)


def cost(ability: str) -> str:
    """What does not work without the ability."""
    return _COSTS[ability]


def remedy(ability: str, answers: Mapping[str, str], around: Surroundings) -> str:
    """How to get an ability that is missing according to `answers` (of guest/processes/probe.py)."""
    if ability in _NAMESPACES:
        return _remedy_of_namespaces(ability, answers, around)
    if ability == probe.WAY_OUT:
        return _remedy_of_the_way_out(answers)
    if ability == probe.LANDLOCK:
        how = "Linux 5.13 or later, with landlock in the kernel parameter lsm="
        return f"{how}, or in Docker: --security-opt seccomp=unconfined" if around.filtered else how
    if ability in (probe.USERS, probe.IDMAPPED_MOUNTS) and answers[probe.USER_NAMESPACE]:
        return f"as for the {probe.USER_NAMESPACE}"
    if ability == probe.USERS:
        return (
            "apt-get install -y uidmap, and an entry for you in /etc/subuid and /etc/subgid, such as "
            "you:100000:65536 (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 you); "
            "or start the emulator as root"
        )
    if ability == probe.IDMAPPED_MOUNTS:
        return "start the emulator as root, on Linux 5.19 or later, with /usr on ext4, xfs, btrfs or tmpfs"
    if ability == probe.ROOT_EMULATION:
        return "Linux 4.17 or later with seccomp filters (CONFIG_SECCOMP_FILTER), on x86-64 or ARM 64"
    if ability == probe.FAKECHROOT:
        if "musl" in answers[ability]:
            return "an image based on Debian or Ubuntu"
        return "apt-get update && apt-get install -y fakechroot"
    return "Linux 5.3 or later"


def _remedy_of_the_way_out(answers: Mapping[str, str]) -> str:
    if answers[probe.NETWORK_NAMESPACE]:
        return f"as for the {probe.NETWORK_NAMESPACE}"
    if "installed" in answers[probe.WAY_OUT]:
        return "apt-get update && apt-get install -y slirp4netns"
    return "permission to open /dev/net/tun (in Docker: --device /dev/net/tun; elsewhere: chmod 666 /dev/net/tun)"


def _remedy_of_namespaces(ability: str, answers: Mapping[str, str], around: Surroundings) -> str:
    first = next(name for name in _NAMESPACES if answers[name])
    if ability != first and answers[ability] == answers[first]:
        return f"as for the {first}"
    if ability == probe.OVERLAY:
        return "Linux 5.11 or later, and a temp directory (TMPDIR) on ext4, xfs, btrfs or tmpfs"
    if ability == probe.FRESH_PROC and not answers[probe.MOUNTS]:
        return "in Docker: --security-opt systempaths=unconfined (Podman: --security-opt unmask=ALL)"
    steps = [turn for name, (forbids, turn) in _SWITCHES.items() if around.switches.get(name) == forbids]
    flags = []
    if around.filtered:
        flags.append("--security-opt seccomp=unconfined")
    if around.profile:
        flags.append("--security-opt apparmor=unconfined")
    if flags:
        steps.append(f"in Docker: {' '.join(flags)} --security-opt systempaths=unconfined")
    if not steps and around.namespaces:
        return (
            "the kernel supports it, but something unknown forbids it. The kernel never allows it in a chroot: if this "
            "is one, start the emulator outside, or use bwrap or systemd-nspawn instead of chroot"
        )
    return "; ".join(steps) or "a kernel built with user namespaces (CONFIG_USER_NS)"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\n\0")
    except OSError:
        return ""
