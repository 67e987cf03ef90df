"""Questions to a test's functions, which run in the test's process: it polls for the next question, and replies.

In the server, only the exec that a question is about waits for its reply.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec import Struct

from podflare_emulator.vocabulary.answers import Answer
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, InvalidRequest

Asks = Literal["match", "answer"]

_GONE = "the stub that should answer is gone: the emulator was reset"


class AskedExec(Struct, frozen=True):
    """An exec that a function is asked about. `run_real` runs code in its sandbox, and is cancelled with the exec."""

    code: str
    language: str
    sandbox: str
    run_real: Callable[[str], Awaitable[Answer]]


class _Question:
    def __init__(self, asks: Asks, call: AskedExec) -> None:
        self.asks = asks
        self.call = call
        self.reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.running: set[asyncio.Future[Answer]] = set()


class Questions:
    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, _Question] = {}
        self._waiting: dict[int, asyncio.Queue[int | None]] = {}  # keyed by the stub that has the function

    def expect(self, stub: int) -> None:
        """The process with this stub's functions is going to poll for questions."""
        self._waiting[stub] = asyncio.Queue()

    async def ask(self, stub: int, asks: Asks, call: AskedExec) -> Any:
        """Waits for the function's reply; raises GuestFailed with the function's error."""
        if stub not in self._waiting:
            raise GuestFailed(_GONE)
        number = next(self._numbers)
        question = self._open[number] = _Question(asks, call)
        self._waiting[stub].put_nowait(number)
        try:
            return await question.reply
        finally:
            del self._open[number]
            for running in question.running:
                running.cancel()

    async def next(self, stub: int) -> dict[str, Any] | None:
        """Waits for a question to this stub's functions; returns None when the stub is gone.

        A cancelled call loses no question: nothing is awaited once it has taken one.
        """
        while stub in self._waiting:
            number = await self._waiting[stub].get()
            if number in self._open:  # otherwise its exec has ended meanwhile
                question = self._open[number]
                call = question.call
                return {
                    "question": number,
                    "asks": question.asks,
                    "code": call.code,
                    "language": call.language,
                    "sandbox": call.sandbox,
                }
        return None

    def reply(self, number: int, result: Any, error: str | None) -> None:
        """Does nothing if nobody waits for the reply now."""
        question = self._open.get(number)
        if question is None or question.reply.done():
            return
        if error is not None:
            question.reply.set_exception(GuestFailed(error))
        elif question.asks == "match":
            question.reply.set_result(bool(result))
        else:
            question.reply.set_result(_answer(result))

    async def run_real(self, number: int, code: str | None) -> Answer:
        """Runs the code, by default the exec's own, in the sandbox; raises InvalidRequest if the exec is over."""
        over = InvalidRequest("run_real: the exec is over: its client or its sandbox is gone")
        question = self._open.get(number)
        if question is None:
            raise over
        running = asyncio.ensure_future(question.call.run_real(question.call.code if code is None else code))
        question.running.add(running)
        await asyncio.wait([running])
        question.running.discard(running)
        if running.cancelled():
            raise over
        return running.result()

    def clear(self) -> None:
        """Fails all questions, since their stubs are gone."""
        for question in self._open.values():
            if not question.reply.done():
                question.reply.set_exception(GuestFailed(_GONE))
        waiting, self._waiting = self._waiting, {}
        for queue in waiting.values():
            queue.put_nowait(None)


def _answer(result: Any) -> Answer:
    try:
        answer = Answer(**result)
        answer.check()
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"result: {error}") from None
    return answer
