"""The installed SDK, ours or the vendor's, as far as the fixtures need it."""

from __future__ import annotations

from typing import Any

import pytest

from podflare_emulator.handle.clients.redirect import import_sdk


def create_sandbox(url: str, api_key: str | None, settings: dict[str, Any]) -> Any:
    if "client" not in settings:  # which has its own host and key
        settings = {"host": url, "api_key": api_key, **settings}
    return the_sdk().Sandbox(**settings)


def create_async_client(url: str, api_key: str | None) -> Any:
    sdk = the_sdk()
    if not hasattr(sdk, "AsyncClient"):
        pytest.fail(
            "this fixture needs an SDK with an AsyncClient; the installed podflare "
            f"({getattr(sdk, '__version__', 'of an unknown version')}) has none",
            pytrace=False,
        )
    # A kept connection would belong to the event loop of one test.
    return sdk.AsyncClient(host=url, api_key=api_key, keep_alive=0)


def the_sdk() -> Any:
    sdk = import_sdk()
    if sdk is None:
        pytest.fail("this fixture needs a Podflare SDK; install one: pip install podflare", pytrace=False)
    return sdk
