"""The work of an init: adopts and reaps, reports which processes ended and how, sends signals, and ends sandboxes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable

from ..protocol import Connection, Message
from ..system.process_table import is_stopped, processes, runs_since, session

_LOOK_AGAIN = 0.005  # seconds: for processes that are not its own children
_MOST_LOOKS = 200  # a process that waits for a disk stops only after that

Belongs = Callable[[int, Message], bool]


class Reaper:
    """Serves one connection of the host until it closes.

    `belongs(pid, message)` tells whether a process is part of the sandbox that an `end` message names.
    """

    def __init__(self, connection: Connection, belongs: Belongs) -> None:
        self._connection = connection
        self._belongs = belongs
        # By the sandbox's mark, in the order in which they were stopped.
        self._stopped: dict[str, list[int]] = {}
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self, other: Callable[[Message, list[int]], None] | None = None) -> None:
        """Answers `signal`, `stop`, `continue`, `end` and `end_terminal`; closes descriptors for `close`.

        Passes the rest to `other`. Returns when the host is gone.
        """
        with contextlib.suppress(ConnectionError):
            self._serve(other)

    def _serve(self, other: Callable[[Message, list[int]], None] | None) -> None:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._wake:
                    self._drain_wake()
                    continue
                arrived = self._connection.receive()
                if arrived is None:
                    return
                while arrived is not None:
                    self._answer(*arrived, other)
                    arrived = self._connection.waiting()
            self.reap()

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._connection.send({"exited": pid, "code": os.waitstatus_to_exitcode(status)})

    def _answer(
        self, message: Message, descriptors: list[int], other: Callable[[Message, list[int]], None] | None
    ) -> None:
        match message["op"]:
            case "signal":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(message["pid"], message["signal"])
                self._connection.send({"id": message["id"]})
            case "stop":
                self._stop(message)
                self._connection.send({"id": message["id"]})
            case "continue":
                self._continue(message)
                self._connection.send({"id": message["id"]})
            case "end":
                self._end(message)
                self._connection.send({"id": message["id"]})
            case "end_terminal":
                self._end_terminal(message["pid"], descriptors)
                self._connection.send({"id": message["id"]})
            case "close":
                for number in descriptors:
                    os.close(number)
            case _ if other is not None:
                other(message, descriptors)
            case unknown:
                raise ValueError(f"unknown message {unknown!r}")

    def _stop(self, message: Message) -> None:
        """Stops the sandbox's processes until a search finds none that runs: processes may fork during a search.

        The guest comes first, so that it does not see its children stop. Processes that are already stopped are left
        alone.
        """
        stopped = self._stopped[message["mark"]] = []
        while pids := [pid for pid in self._found(message) if pid not in stopped and not is_stopped(pid)]:
            for pid in sorted(pids, key=lambda pid: pid != message["pid"]):
                stopped.append(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
        for _ in range(_MOST_LOOKS):  # on a busy machine a process runs on for a moment after SIGSTOP
            if all(is_stopped(pid) or runs_since(pid) < 0 for pid in stopped):
                break
            select.select([self._wake], [], [], _LOOK_AGAIN)
            self._drain_wake()

    def _continue(self, message: Message) -> None:
        for pid in reversed(self._stopped.pop(message["mark"], [])):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)

    def _end(self, message: Message) -> None:
        """Kills the sandbox's processes until a search finds none: processes may fork during a search.

        Before it has ended, a dying process can no longer be recognised, so this keeps the numbers of those it killed.
        """
        self._stopped.pop(message["mark"], None)
        killed: dict[int, int] = {}
        # The guest is known without a search, and is usually alone: one search after its end finds nothing.
        pids = {message["pid"]} if message["pid"] else {*self._found(message)}
        while pids:
            for pid in pids:
                killed[pid] = runs_since(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            select.select([self._wake], [], [], _LOOK_AGAIN)  # until a child of this process has ended
            self._drain_wake()
            self.reap()
            pids = {
                *self._found(message),
                *(pid for pid, born in killed.items() if born >= 0 and runs_since(pid) == born),
            }

    def _end_terminal(self, leader: int, terminal: list[int]) -> None:
        groups = {leader}
        for number in terminal:
            with contextlib.suppress(OSError):
                groups.add(os.tcgetpgrp(number))
            os.close(number)
        for group in groups - {0}:  # 0: none
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)

    def _found(self, message: Message) -> list[int]:
        if shown := processes():
            return [pid for pid in shown if pid != os.getpid() and self._belongs(pid, message)]
        return session(message["pid"]) if message["pid"] else []

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
