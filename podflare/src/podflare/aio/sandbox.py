"""The class `AsyncSandbox`: create, run code, fork, merge, transfer files, close."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from types import FrameType, TracebackType
from typing import Any, overload
from weakref import WeakSet

from podflare.aio.client import AsyncClient
from podflare.aio.pty import AsyncPtyNamespace
from podflare.aio.transport import transfer
from podflare.aio.transport.events import AsyncEventStream
from podflare.aio.transport.shared_client import AsyncSharedClient
from podflare.aio.transport.terminal_output import AsyncTerminalOutput
from podflare.core import wire
from podflare.core.concurrency import AsyncLock, async_shield, async_together
from podflare.core.interruption import Interruption
from podflare.errors import (
    ExecTimeoutError,
    ForkWarning,
    InvalidArgumentError,
    NotFoundError,
    ProcessesLeftBehindWarning,
    ReplayDiffersWarning,
    SandboxClosedError,
    ThreadsLeftBehindWarning,
)
from podflare.regions import region_host
from podflare.types import Event, ExecResult, Forked, Language


class AsyncSandbox:
    """A cloud sandbox: a long-lived Python REPL with its own filesystem, which can be forked in memory.

    `async with AsyncSandbox(...) as sandbox` creates it on the server, and destroys it at the end of the block. The
    alternative is `sandbox = await AsyncSandbox(...)` and `await sandbox.close()`. It may be used from several
    tasks of one event loop: the server runs one exec at a time, and the others wait.

    Args:
        template: Name of the template that the sandbox starts from.
        region: Where it runs: a name in `REGIONS`. Without a `host` this picks a region of the hosted service; on a
            server that `host` or `PODFLARE_HOST` names, requests go to `/r/<region>`.
        host, api_key, traceparent: As in `AsyncClient`.
        client: A client to share. It stays open when the sandbox is closed. Without one, the sandbox makes its own and
            shares it with its forks; the last of them to be closed closes it.
        timeout_seconds: The sandbox's lifetime. The server caps it according to the account's tier.
        idle_timeout_seconds: Seconds without an exec after which the server ends the sandbox.
        ram_mib: Memory in MiB.
        rootfs_gb: Size of the filesystem in GB.
        persistent: Whether an idle sandbox is frozen into a Space instead of being destroyed.
        egress: Whether the sandbox reaches the network.

    Copies (`copy.copy`, `copy.deepcopy`, a pickle) are handles on the same sandbox that do not own it, as `connect`
    makes them. A pickle holds the host and no API key: where it is loaded, `PODFLARE_API_KEY` must be set.

    Raises:
        InvalidArgumentError: If the host is not a URL, if the service has no such region, or if both a client and
            settings for one are given. It is a `ValueError`.
        APIStatusError: If the server refuses, here and in every method.
        APIConnectionError: If the server gives no complete answer, here and in every method.
        SandboxClosedError: In every method but `close`, after the sandbox was closed or merged into another.
        ClientClosedError: In every method, after the `client` was closed.
    """

    # The Space that it is resumed from, instead of a template.
    _space: str | None = None

    def __init__(
        self,
        *,
        template: str | None = "default",
        region: str | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
        traceparent: str | None = None,
        timeout_seconds: int | None = None,
        idle_timeout_seconds: int | None = None,
        ram_mib: int | None = None,
        rootfs_gb: int | None = None,
        persistent: bool | None = None,
        egress: bool | None = None,
    ) -> None:
        self._attach(None, _shared(client, host, api_key, traceparent, region), owned=True)
        self._settings: dict[str, Any] = wire.given(
            template=template,
            timeout_seconds=timeout_seconds,
            idle_timeout_seconds=idle_timeout_seconds,
            ram_mib=ram_mib,
            rootfs_gb=rootfs_gb,
            persistent=persistent,
            egress=egress,
        )
        # sync only: self._create()

    # async only {
    def __await__(self) -> Generator[Any, None, AsyncSandbox]:
        """Create it on the server, unless that has been done."""
        return self.__aenter__().__await__()

    # async only }

    def _attach(self, sandbox_id: str | None, shared_client: AsyncSharedClient, *, owned: bool) -> None:
        self._id = sandbox_id
        self._shared_client = shared_client
        self._owned = owned
        # Why the sandbox can no longer be used; None while it can.
        self._ended: str | None = None
        self._lock = AsyncLock()
        self._running: set[Interruption] = set()
        self._terminals: WeakSet[AsyncTerminalOutput] = WeakSet()

    async def _create(self) -> None:
        async with self._lock:
            self._check_open()
            if self._id is not None:
                return
            try:
                client = self._shared_client.client
                if self._space is None:
                    self._id = await client.create_sandbox(**self._settings)
                else:
                    self._id = str((await client.resume_space(self._space, **self._settings))["id"])
            except BaseException:
                self._ended = "the sandbox could not be created"
                with async_shield():
                    await self._shared_client.let_go()
                raise

    @classmethod
    def resume(
        cls,
        space_id: str,
        *,
        region: str | None = None,
        host: str | None = None,
        client: AsyncClient | None = None,
        traceparent: str | None = None,
        api_key: str | None = None,
        timeout_seconds: int | None = None,
        idle_timeout_seconds: int | None = None,
        persistent: bool | None = None,
        egress: bool | None = None,
    ) -> AsyncSandbox:
        """Resume a Space: an idle sandbox with `persistent=True` that was frozen.

        The new sandbox continues where the frozen one stopped, under a new id, and the Space is removed. Use it like
        any new sandbox.

        Args:
            space_id: The Space's id, as a webhook reports it.
            region, host, client, traceparent, api_key: As for a new one. A Space is in the region of its sandbox.
            timeout_seconds, idle_timeout_seconds, persistent, egress: As for a new one.

        Raises:
            NotFoundError: If there is no such Space.
        """
        handle = cls.__new__(cls)
        handle._space = _checked("space_id", space_id)
        cls.__init__(  # called by this name, as test tools replace it to see new sandboxes
            handle,
            template=None,
            region=region,
            host=host,
            client=client,
            traceparent=traceparent,
            api_key=api_key,
            timeout_seconds=timeout_seconds,
            idle_timeout_seconds=idle_timeout_seconds,
            persistent=persistent,
            egress=egress,
        )
        return handle

    @classmethod
    def connect(
        cls,
        sandbox_id: str,
        *,
        region: str | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
        traceparent: str | None = None,
    ) -> AsyncSandbox:
        """Make a handle on an existing sandbox, created for example by another process or an earlier web request.

        This sends no request: if there is no such sandbox, the first call raises `NotFoundError`. The handle does not
        own the sandbox: a block of `async with` closes its connections and leaves the sandbox running.
        `close` still destroys it.

        Args:
            sandbox_id: The sandbox's `id`.
            region, host, api_key, client, traceparent: As for a new one.
        """
        handle = cls.__new__(cls)
        shared = _shared(client, host, api_key, traceparent, region)
        handle._attach(_checked("sandbox_id", sandbox_id), shared, owned=False)
        return handle

    @property
    def id(self) -> str:
        """The sandbox's id on the server. It stays the same when another sandbox is merged into this one."""
        if self._id is None:
            raise SandboxClosedError(
                "this sandbox is not created yet: use `async with AsyncSandbox(...)` or `await AsyncSandbox(...)`"
            )
        return self._id

    @property
    def pty(self) -> AsyncPtyNamespace:
        """The sandbox's terminals: `pty.create`, `pty.attach`, `pty.list`."""
        return AsyncPtyNamespace(self)

    async def run_code(
        self, code: str, language: Language = "python", *, timeout: float | None = None
    ) -> ExecResult:
        """Run code and wait until it has finished, however long that takes.

        An exception in the code is not raised here: its traceback is in `stderr`, and `exit_code` is not 0.

        Args:
            code: Python for the sandbox's REPL, which keeps its state between calls, or a bash script, which
                runs in a fresh process each time. It may be indented as a block.
            language: `"python"` or `"bash"`.
            timeout: Seconds after which the code is interrupted, including the time that it waits for other execs of
                the sandbox; None for no limit.

        Raises:
            ExecTimeoutError: If the code was interrupted, with what it had printed. It is a `TimeoutError`.
        """
        return await _result_of(self.run_code_stream(code, language, timeout=timeout))

    def run_code_stream(
        self, code: str, language: Language = "python", *, timeout: float | None = None
    ) -> AsyncEventStream:
        """Run code and iterate over its events as they arrive: lines of output, then one `exit`.

        The code starts when the first event is asked for. Closing the stream interrupts it.

        Args:
            code, language: As in `run_code`.
            timeout: Seconds, from when the first event is asked for, after which the code is interrupted.

        Raises:
            ExecTimeoutError: While iterating, if the code was interrupted.
        """
        interruption = Interruption(timeout)
        return AsyncEventStream(self._events(code, language, interruption), interruption)

    async def _events(
        self, code: str, language: Language, interruption: Interruption
    ) -> AsyncGenerator[Event, None]:
        async with self._in_use() as client:
            self._running.add(interruption)
            try:
                async with aclosing(client._exec_events(self.id, code, language, interruption)) as events:
                    async for event in events:
                        yield event
            finally:
                self._running.discard(interruption)

    async def _run_until(self, interruption: Interruption, code: str) -> ExecResult:
        """As `run_code`, until somebody stops it."""
        return await _result_of(AsyncEventStream(self._events(code, "python", interruption), interruption))

    def interrupt(self) -> None:
        """Interrupt the code of this object's calls, running or waiting; each call raises `ExecTimeoutError`.

        May be called from any thread or task, and does not wait. If nothing runs, it does nothing. It does not
        interrupt code of other handles on the same sandbox.
        """
        for interruption in list(self._running):
            interruption.stop("the code was interrupted by interrupt()")

    async def fork(self, n: int = 1) -> list[AsyncSandbox]:
        """Make n independent copies of the sandbox as it is now: memory, REPL, open files and filesystem.

        Warns:
            ThreadsLeftBehindWarning: If the sandbox runs threads, which the copies do not have.
            ProcessesLeftBehindWarning: If the sandbox has started processes that still run; the copies lack them.
            ReplayDiffersWarning: If the server has made the copies by running the sandbox's code again, and some
                of it ended differently.
        """
        async with self._in_use() as client:
            forked = await client.fork(self.id, n)
            children = [self._forked(child_id) for child_id in forked.ids]
        try:
            for category, message in _remarks(self.id, forked):
                warnings.warn(message, category, stacklevel=_callers_level())
        except ForkWarning:
            # Under `-W error` the caller never sees the children.
            with async_shield():
                for child in children:
                    await child.close()
            raise
        return children

    def _forked(self, child_id: str) -> AsyncSandbox:
        self._shared_client.hold()
        child = AsyncSandbox.__new__(AsyncSandbox)
        child._attach(child_id, self._shared_client, owned=True)
        return child

    async def merge_into(self, winner: AsyncSandbox) -> None:
        """Replace this sandbox's state by the winner's, as one atomic step.

        This sandbox keeps its id. The winner's id no longer exists; its `close` does nothing from now on.
        """
        _check_kind("winner", winner)
        async with self._in_use() as client, winner._lock:
            winner._check_open()
            await client.merge_into(self.id, winner.id)
            winner._ended = f"sandbox {winner.id} was merged into {self.id}; use that one"
            await winner._shared_client.let_go()

    async def diff(self, other: AsyncSandbox, paths: list[str] | None = None) -> dict[str, list[str]]:
        """Compare the regular files of two sandboxes by their content.

        Args:
            other: The sandbox to compare with.
            paths: Directories or files to compare. Default: `/root` and `/tmp`. Symbolic links are not
                followed. A path that is missing, and a directory that cannot be read, count as empty.

        Returns:
            Sorted paths: `"added"` are only in the other, `"removed"` only in this one, `"modified"` in both,
            with different content. A file that only one of the two can read counts as modified; one that
            neither can read, as the same.

        Raises:
            TransferError: If a sandbox cannot list its files. It is an `OSError`.
        """
        _check_kind("other", other)
        compared = ["/root", "/tmp"] if paths is None else _listed(paths)
        mine, theirs = await async_together(
            lambda stop: transfer.content_hashes(partial(self._run_until, stop), compared),
            lambda stop: transfer.content_hashes(partial(other._run_until, stop), compared),
        )
        return {
            "added": sorted(theirs.keys() - mine.keys()),
            "removed": sorted(mine.keys() - theirs.keys()),
            "modified": sorted(path for path in mine.keys() & theirs.keys() if mine[path] != theirs[path]),
        }

    @overload
    async def upload(
        self,
        data: bytes | bytearray | memoryview | str | os.PathLike[str],
        remote_path: str | os.PathLike[str],
    ) -> None: ...

    @overload
    async def upload(
        self,
        *,
        local_path: bytes | bytearray | memoryview | str | os.PathLike[str],
        remote_path: str | os.PathLike[str],
    ) -> None: ...

    async def upload(
        self,
        data: bytes | bytearray | memoryview | str | os.PathLike[str] | None = None,
        remote_path: str | os.PathLike[str] | None = None,
        *,
        local_path: bytes | bytearray | memoryview | str | os.PathLike[str] | None = None,
    ) -> None:
        """Write a file in the sandbox, as `open(remote_path, "wb")` would. Missing directories are made.

        Files of more than 2 MiB are first collected in the sandbox's temporary directory, so that an aborted transfer
        leaves the file at `remote_path` unchanged.

        Args:
            data: The content, or the path of a local file. Text must be encoded: a `str` is a path.
            remote_path: Where to write. A relative path starts from the working directory of the REPL.
            local_path: Another name of `data`.

        Raises:
            TransferError: If the local file cannot be read or the remote one cannot be written. It is also the
                matching subclass of `OSError`: `PermissionError`, `IsADirectoryError`, …
            InvalidArgumentError: If the data or the remote path is missing.
        """
        given = data if local_path is None else local_path
        if given is None or remote_path is None or (data is not None and local_path is not None):
            raise InvalidArgumentError("upload takes data (or local_path, its other name) and remote_path")
        in_time = partial(self.run_code, timeout=transfer.CLEANING)
        await transfer.upload(self.run_code, in_time, given, os.fspath(remote_path))

    async def download(self, remote_path: str | os.PathLike[str]) -> bytes:
        """Return the content of a file in the sandbox. Meant for files of a few MB.

        Raises:
            TransferError: If the file cannot be read. It is also the matching subclass of `OSError`:
                `FileNotFoundError`, …
        """
        return await transfer.download(self.run_code, os.fspath(remote_path))

    async def replay(self) -> list[Event]:
        """Return the sandbox's recent events, up to 1000, of all its execs."""
        async with self._in_use() as client:
            return await client.replay(self.id)

    async def close(self) -> None:
        """Destroy the sandbox. Closing it again, or after it was merged into another, does nothing.

        Raises:
            PodflareError: If it could not be destroyed. It is still open then: call `close` again to retry.
        """
        await self._end(destroy=True)

    async def _end(self, *, destroy: bool) -> None:
        async with self._lock:
            if self._ended is not None:
                return
            if self._id is None:
                self._ended = "this sandbox was closed before it was created"
            elif destroy:
                self._ended = f"sandbox {self._id} is closed"
            else:
                self._ended = f"this handle on {self._id} is closed"
            try:
                if destroy and self._id is not None:
                    # It is gone already, for example after its time limit.
                    with suppress(NotFoundError):
                        await self._shared_client.client.destroy_sandbox(self._id)
            except BaseException:
                self._ended = None
                raise
            await self._shared_client.let_go()
        for terminal in list(self._terminals):
            if not destroy:
                terminal.stop()
            await terminal.finish()

    async def __aenter__(self) -> AsyncSandbox:
        await self._create()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with async_shield():
            try:
                if self._owned:
                    await self.close()
                else:
                    await self._end(destroy=False)
            except Exception:
                if exc_type is None:
                    raise
                # The error that ended the block often makes close fail too: raising that would hide the first.
                self._ended = f"sandbox {self._id} could not be closed"
                await self._shared_client.let_go()

    def __copy__(self) -> AsyncSandbox:
        handle = AsyncSandbox.__new__(AsyncSandbox)
        handle._attach(self.id, AsyncSharedClient(self._shared_client.client, owned=False), owned=False)
        return handle

    def __deepcopy__(self, memo: object) -> AsyncSandbox:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        client = self._shared_client.client
        return _connected, (self.id, client.host, client.traceparent, client.timeout)

    def __repr__(self) -> str:
        return f"<AsyncSandbox {self._id}{'' if self._ended is None else ' (ended)'}>"

    def _check_open(self) -> None:
        if self._ended is not None:
            raise SandboxClosedError(self._ended)

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[AsyncClient]:
        """The client, which stays open for this call even if another task closes the sandbox meanwhile."""
        async with self._lock:
            self._check_open()
            self.id  # noqa: B018 - raises if it has not been created
            self._shared_client.hold()
        try:
            yield self._shared_client.client
        finally:
            await self._shared_client.let_go()


async def _result_of(stream: AsyncEventStream) -> ExecResult:
    printed = wire.Printed()
    async with stream as events:
        try:
            async for event in events:
                printed.add(event)
        except ExecTimeoutError as error:
            so_far = printed.result()
            raise ExecTimeoutError(str(error), so_far.stdout, so_far.stderr) from None
    return printed.result()


def _shared(
    client: AsyncClient | None,
    host: str | None,
    api_key: str | None,
    traceparent: str | None,
    region: str | None,
) -> AsyncSharedClient:
    if client is None:
        made = AsyncClient(region_host(region, host), api_key=api_key, traceparent=traceparent)
        return AsyncSharedClient(made, owned=True)
    if not isinstance(client, AsyncClient):
        raise InvalidArgumentError(f"client must be of type AsyncClient, not {client!r}")
    if (host, api_key, traceparent, region) != (None, None, None, None):
        raise InvalidArgumentError(
            "give either a client, or host, api_key, traceparent and region: a client has its own"
        )
    return AsyncSharedClient(client, owned=False)


def _check_kind(name: str, given: object) -> None:
    if isinstance(given, str):
        raise InvalidArgumentError(
            f"{name} must be of type AsyncSandbox: write AsyncSandbox.connect({given!r})"
        )
    if not isinstance(given, AsyncSandbox):
        raise InvalidArgumentError(f"{name} must be of type AsyncSandbox, not {given!r}")


def _listed(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise InvalidArgumentError(f"paths must be a list: write [{paths!r}]")
    return [os.fsdecode(path) for path in paths]


def _checked(name: str, given: str) -> str:
    """Checks an id, which becomes part of a URL."""
    if not isinstance(given, str) or not given or "/" in given:
        example = "sbx_…" if name == "sandbox_id" else "spc_…"
        raise InvalidArgumentError(f"{name} must be an id, such as {example!r}, not {given!r}")
    return given


def _connected(sandbox_id: str, host: str, traceparent: str | None, timeout: float | None) -> AsyncSandbox:
    """Makes a handle of a pickled sandbox."""
    handle = AsyncSandbox.__new__(AsyncSandbox)
    made = AsyncClient(host, timeout, traceparent)
    handle._attach(sandbox_id, AsyncSharedClient(made, owned=True), owned=False)
    return handle


def _remarks(sandbox_id: str, forked: Forked) -> Iterator[tuple[type[ForkWarning], str]]:
    """Warnings for what the server has reported about the fork."""
    if forked.threads_left_behind:
        yield (
            ThreadsLeftBehindWarning,
            f"{forked.threads_left_behind} thread(s) of sandbox {sandbox_id} exist only there: a fork copies all "
            "memory, but only the thread that runs the code. Locks held by other threads stay locked in "
            "the children. Start threads after the fork, or join them before it.",
        )
    if forked.processes_left_behind:
        yield (
            ProcessesLeftBehindWarning,
            f"{forked.processes_left_behind} process(es) that sandbox {sandbox_id} has started run only there: a fork "
            "copies the interpreter and the files. Start processes after the fork, or end them before it.",
        )
    if forked.replay_differences:
        yield (
            ReplayDiffersWarning,
            f"the children of sandbox {sandbox_id} were made by running its code again, and the Python call(s) number "
            f"{forked.replay_differences} printed something else, ended with a different exit code, or had been "
            "interrupted: the children may differ from the parent.",
        )


def _callers_level() -> int:
    """For `warnings.warn`: the stack level of the line that called this package.

    Skips wrappers of the class's methods that hide from pytest's tracebacks, as those of test tools do.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back and (_is_ours(frame) or "__tracebackhide__" in frame.f_locals):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]
