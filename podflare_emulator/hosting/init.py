"""The host's handle on an init: the process that reaps, signals and ends sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

from podflare_emulator.guest.protocol import Message
from podflare_emulator.hosting.channel import Channel
from podflare_emulator.hosting.errors import HostingError

_REPORT_WITHIN = 2.0  # seconds from a guest closing its socket to its init's report of how it ended
_REMEMBERED = 1000


class Init:
    """One for each family under the namespace backend; under the others, the keeper serves all families."""

    def __init__(
        self, sock: socket.socket, other: Callable[[Message, list[int]], None] | None = None
    ) -> None:
        self._other = other  # gets the messages that only a keeper sends
        self._members = 0
        self._exits: dict[int, int] = {}
        self._awaited: dict[int, asyncio.Future[int]] = {}
        self.gone = asyncio.get_running_loop().create_future()
        self.channel = Channel(sock, self._received, self._closed)

    def join(self) -> None:
        """Counts a guest of its family that is being made."""
        self._members += 1

    def leave(self) -> None:
        """A guest of its family has ended. The init of a family ends with the last one."""
        self._members -= 1
        if not self._members and self._other is None:
            self.channel.close()

    async def signal(self, pid: int, number: int) -> None:
        """Returns when the signal has been sent. It is no error if the process has ended."""
        await self.channel.request({"op": "signal", "pid": pid, "signal": number})

    async def stop(self, pid: int, mark: str) -> None:
        """Stops a sandbox's guest and everything it has started; returns when none of it runs."""
        await self.channel.request({"op": "stop", "pid": pid, "mark": mark})

    async def go_on(self, mark: str) -> None:
        """Resumes what `stop` has stopped."""
        await self.channel.request({"op": "continue", "mark": mark})

    async def end(self, pid: int, mark: str) -> None:
        """Kills a sandbox's guest (`pid`; 0 if it has ended) and all it has started; returns when none is left."""
        await self.channel.request({"op": "end", "pid": pid, "mark": mark})

    async def end_terminal(self, leader: int, terminal: Sequence[int]) -> None:
        """SIGKILL for the process group of a session's leader, and for the one in the foreground of its terminal.

        `terminal`: a descriptor of that, or none if it is closed. Only the init finds the group by the right number.
        """
        await self.channel.request({"op": "end_terminal", "pid": leader}, terminal)

    def close(self, descriptors: Sequence[int]) -> None:
        """Hands over descriptors for the init to close, since closing may take long."""
        with contextlib.suppress(HostingError):  # it is gone
            self.channel.send({"op": "close"}, descriptors)

    def watch(self, pid: int) -> None:
        """A new process has this pid: forget what is known about the previous one."""
        self._exits.pop(pid, None)

    async def exit_code(self, pid: int) -> int | None:
        """How a guest that has just ended did so: its exit code, or minus the signal; None if it is unknown."""
        if pid in self._exits:
            return self._exits[pid]
        if self.channel.closed:
            return None
        report = self._awaited.setdefault(pid, asyncio.get_running_loop().create_future())
        await asyncio.wait([report], timeout=_REPORT_WITHIN)
        self._awaited.pop(pid, None)
        return report.result() if report.done() and not report.cancelled() else None

    async def ended(self, pid: int) -> int | None:
        """Waits until this process of the init's family has ended; returns how, like `exit_code`."""
        if pid not in self._exits and not self.channel.closed:
            report = self._awaited.setdefault(pid, asyncio.get_running_loop().create_future())
            await asyncio.wait([report])
            self._awaited.pop(pid, None)
        return self._exits.get(pid)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if "exited" in message:
            pid, code = message["exited"], message["code"]
            self._exits[pid] = code
            if len(self._exits) > _REMEMBERED:
                del self._exits[next(iter(self._exits))]
            if (report := self._awaited.get(pid)) and not report.done():
                report.set_result(code)
        elif self._other:
            self._other(message, descriptors)

    def _closed(self) -> None:
        for report in self._awaited.values():
            report.cancel()
        if not self.gone.done():
            self.gone.set_result(None)
