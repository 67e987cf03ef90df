"""What the author of a test may do to the emulator and no client of the service can.

Arguments and results are what JSON can carry: the control API offers each call to tests in other languages, and to
the handle of a server in another process.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from typing import Any, Protocol

from podflare_emulator.domain.errors import InvalidRequest
from podflare_emulator.domain.registry import SandboxRegistry
from podflare_emulator.domain.stubs import Stub
from podflare_emulator.settings import sandbox_path


class Requests(Protocol):
    """What clients have asked for, as whoever serves them records it."""

    def described(self) -> list[dict[str, Any]]: ...

    def clear(self) -> None: ...


class Control:
    def __init__(self, registry: SandboxRegistry, requests: Requests) -> None:
        self._registry = registry
        self._requests = requests

    async def reset(self, keep: Collection[str] = ()) -> list[str]:
        """Destroys every sandbox but those to `keep`; returns the ids of the destroyed, oldest first.

        What was arranged for sandboxes to come is forgotten, and so is what has happened.
        """
        self._registry.seeds.clear()
        self._registry.stubs.clear()
        self._registry.arrange_egress(True)
        destroyed = await self._registry.destroy_all(keep)
        self._registry.ledger.clear()
        self._requests.clear()
        return destroyed

    async def requests(self) -> list[dict[str, Any]]:
        """Every request to the service since the last reset, in the order in which they came."""
        return self._requests.described()

    async def execs(self) -> list[dict[str, Any]]:
        """Every exec since the last reset, in the order in which they started."""
        return self._registry.ledger.execs()

    async def forks(self) -> list[dict[str, Any]]:
        """Every fork since the last reset: `parent` and `children`."""
        return self._registry.ledger.forks()

    async def merges(self) -> list[dict[str, Any]]:
        """Every merge since the last reset: `parent` and `winner`."""
        return self._registry.ledger.merges()

    async def clear_files(self) -> None:
        """Sandboxes created from now on have none."""
        self._registry.seeds.clear()

    async def add_files(self, files: list[dict[str, Any]]) -> None:
        """Every sandbox created from now on has these: each an absolute `path`, a `mode`, its content in `base64`."""
        try:
            decoded = [
                (
                    sandbox_path(file["path"]),
                    int(file.get("mode", 0o644)),
                    base64.b64decode(file["base64"], validate=True),
                )
                for file in files
            ]
        except (KeyError, TypeError, ValueError) as error:  # a SettingsError is a ValueError
            raise InvalidRequest(f"files: expected path, mode and base64 of each: {error}") from None
        for path, mode, data in decoded:
            self._registry.seeds.add(path, mode, data)

    async def set_egress(self, allowed: bool) -> None:
        """False: no sandbox created from now on reaches the network, whatever its create asks for.

        Refused where the isolation cannot see to that.
        """
        self._registry.arrange_egress(allowed)

    async def add_stub(
        self,
        pattern: str,
        flags: int = 0,
        language: str | None = None,
        stdout: str = "",
        stderr: str = "",
        exit_code: int = 0,
        times: int | None = None,
    ) -> int:
        """Execs in whose code the regular expression `pattern` is found are answered with this; returns its number."""
        try:
            compiled = re.compile(pattern, flags)
        except (re.error, TypeError, ValueError) as error:
            raise InvalidRequest(f"pattern: no regular expression: {error}") from None
        return self._registry.stubs.add(Stub(compiled, language, stdout, stderr, exit_code, times))

    async def stubs_used(self) -> list[tuple[int, int]]:
        """The number of each stub, and how often it has answered."""
        return self._registry.stubs.used()
