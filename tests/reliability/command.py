"""The command `podflare-emulator`, in a process and with a temporary directory of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]

_PATIENCE = 30  # seconds; what is waited for takes milliseconds


class Command:
    """Running when made, and serving; `temporary` is the directory that it uses as the system's."""

    def __init__(self, temporary: Path, *arguments: str) -> None:
        self.temporary = temporary
        self.process = launch(temporary, *arguments)
        assert self.process.stdout is not None
        first_line = self.process.stdout.readline().decode()
        assert "http://" in first_line, f"it said {first_line!r}, and ended with {self.process.wait()}"
        self.url = first_line[first_line.index("http://") :].split()[0]

    def inside(self) -> list[psutil.Process]:
        """Every process that it has started, and those have."""
        processes: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return processes

    def directories(self) -> list[Path]:
        """What it has in its temporary directory."""
        return directories(self.temporary)

    def open_files(self) -> int:
        """How many descriptors it has open."""
        return int(psutil.Process(self.process.pid).num_fds())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE)

    def clean_up(self) -> None:
        if self.process.poll() is None:
            inside = self.inside()
            self.end()
            eventually(lambda: every_one_has_ended(inside))
        assert self.process.stdout is not None
        self.process.stdout.close()


def launch(temporary: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """In a session of its own, so that a signal to its process group is no signal to the test."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PODFLARE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "podflare_emulator", "--port", "0", *arguments],
        env={**environment, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def directories(temporary: Path) -> list[Path]:
    return sorted(temporary.glob("podflare-emulator-*"))


def every_one_has_ended(processes: list[psutil.Process]) -> bool:
    return all(map(_has_ended, processes))


def _has_ended(process: psutil.Process) -> bool:
    # A zombie has: reaping it is somebody else's duty when its parent is dead.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], bool]) -> None:
    """Returns when it holds; fails when it does not for long."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not even after {_PATIENCE} s"
        time.sleep(0.005)


def nothing_is_left(processes: list[psutil.Process], temporary: Path) -> None:
    """Returns when none of the processes runs, and the directory holds nothing of an emulator's."""
    eventually(lambda: every_one_has_ended(processes))
    eventually(lambda: not directories(temporary))
