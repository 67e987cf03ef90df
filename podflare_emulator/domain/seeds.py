"""Files that a test puts into every sandbox when it is created."""

from __future__ import annotations

from podflare_emulator.hosting.files import Contents, File, Files


class Seeds:
    """Keeps contents in memory, and passes them to a sandbox as a descriptor, however large they are."""

    def __init__(self) -> None:
        self._entries: dict[str, File] = {}
        self._contents: Contents | None = None

    @property
    def files(self) -> Files | None:
        """None if there are none. The result stays usable after `clear`."""
        return Files([*self._entries.values()], self._contents) if self._contents else None

    def add(self, path: str, mode: int, data: bytes) -> None:
        """For all sandboxes created from now on. A second file with the same path replaces the first."""
        self._contents = self._contents or Contents()
        self._entries.pop(path, None)
        self._entries[path] = self._contents.add(path, mode, data)

    def clear(self) -> None:
        self._entries.clear()
        self._contents = None
