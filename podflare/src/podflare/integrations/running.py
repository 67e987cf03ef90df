"""The core of the adapters: the sandbox of a tool, and how a model's code is run in it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import anyio
from anyio import to_thread

from podflare.aio.sandbox import AsyncSandbox
from podflare.core.interruption import Interruption
from podflare.core.wire import Printed
from podflare.errors import ExecTimeoutError, InvalidArgumentError, NotFoundError, PodflareError
from podflare.integrations.results import INTERRUPTED, MAX_OUTPUT, cut_result, text_of, with_note
from podflare.integrations.settings import CONNECTION, check_names
from podflare.sandbox import Sandbox
from podflare.types import ExecResult, Language

runners: weakref.WeakSet[CodeRunner] = weakref.WeakSet()
"""All that there are. A test tool closes the sandboxes that they have made for themselves: no user of theirs would."""


class CodeRunner:
    """Runs code for one tool, for blocking callers and async ones, in the caller's sandbox or in its own.

    Its own is created when it is first needed. It is destroyed by `close`, or when nothing refers to the runner any
    more, or else when Python exits. If the server has ended it meanwhile, by its idle limit perhaps, the next call
    makes another, and says so on stderr.

    Args:
        sandbox: The sandbox to use, which stays the caller's to close, or the id of one that exists. An `AsyncSandbox`
            serves async callers only.
        persistent: Whether what is defined in one call is there in the next. Without it each call has a sandbox of its
            own, which is destroyed after it.
        timeout: Seconds after which code is interrupted; None for no limit. The result is then what was printed so far,
            a note on stderr, and exit code 124.
        max_output: Characters to keep of stdout, and of stderr; None for all.
        settings: Arguments of `Sandbox`, for its own; with an id, those that say how it is reached.

    Raises:
        InvalidArgumentError: If these do not go together. It is a `ValueError`.
        TypeError: For a setting that `Sandbox` does not have.

    Copies share the sandbox. A pickle leads to it as well, so from then on only `close` and the server's limits end it;
    it holds no API key.
    """

    def __init__(
        self,
        sandbox: Sandbox | AsyncSandbox | str | None = None,
        *,
        persistent: bool = True,
        timeout: float | None = None,
        max_output: int | None = MAX_OUTPUT,
        settings: Mapping[str, Any],
    ) -> None:
        check_names(settings)
        if not (sandbox is None or isinstance(sandbox, str) or hasattr(sandbox, "run_code_stream")):
            raise InvalidArgumentError(
                f"sandbox must be a Sandbox, an AsyncSandbox, or the id of one, not {sandbox!r}"
            )
        if isinstance(sandbox, (Sandbox, AsyncSandbox)) and settings:
            raise InvalidArgumentError(
                f"give either a sandbox, or {', '.join(settings)}: a sandbox has its own"
            )
        if isinstance(sandbox, str) and not settings.keys() <= CONNECTION:
            given = ", ".join(settings.keys() - CONNECTION)
            raise InvalidArgumentError(f"give either the id of a sandbox, or {given} for a new one")
        if sandbox is not None and not persistent:
            raise InvalidArgumentError(
                "give either a sandbox, or persistent_sandbox=False: then each call makes its own"
            )
        if max_output is not None and not (isinstance(max_output, int) and max_output > 0):
            raise InvalidArgumentError(
                f"max_output must be a positive whole number, or None for all, not {max_output!r}"
            )
        Interruption(timeout)  # which says what is wrong with it
        self._given = None if isinstance(sandbox, str) else sandbox
        self._id = sandbox if isinstance(sandbox, str) else None
        self._own: Sandbox | None = None
        self._persistent = persistent
        self._timeout = timeout
        self._max_output = max_output
        self._settings = dict(settings)
        self._end_unused: weakref.finalize[[Sandbox, int], CodeRunner] | None = None
        self._calls: set[_Call] = set()
        # A model may call a tool several times at once.
        # A handler of a signal may close what this thread is making.
        self._lock = threading.RLock()
        runners.add(self)

    @property
    def own_id(self) -> str | None:
        """The id of the sandbox that it has made for itself and that is open."""
        own = self._own
        return None if own is None or self._id is not None else own.id

    def run(self, code: str, language: Language = "python") -> ExecResult:
        """Run code. The output is cut to `max_output`."""
        result = _refused(code) or self._run(code, language, _Call())
        return cut_result(result, self._max_output)

    async def run_async(self, code: str, language: Language = "python") -> ExecResult:
        """Run code while the event loop goes on, asyncio's or trio's. Cancelling it interrupts the code."""
        if refused := _refused(code):
            result = refused
        elif isinstance(self._given, AsyncSandbox):
            result = await self._run_in(self._given, code, language)
        else:
            call = _Call()
            try:
                # Not the event loop's limit, which would let a few pieces of code run, and the others wait.
                result = await to_thread.run_sync(
                    self._run,
                    code,
                    language,
                    call,
                    abandon_on_cancel=True,
                    limiter=anyio.CapacityLimiter(1),
                )
            except anyio.get_cancelled_exc_class():
                call.cancel()
                raise
        return cut_result(result, self._max_output)

    def answer(self, code: str, language: Language = "python") -> str:
        """As `run`, as one text."""
        return text_of(self.run(code, language))

    async def answer_async(self, code: str, language: Language = "python") -> str:
        """As `run_async`, as one text."""
        return text_of(await self.run_async(code, language))

    def close(self) -> None:
        """Interrupt what runs, and destroy the sandbox unless it is the caller's. A call after it makes another."""
        for call in list(self._calls):
            call.cancel()
        with self._lock:
            own, self._own = self._own, None
            if self._end_unused is not None:
                self._end_unused.detach()
        if own is not None:
            own.close()

    async def close_async(self) -> None:
        """As `close`, while the event loop goes on."""
        await to_thread.run_sync(self.close)

    def sandbox(self) -> Sandbox:
        """The one that calls share; it is created if need be."""
        if isinstance(self._given, AsyncSandbox):
            raise InvalidArgumentError(
                "this is a blocking call, which cannot use the AsyncSandbox that was given; give a Sandbox, or call "
                "the framework's async method"
            )
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                if self._id is None:
                    self._own = Sandbox(**self._settings)
                else:
                    self._own = Sandbox.connect(self._id, **self._settings)
                self._end_unused = weakref.finalize(self, _end_here, self._own, os.getpid())
            return self._own

    def settings(self) -> dict[str, Any]:
        """Arguments for another one that uses the same sandbox: its id, and how to reach it, without a key."""
        with self._lock:
            sandbox = self._given or self._own
            if self._own is not None:
                self._own._owned = False  # from now on, what uses it may be anywhere
        limits = {"timeout": self._timeout, "max_output": self._max_output}
        kept = {name: value for name, value in self._settings.items() if name not in ("api_key", "client")}
        client = self._settings.get("client") if sandbox is None else sandbox._shared_client.client
        if client is not None:
            kept |= {"host": client.host, "traceparent": client.traceparent}
        if sandbox is not None:
            return {"sandbox": sandbox.id, "host": kept["host"], "traceparent": kept["traceparent"], **limits}
        return kept | limits | ({} if self._id is None else {"sandbox": self._id})

    def _run(self, code: str, language: Language, call: _Call) -> ExecResult:
        self._calls.add(call)
        try:
            return self._run_somewhere(code, language, call)
        finally:
            self._calls.discard(call)

    def _run_somewhere(self, code: str, language: Language, call: _Call) -> ExecResult:
        if not self._persistent:
            with Sandbox(**self._settings) as fresh:
                return call.run(fresh, code, language, self._timeout)
        sandbox = self.sandbox()
        try:
            return call.run(sandbox, code, language, self._timeout)
        except NotFoundError:
            if self._given is not None or self._id is not None:
                raise
            self._forget(sandbox)
        note = "note: the sandbox of the earlier calls has ended, and so have its names and files; this is a new one"
        return with_note(call.run(self.sandbox(), code, language, self._timeout), note)

    def _forget(self, ended: Sandbox) -> None:
        with self._lock:
            if self._own is ended:
                self._own = None
        _end(ended)

    async def _run_in(self, sandbox: AsyncSandbox, code: str, language: Language) -> ExecResult:
        try:
            return await sandbox.run_code(code, language, timeout=self._timeout)
        except ExecTimeoutError as error:
            return _interrupted(ExecResult(error.stdout, error.stderr, 0), error)

    def __enter__(self) -> CodeRunner:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def __copy__(self) -> CodeRunner:
        return self

    def __deepcopy__(self, memo: object) -> CodeRunner:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self._persistent, self.settings())


def runner_in(
    sandbox: Sandbox | AsyncSandbox, *, timeout: float | None, max_output: int | None
) -> CodeRunner:
    """One for a single call in the caller's sandbox, without which it would make its own."""
    if sandbox is None:
        raise InvalidArgumentError("sandbox must be a Sandbox, not None")
    return CodeRunner(sandbox, timeout=timeout, max_output=max_output, settings={})


def restored(persistent: bool, settings: dict[str, Any]) -> CodeRunner:
    """The one that `CodeRunner.settings` tells of."""
    own = {name: settings.pop(name) for name in ("sandbox", "timeout", "max_output") if name in settings}
    return CodeRunner(**own, persistent=persistent, settings=settings)


class _Call:
    """One call, in whatever thread it runs. Any thread may cancel it, before it has begun as well."""

    def __init__(self) -> None:
        self._streams: list[Any] = []
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()
        for events in self._streams:
            events.close()

    def run(self, sandbox: Sandbox, code: str, language: Language, timeout: float | None) -> ExecResult:
        printed = Printed()
        with sandbox.run_code_stream(code, language, timeout=timeout) as events:
            self._streams.append(events)
            if self._cancelled.is_set():
                events.close()
            try:
                for event in events:
                    printed.add(event)
            except ExecTimeoutError as error:
                return _interrupted(printed.result(), error)
        return printed.result()


def _refused(code: str) -> ExecResult | None:
    """The answer for code that is no text, as half of a surrogate pair makes it: no server takes it."""
    try:
        code.encode()
    except UnicodeEncodeError as error:
        return ExecResult("", f"SyntaxError: the code cannot be encoded: {error}", 1)
    return None


def _interrupted(printed: ExecResult, error: ExecTimeoutError) -> ExecResult:
    return with_note(printed, str(error), INTERRUPTED)


def _end_here(sandbox: Sandbox, process: int) -> None:
    """As `_end`, in the process that has made it. The end of one that was forked is no reason."""
    if os.getpid() == process:
        _end(sandbox)


def _end(sandbox: Sandbox) -> None:
    """Destroy a sandbox that nobody closes; of one that was connected to, close the connections."""
    # Nobody can catch an error here, and a server that is gone has taken its sandboxes along.
    with suppress(PodflareError), sandbox:
        pass
