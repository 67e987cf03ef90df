"""The programs that can serve the other end of a network's way out, and how each is started."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal

from ..system import network

# The program's descriptors.
_NAMESPACE, _USER_NAMESPACE, _READY, _ALIVE = 3, 4, 5, 6
_KEPT_BY_PASTA = {
    _NAMESPACE: 0,
    _READY: 1,
    _USER_NAMESPACE: 2,
}  # it closes all others, and has no use for these
_BEYOND = 10


class Helper:
    """A running program.

    `ready` is a descriptor that becomes readable when the program has started or has ended; `over`, one that becomes
    readable when it has ended, or -1 on kernels without pidfds.
    """

    def __init__(self, program: str, namespace: int, user_namespace: int) -> None:
        self.ready, ready = os.pipe()
        alive, self._alive = os.pipe()
        given = {_NAMESPACE: namespace, _USER_NAMESPACE: user_namespace, _READY: ready, _ALIVE: alive}
        # None of them may have a number that another is to get.
        moved = {
            place: fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _BEYOND) for place, number in given.items()
        }
        try:
            if os.path.basename(program).startswith("pasta"):
                words, places = _pasta(), _KEPT_BY_PASTA
            else:
                words, places = _slirp4netns(), {place: place for place in moved}
            files: list[tuple[object, ...]] = [
                (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)
            ]
            files += [(os.POSIX_SPAWN_DUP2, moved[name], place) for name, place in places.items()]
            self._pid = os.posix_spawn(
                program, [program, *words], {}, file_actions=files, setsigdef=[signal.SIGPIPE]
            )
        except OSError:
            os.close(self.ready)
            os.close(self._alive)
            raise
        finally:
            for number in (ready, alive, *moved.values()):
                os.close(number)
        self.over = -1
        with contextlib.suppress(OSError):
            self.over = os.pidfd_open(self._pid)

    def has_started(self) -> bool:
        """Call it once `ready` can be read."""
        return bool(os.read(self.ready, 16))

    def has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        for number in (self.ready, self._alive, self.over):
            if number >= 0:
                os.close(number)


def _slirp4netns() -> list[str]:
    return [
        "--netns-type=path",
        f"--userns-path=/proc/self/fd/{_USER_NAMESPACE}",
        f"--ready-fd={_READY}",
        f"--exit-fd={_ALIVE}",  # it ends when this process ends, for whatever reason
        f"--mtu={network.MTU}",
        "--disable-host-loopback",
        # Otherwise it would keep root's rights.
        *(["--enable-sandbox", "--enable-seccomp"] if os.getuid() == 0 else []),
        f"/proc/self/fd/{_NAMESPACE}",
        network.INTERFACE,
    ]


def _pasta() -> list[str]:
    nothing = [word for kind in ("-t", "-u", "-T", "-U") for word in (kind, "none")]  # no ports are forwarded
    return [
        # Otherwise it becomes `nobody`, and then may not enter the namespaces.
        *(["--runas", "0"] if os.getuid() == 0 else []),
        *("--foreground", "--quiet", "--ipv4-only", "--no-dhcp", "--no-map-gw", *nothing),
        *("--address", network.ADDRESS, "--netmask", network.NETMASK, "--gateway", network.GATEWAY),
        *("--dns-forward", network.NAMESERVER, "--mtu", str(network.MTU)),
        *("--ns-ifname", network.INTERFACE, "--pid", f"/proc/self/fd/{_KEPT_BY_PASTA[_READY]}"),
        *("--userns", f"/proc/self/fd/{_KEPT_BY_PASTA[_USER_NAMESPACE]}"),
        *("--netns", f"/proc/self/fd/{_KEPT_BY_PASTA[_NAMESPACE]}"),
    ]
