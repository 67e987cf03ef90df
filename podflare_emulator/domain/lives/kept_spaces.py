"""Spaces that outlive the emulator: the state directory holds each one's history and an archive of its files."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from podflare_emulator.domain.machine import Machine, SandboxOrder
from podflare_emulator.vocabulary.sandbox_errors import SpaceNotFound

_ID = re.compile(r"spc_[0-9a-f]{32}")
_VERSION = 1


class Kept:
    """One kept Space."""

    def __init__(self, directory: Path, space_id: str, described: dict[str, Any]) -> None:
        self.id = space_id
        self.order = SandboxOrder(**described["order"])
        self.region = self.order.region
        self.history: list[dict[str, Any]] = described["history"]
        self.packed: dict[str, Any] = described["packed"]
        self._directory = directory

    def claim(self) -> None:
        """Claims it against other emulators with this directory. Raises SpaceNotFound if one of them was first."""
        try:
            os.rename(self._file("json"), self._file("taken"))
        except FileNotFoundError:
            raise SpaceNotFound from None

    def release(self) -> None:
        _release(self._directory, self.id)

    @contextmanager
    def archive(self) -> Iterator[int]:
        """A descriptor of the archive of its files."""
        with open(self._file("tar"), "rb") as file:
            yield file.fileno()

    def _file(self, kind: str) -> Path:
        return self._directory / f"{self.id}.{kind}"


class KeptSpaces:
    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._ours = set[str]()

    async def keep(self, space_id: str, sandbox_id: str, machine: Machine) -> None:
        """Writes a copy of the machine. Raises HostingError, OSError."""
        archive = self._directory / f"{space_id}.tar"
        descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # or it is another's
        try:
            try:
                packed = await machine.guest.pack(descriptor)
            finally:
                os.close(descriptor)
            described = {
                "version": _VERSION,
                "sandbox": sandbox_id,
                "order": asdict(machine.order),
                "history": machine.history.described() if machine.history else [],
                "packed": {"mark": packed["mark"], "random": packed["random"]},
            }
            written = self._directory / f"{space_id}.new"
            written.touch(0o600)
            written.write_text(json.dumps(described), encoding="utf-8")
            os.rename(written, self._directory / f"{space_id}.json")
        except BaseException:
            self.remove(space_id)
            raise
        self._ours.add(space_id)

    def __contains__(self, space_id: object) -> bool:
        return (self._directory / f"{space_id}.tar").exists()

    def find(self, space_id: str) -> Kept | None:
        if not _ID.fullmatch(space_id):
            return None
        try:
            text = (self._directory / f"{space_id}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        described = json.loads(text)
        return Kept(self._directory, space_id, described) if described["version"] == _VERSION else None

    def release(self, space_id: str) -> None:
        """It is frozen here again, and another emulator may take its copy once this one has ended."""
        _release(self._directory, space_id)

    def remove(self, space_id: str) -> None:
        self._ours.discard(space_id)
        for kind in ("json", "taken", "new", "tar"):
            (self._directory / f"{space_id}.{kind}").unlink(missing_ok=True)

    def remove_all(self) -> None:
        """Removes those of this emulator, and none that others have left."""
        for space_id in [*self._ours]:
            self.remove(space_id)


def _release(directory: Path, space_id: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rename(directory / f"{space_id}.taken", directory / f"{space_id}.json")
