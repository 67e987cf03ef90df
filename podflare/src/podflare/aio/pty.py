"""Terminals: interactive programs in a sandbox."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from podflare.aio.transport.terminal_output import AsyncTerminalOutput, first_word
from podflare.core import wire
from podflare.core.concurrency import async_check_callback, async_shield
from podflare.core.interruption import Interruption
from podflare.core.seconds import limit
from podflare.errors import (
    InvalidArgumentError,
    NotFoundError,
    PodflareError,
    PtyTimeoutError,
    SandboxClosedError,
    connection_error,
)
from podflare.types import PtySessionInfo

if TYPE_CHECKING:
    from podflare.aio.sandbox import AsyncSandbox

OnDataCallback: TypeAlias = Callable[[bytes], object]
OnExitCallback: TypeAlias = Callable[[int], object]


class AsyncPtyNamespace:
    """The terminals of a sandbox: `sandbox.pty`.

    `create` and `attach` take two callbacks: `on_data` gets the bytes that the program prints, piece by piece, and
    `on_exit` its exit code, once. They are called in order, in a separate thread; those of an `AsyncSandbox` run in a
    task, and may be coroutine functions. An exception in a callback is logged (`logging.getLogger("podflare")`), and
    the terminal continues.
    """

    def __init__(self, sandbox: AsyncSandbox) -> None:
        self._sandbox = sandbox

    async def create(
        self,
        *,
        cmd: str | builtins.list[str],
        cols: int = 80,
        rows: int = 24,
        on_data: OnDataCallback | None = None,
        on_exit: OnExitCallback | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout_ms: int | None = 300000,
    ) -> AsyncPtyHandle:
        """Start a program on its own terminal. It runs at the same time as the sandbox's execs.

        Args:
            cmd: A command for `bash -lc`, or a list of words, which is executed directly.
            cols, rows: The size, in characters.
            on_data, on_exit: Callbacks; see above.
            env: Variables, in addition to the sandbox's.
            cwd: Working directory. Default: `/root`.
            timeout_ms: Milliseconds to wait for the program to start; None for no limit. Its run time is not limited.

        Raises:
            PtyTimeoutError: If it has not started in time. It is a `TimeoutError`.
            PtyError: If the server cannot start it.
        """
        if not cmd or not isinstance(cmd, (str, list, tuple)):
            raise InvalidArgumentError(f"cmd must be a command, or a list of its words, not {cmd!r}")
        what = {"shellCmd": cmd} if isinstance(cmd, str) else {"argv": list(cmd)}
        pairs = None if env is None else [[name, value] for name, value in dict(env).items()]
        directory = None if cwd is None else os.fsdecode(cwd)
        body = {**what, "cols": cols, "rows": rows, **wire.given(env=pairs, cwd=directory)}
        seconds = limit("timeout_ms", timeout_ms, "milliseconds")
        return await self._handle(None, body, seconds, on_data, on_exit)

    async def attach(
        self, pty_id: str, *, on_data: OnDataCallback | None = None, on_exit: OnExitCallback | None = None
    ) -> AsyncPtyHandle:
        """Make a handle on an existing terminal. Its recent output, up to 1 MiB, comes first.

        Raises:
            NotFoundError: If the sandbox has no such terminal.
        """
        if not isinstance(pty_id, str) or not pty_id or "/" in pty_id:
            raise InvalidArgumentError(f"pty_id must be the `id` of a terminal, not {pty_id!r}")
        seconds = self._sandbox._shared_client.client.timeout
        return await self._handle(pty_id, None, seconds, on_data, on_exit)

    async def list(self) -> builtins.list[PtySessionInfo]:
        """Return the terminals whose programs are still running."""
        async with self._sandbox._in_use() as client:
            return [
                PtySessionInfo(
                    found["pty_id"],
                    found.get("cmd_label", ""),
                    found.get("created_at_ms", 0),
                    found.get("exit_code"),
                )
                for found in await client.pty_list(self._sandbox.id)
            ]

    async def _handle(
        self,
        pty_id: str | None,
        body: Mapping[str, Any] | None,
        seconds: float | None,
        on_data: OnDataCallback | None,
        on_exit: OnExitCallback | None,
    ) -> AsyncPtyHandle:
        """Attached to `pty_id` if given, else created from the body."""
        async_check_callback("on_data", on_data)
        async_check_callback("on_exit", on_exit)
        owned = pty_id is None
        shared = self._sandbox._shared_client
        async with self._sandbox._in_use() as client:
            interruption = Interruption(seconds)
            interruption.begin()
            call = "" if pty_id is None else f"/{pty_id}/attach"
            try:
                response = await client._pty_opened(self._sandbox.id, call, body, interruption)
                messages = client._read(response, wire.pty_message_of)
                try:
                    if pty_id is None:
                        pty_id = await first_word(messages)
                except BaseException:
                    with async_shield():
                        await messages.aclose()
                        await response.aclose()
                    raise
            except httpx.RequestError as error:
                if interruption.explain(error):
                    message = f"the terminal was not ready within {seconds} seconds"
                    raise PtyTimeoutError(message) from None
                if isinstance(error, PodflareError):
                    raise
                raise connection_error(error, response.request) from None
            interruption.go_on()
            output = AsyncTerminalOutput(pty_id, messages, interruption, shared.let_go, on_data, on_exit)
            shared.hold()
            self._sandbox._terminals.add(output)
            output.start()
        return AsyncPtyHandle(self._sandbox, pty_id, output, owned=owned)


class AsyncPtyHandle:
    """A terminal of a sandbox, and its program. `AsyncSandbox.pty` makes it.

    Iterate over it to read the program's output, as bytes, until it ends. Unread output is kept, up to the last MiB.
    `async with` closes the handle at the end, and kills the program if the handle comes from `create`.
    """

    def __init__(
        self, sandbox: AsyncSandbox, pty_id: str, output: AsyncTerminalOutput, *, owned: bool
    ) -> None:
        self._sandbox = sandbox
        self._id = pty_id
        self._output = output
        self._owned = owned

    @property
    def id(self) -> str:
        """The id for `attach`, in this or another process."""
        return self._id

    async def send_input(self, data: bytes | str) -> None:
        """Type something; a str is sent as UTF-8. A line ends with `"\\r"`, Ctrl-C is `"\\x03"`, Ctrl-D `"\\x04"`."""
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise InvalidArgumentError(f"send_input takes a str or bytes, not {data!r}")
        typed = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else bytes(data)
        async with self._sandbox._in_use() as client:
            await client.pty_input(self._sandbox.id, self._id, typed)

    async def resize(self, cols: int, rows: int) -> None:
        """Resize the terminal, in characters. The program gets SIGWINCH."""
        async with self._sandbox._in_use() as client:
            await client.pty_resize(self._sandbox.id, self._id, cols, rows)

    async def kill(self) -> None:
        """Kill the program and its process group; `wait` then returns 137. Does nothing if it has ended."""
        async with self._sandbox._in_use() as client:
            await client.pty_kill(self._sandbox.id, self._id)

    async def wait(self, timeout: float | None = None) -> int:
        """Wait until the program has ended and all callbacks have returned. Do not call it in `on_data`.

        Args:
            timeout: In seconds; None for no limit.

        Returns:
            Its exit code; 128 plus the signal's number if a signal ended it.

        Raises:
            PtyTimeoutError: If the time is over; the program keeps running. It is a `TimeoutError`.
            PtyError: If this handle was closed.
            APIConnectionError: If the connection was lost. The program keeps running: attach to it.
        """
        return await self._output.wait(limit("timeout", timeout, zero=True))

    async def close(self) -> None:
        """Close this handle: no more callbacks. The program keeps running; `attach` returns to it."""
        self._output.stop()

    def __aiter__(self) -> AsyncPtyHandle:
        return self

    async def __anext__(self) -> bytes:
        if data := await self._output.take():
            return data
        raise StopAsyncIteration

    async def __aenter__(self) -> AsyncPtyHandle:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with async_shield():
            try:
                if self._owned and self._output.exit_code is None:
                    await self.kill()
            except (NotFoundError, SandboxClosedError):
                pass  # it has gone with its sandbox
            except PodflareError:
                if exc_type is None:
                    raise
            finally:
                await self.close()

    def __repr__(self) -> str:
        code = self._output.exit_code
        return f"<AsyncPtyHandle {self._id}{'' if code is None else f' (ended with {code})'}>"
