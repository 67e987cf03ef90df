"""What the author of a test may do to the emulator and no client of the service can.

Arguments and results are what JSON can carry: the control API offers each call to tests in other languages, and to
the handle of a server in another process.
"""

from __future__ import annotations

from collections.abc import Collection

from podflare_emulator.domain.registry import SandboxRegistry


class Control:
    def __init__(self, registry: SandboxRegistry) -> None:
        self._registry = registry

    async def reset(self, keep: Collection[str] = ()) -> list[str]:
        """Destroys every sandbox but those to `keep`; returns the ids of the destroyed, oldest first."""
        return await self._registry.destroy_all(keep)
