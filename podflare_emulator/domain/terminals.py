"""The terminals of a machine: each has a program, its recent output, and the clients attached to it."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from typing import Any

from msgspec import Struct

from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.guests.terminal import Terminal
from podflare_emulator.vocabulary.sandbox_errors import TerminalNotFound

from .events import unfinished, without

_PATIENCE = 0.02  # seconds: how long the beginning of a hidden path may wait for the rest

KEPT = 1 << 20
"""Bytes of output that are replayed to a client that attaches (contract)."""
ENDED = 100
"""Terminals of a machine that can still be read after their end; older ones are forgotten."""


class TerminalOrder(Struct, frozen=True):
    """`shell`: a command for `bash -lc`; or `argv`, executed directly. `cwd` None: /root."""

    shell: str | None
    argv: list[str] | None
    cols: int
    rows: int
    env: list[tuple[str, str]]
    cwd: str | None

    @property
    def label(self) -> str:
        return self.shell if self.shell is not None else " ".join(self.argv or [])


class Session:
    """One terminal. Positions in its output count bytes from its start."""

    def __init__(self, number: int, label: str, hidden: bytes, created: int) -> None:
        """`hidden` is removed from the output (`without`)."""
        self.id = f"pty_{number:08x}"
        self.label = label
        self.created = created
        self.exit_code: int | None = None
        self.terminal: Terminal
        self._hidden = hidden
        self._waiting = b""
        self._timer: asyncio.TimerHandle | None = None
        self._kept = bytearray()
        self.end = 0
        self._changed: set[asyncio.Future[None]] = set()
        self._severed = 0

    @property
    def ended(self) -> bool:
        return self.exit_code is not None

    def hear(self, data: bytes) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        data = self._waiting + data
        whole = len(data) - unfinished(self._hidden, data)
        self._waiting = data[whole:]
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._wait_no_longer)
        if whole:
            self._show(data[:whole])

    def _wait_no_longer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            waiting, self._waiting = self._waiting, b""
            self._show(waiting)

    def _show(self, data: bytes) -> None:
        data = without(self._hidden, data)
        self._kept += data
        self.end += len(data)
        if len(self._kept) > 2 * KEPT:  # not every time, as deleting moves the rest
            del self._kept[:-KEPT]
        self._tell()

    def finish(self, code: int | None) -> None:
        """`code`: as Terminal's `on_exit` gets it; stored as a shell would report it."""
        self._wait_no_longer()
        code = -signal.SIGKILL if code is None else code
        self.exit_code = 128 - code if code < 0 else code
        self._tell()

    def read(self, position: int, most: int = KEPT) -> tuple[bytes, int]:
        """Up to `most` bytes of output from `position`, and the position after them; skips what is no longer kept."""
        begin = max(position, self.end - min(len(self._kept), KEPT))
        start = len(self._kept) - (self.end - begin)
        data = bytes(self._kept[start : start + most])
        return data, begin + len(data)

    def sever(self) -> None:
        """The sandbox is frozen: attached clients see the terminal end."""
        self._severed += 1
        self._tell()

    async def wait(self, position: int) -> None:
        """Waits for output after `position`, or until the program has ended or its sandbox is frozen."""
        severed = self._severed
        while self.end <= position and not self.ended and self._severed == severed:
            changed = asyncio.get_running_loop().create_future()
            self._changed.add(changed)
            try:
                await changed
            finally:
                self._changed.discard(changed)

    async def watch(self) -> AsyncIterator[bytes]:
        """Yields the kept output, then new output until the program ends. A slow reader misses what was dropped."""
        position = 0
        severed = self._severed
        while self._severed == severed:
            data, position = self.read(position, 1 << 16)
            if data:
                yield data
            elif self.ended:
                return
            else:
                await self.wait(position)

    def described(self) -> dict[str, Any]:
        return {
            "pty_id": self.id,
            "cmd_label": self.label,
            "created_at_ms": self.created,
            "exit_code": self.exit_code,
        }

    def _tell(self) -> None:
        for changed in self._changed:
            if not changed.done():
                changed.set_result(None)


class Terminals:
    """One machine's terminals: a fork's children have none, and the winner of a merge brings its own."""

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def start(self, guest: Guest, order: TerminalOrder, now: int) -> Session:
        """`now`: ms since the epoch. Raises HostingError if it cannot be started."""
        session = Session(next(self._numbers), order.label, guest.jail.hidden, now)
        message = {
            "shell": order.shell,
            "argv": order.argv,
            "cols": order.cols,
            "rows": order.rows,
            "env": order.env,
            "cwd": order.cwd,
        }

        def finish(code: int | None) -> None:
            session.finish(code)
            self._sessions[session.id] = self._sessions.pop(session.id, session)  # in the order of their ends

        session.terminal = await guest.start_terminal(message, session.hear, finish)
        self._sessions[session.id] = session
        ended = [one.id for one in self._sessions.values() if one.ended]
        for forgotten in ended[:-ENDED]:
            del self._sessions[forgotten]
        return session

    def get(self, terminal_id: str) -> Session:
        try:
            return self._sessions[terminal_id]
        except KeyError:
            raise TerminalNotFound from None

    def sever(self) -> None:
        for session in self._sessions.values():
            session.sever()

    def active(self) -> list[dict[str, Any]]:
        return [session.described() for session in self._sessions.values() if not session.ended]
