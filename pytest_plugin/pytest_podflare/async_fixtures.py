"""Fixtures for async tests: under anyio's plugin, pytest-asyncio (strict or auto), or plain `asyncio.run`.

They are plain functions, so that it does not matter which plugin runs async ones: blocking calls create and destroy
the sandbox, and the client keeps no connection, as that would belong to an event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from podflare import AsyncClient, AsyncSandbox
    from pytest_podflare.targets.target import Target


@pytest.fixture
def podflare_async_client(_podflare_api: Target) -> AsyncClient:
    """An `AsyncClient` of the installed SDK, to share between sandboxes. It need not be closed."""
    return cast("AsyncClient", _podflare_api.create_async_client())


@pytest.fixture
def podflare_async_sandbox(
    _podflare_api: Target, podflare_async_client: AsyncClient
) -> Iterator[AsyncSandbox]:
    """A fresh sandbox of the installed SDK, as an `AsyncSandbox`; destroyed when the test ends."""
    with _podflare_api.without_faults():
        sandbox: Any = _podflare_api.create_sandbox()
    from podflare import AsyncSandbox

    yield AsyncSandbox.connect(sandbox.id, client=podflare_async_client)
    _podflare_api.close(sandbox)
