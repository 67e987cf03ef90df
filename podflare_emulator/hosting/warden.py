"""Starts a warden: the process that makes an emulator's other processes, and removes what they leave.

It needs no event loop: a server begins its warden first, and loads the loop and the rest of itself meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path

from msgspec import Struct

import podflare_emulator.guest
from podflare_emulator.guest.order import PROGRAMS, Order, Python, Seed
from podflare_emulator.guest.protocol import Connection
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.machine.bytecode import compile_directory

STATE_PREFIX = "podflare-emulator-"
_GUEST_CODE = str(Path(podflare_emulator.guest.__file__).parent)


class Config(Struct, frozen=True):
    """How sandboxes are hosted.

    `isolation`: "namespace", "preload", "portable", or "auto" for the best of these. `seeds`: copied into every new
    sandbox. `egress`: whether sandboxes may reach the network; `egress_denied`: what happens to the connections of one
    that may not, "refuse" or "drop"; `egress_unenforced`: whether a backend that cannot keep it off will do.
    `files_on_disk`: whether sandboxes' files are kept on disk rather than in memory. `network`: "host", "private" or
    "auto".
    """

    isolation: str
    python: Python
    seeds: tuple[Seed, ...] = ()
    egress: bool = True
    egress_denied: str = "refuse"
    egress_unenforced: bool = False
    files_on_disk: bool = False
    network: str = "auto"


def helper() -> str:
    """The program that gives private networks a way out; "" if none is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


class Warden:
    """A state directory and the process that owns it, which has its order.

    `keeper` and `router` are the sockets of two of its processes; `complaints` reads what its processes write to
    stderr. The process ends, and removes the directory, once `keeper` is closed.
    """

    def __init__(self, config: Config) -> None:
        """Raises HostingError if the network cannot be as `config` says, OSError if the process cannot start."""
        self.config = config
        network, program = _network(config)
        compile_directory(_GUEST_CODE)
        with ExitStack() as undo:
            self.state = os.path.realpath(tempfile.mkdtemp(prefix=STATE_PREFIX))
            undo.callback(shutil.rmtree, self.state, ignore_errors=True)
            self.keeper, theirs = socket.socketpair()
            undo.callback(self.keeper.close)
            self.router, routers = socket.socketpair()
            undo.callback(self.router.close)
            complaints, complain = os.pipe()
            self.complaints = FileIO(complaints)
            undo.callback(self.complaints.close)
            with theirs, routers, FileIO(complain, "w") as stderr:
                self._start(theirs, stderr.fileno())
                order = Order(
                    self.state,
                    config.isolation,
                    config.python,
                    config.seeds,
                    on_disk=config.files_on_disk,
                    network=network,
                    helper=program,
                    drop=config.egress_denied == "drop",
                )
                with suppress(ConnectionError):  # it has ended, which the wait for its answer reports
                    Connection(self.keeper).send(order.message(), [routers.fileno()])
            undo.pop_all()

    def _start(self, theirs: socket.socket, stderr: int) -> None:
        lock = os.open(f"{self.state}/.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(
                f"{self.state}/.lock", f"{self.state}/lock"
            )  # other wardens see it only once it is held
            python = self.config.python
            program = sys.executable if python.root else python.executable
            self.process = subprocess.Popen(
                [program, "-I", "-S", "-B", _GUEST_CODE, "warden", str(theirs.fileno()), self.state],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[theirs.fileno(), lock],
                env={},
                cwd="/",
                start_new_session=True,  # Ctrl-C in the terminal must reach only the emulator
            )
        finally:
            os.close(lock)

    def close(self) -> None:
        """Ends it, if no launcher has; returns when nothing of it is left."""
        self.keeper.close()
        self.router.close()
        self.process.wait()
        self.complaints.close()


def _network(config: Config) -> tuple[str, str]:
    """The network to order, and the program that connects it; raises HostingError if it is impossible here."""
    if config.isolation != "namespace":
        if config.network == "private":
            raise HostingError("sandboxes share the machine's network here: use --network auto or host")
        return "host", ""
    program = helper() if config.egress else ""
    if config.network == "private" and config.egress and not program:
        raise HostingError(
            f"egress from a private network needs {' or '.join(PROGRAMS)}, and neither is installed: "
            "apt-get install -y slirp4netns, or turn egress off (--no-egress)"
        )
    return (config.network if program else "host"), program
