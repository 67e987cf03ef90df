"""Clients that go away before they get their answer."""

import asyncio

from starlette.types import Receive


def cancelling_when_gone(receive: Receive) -> "asyncio.Task[None]":
    """Cancels the current task, which serves a request whose body has been read, once its client is gone.

    Cancel the result when that no longer matters. If it is done by then, the client caused the cancellation.
    """
    request = asyncio.current_task()
    assert request is not None
    return asyncio.create_task(_cancel_when_gone(request, receive))


async def _cancel_when_gone(request: "asyncio.Task[None]", receive: Receive) -> None:
    # Cancelling the request is far cheaper than running it as a second task and waiting for either. It is
    # suspended while this runs, so the cancellation arrives at an await inside the `try` that expects it.
    while (await receive())["type"] != "http.disconnect":
        pass
    request.cancel()
