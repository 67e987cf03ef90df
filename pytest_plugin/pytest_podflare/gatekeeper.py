"""Keeps the tests' `podflare` clients from reaching the service by accident, from the moment one is imported.

Every test run loads this, with Podflare or without.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from podflare_emulator.handle.clients.gate import Gate


class GateKeeper:
    """An entry of `sys.meta_path` that finds no module, but opens the gate when `podflare` is about to be imported.

    Args:
        lets: As in `Gate`.
    """

    def __init__(self, lets: Callable[[str], None]) -> None:
        self._lets = lets
        self._gate: Gate | None = None
        sys.meta_path.insert(0, self)
        if "podflare" in sys.modules:
            self.find_spec("podflare")

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "podflare" and self._gate is None:
            from podflare_emulator.handle.clients.gate import Gate

            self._gate = Gate(self._lets)
            self._gate.open()

    def close(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._gate:
            self._gate.close()


def check_host(host: str, allowed: Sequence[str], running: tuple[str, str] | None) -> None:
    """Fails the test whose `podflare` client wants to connect to a host that is not allowed.

    Args:
        running: Name and scope of the fixture that is being set up, if it is of a wider scope than a test.
    """
    if host in allowed or "*" in allowed:
        return
    from podflare_emulator.handle.clients.watch import caller

    frame = caller("podflare", "httpx")
    where = f", at {os.path.relpath(frame.f_code.co_filename)}:{frame.f_lineno}," if frame else ""
    if running:
        who, scope = running
        remedy = f"let the fixture {who!r}, which is of scope {scope}, ask for podflare_emulator_{scope}"
    else:
        remedy = (
            "let the test ask for podflare_emulator or podflare_sandbox, and what runs before it, such as setUpClass, "
            "for podflare_emulator_class, _module, _package or _session"
        )
    pytest.fail(
        f"a podflare client wants to connect to {host}{where} but tests may reach only the emulator.\n"
        f"For the emulator: {remedy}. A client with an explicit host, or one made earlier, ignores the fixture.\n"
        f"To let it through: --podflare-allow-hosts={host}; to test against a real API: --podflare-url",
        pytrace=False,
    )
