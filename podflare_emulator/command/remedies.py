"""What each ability of a machine is good for, and how to get one that is missing."""

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
    probe.NETWORK_NAMESPACE: "no sandbox can be kept off the network: egress=False is refused",
    probe.WAY_OUT: "sandboxes share this machine's network: two cannot serve on one port, and they reach its loopback",
    probe.OVERLAY: "new sandboxes and forks start as copies, which take longer than layers over the same files",
    probe.PIDFD: "nothing: processes are ended by their number",
    probe.LANDLOCK: "under preload and portable isolation, a path that escapes the mapping is your own file: "
    "auto takes them in a container or CI only",
    probe.USERS: "changes of owner, groups and ids succeed without effect (root emulation): a server that must not "
    "be root does not run",
    probe.IDMAPPED_MOUNTS: "in a namespace sandbox the host's files belong to nobody: they can be replaced or removed, "
    "not changed in place, and deep directories of the system are read-only",
    probe.ROOT_EMULATION: "in a sandbox, changes of owner, groups and ids fail: tar and cp -a as root, chown, su",
    probe.FAKECHROOT: "no preload isolation",
}

# Value of a switch that forbids -> how to turn it.
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
    """What may forbid an ability: switches of the kernel by name, a seccomp filter, an AppArmor profile.

    `namespaces`: whether the kernel is built with user namespaces, allowed or not.
    """

    switches: Mapping[str, str] = field(default_factory=dict)
    filtered: bool = False
    profile: str = ""
    namespaces: bool = False

    @classmethod
    def found(cls) -> Surroundings:
        """Of this process."""
        switches = {name: _read(f"/proc/sys/{name.replace('.', '/')}") for name in _SWITCHES}
        profile = _read("/proc/self/attr/current").partition(" ")[0]
        filtered = "\nSeccomp:\t2" in _read("/proc/self/status")
        namespaces = os.path.exists("/proc/self/ns/user")
        return cls(switches, filtered, "" if profile == "unconfined" else profile, namespaces)


def cost(ability: str) -> str:
    """What goes without it."""
    return _COSTS[ability]


def remedy(ability: str, answers: Mapping[str, str], around: Surroundings) -> str:
    """How to get an ability that `answers` (as of guest/processes/probe.py) says is missing."""
    if ability in _NAMESPACES:
        return _remedy_of_namespaces(ability, answers, around)
    if ability == probe.WAY_OUT:
        return _remedy_of_the_way_out(answers)
    if ability == probe.LANDLOCK:
        how = "Linux 5.13 or later, with landlock among the security modules it starts with (lsm=)"
        return f"{how}, or in Docker: --security-opt seccomp=unconfined" if around.filtered else how
    if ability in (probe.USERS, probe.IDMAPPED_MOUNTS) and answers[probe.USER_NAMESPACE]:
        return f"as for the {probe.USER_NAMESPACE}"
    if ability == probe.USERS:
        return (
            "apt-get install -y uidmap, and a line for you in /etc/subuid and /etc/subgid, such as "
            "you:100000:65536 (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 you); "
            "or start the emulator as root"
        )
    if ability == probe.IDMAPPED_MOUNTS:
        return "start the emulator as root, on Linux 5.19 or later, with /usr on ext4, xfs, btrfs or tmpfs"
    if ability == probe.ROOT_EMULATION:
        return "Linux 4.17 or later with seccomp filters (CONFIG_SECCOMP_FILTER), on x86-64 or ARM 64"
    if ability == probe.FAKECHROOT:
        if "musl" in answers[ability]:
            return "an image of Debian's or Ubuntu's"
        return "apt-get update && apt-get install -y fakechroot"
    return "Linux 5.3 or later"


def _remedy_of_the_way_out(answers: Mapping[str, str]) -> str:
    if answers[probe.NETWORK_NAMESPACE]:
        return f"as for the {probe.NETWORK_NAMESPACE}"
    if "installed" in answers[probe.WAY_OUT]:
        return "apt-get update && apt-get install -y slirp4netns"
    return "a /dev/net/tun that you may open (in Docker: --device /dev/net/tun; else chmod 666 /dev/net/tun)"


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
            "the kernel has it, and nothing here says who forbids it. It never lets a chroot have it: if this is one, "
            "start the emulator outside, or enter by bwrap or systemd-nspawn, which change the root itself"
        )
    return "; ".join(steps) or "a kernel that is built with user namespaces (CONFIG_USER_NS)"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\n\0")
    except OSError:
        return ""
