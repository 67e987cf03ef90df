"""What a test may read and write in a sandbox: the part of `Control` about inspection."""

from __future__ import annotations

import posixpath
from base64 import b64decode
from typing import Any

from podflare_emulator.control.inspection import inspect
from podflare_emulator.domain.registry import SandboxRegistry
from podflare_emulator.vocabulary.arguments import check_kind
from podflare_emulator.vocabulary.mounts import sandbox_path
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest, SandboxNotFound


class InspectionControl:
    def __init__(self, registry: SandboxRegistry) -> None:
        self._registry = registry

    async def read_file(self, sandbox: str, path: str, offset: int = 0) -> dict[str, Any]:
        """A piece of a file, from `offset` on: `base64`, and whether it is the `end`."""
        if type(offset) is not int or offset < 0:
            raise InvalidRequest(f"offset: expected 0 or more, got {offset!r}")
        return await self._inspect(sandbox, about="read", path=_absolute(path), offset=offset)

    async def write_file(self, sandbox: str, path: str, base64: str, append: bool = False) -> None:
        """Writes a file, folders included; a large one in several calls, with `append` from the second on."""
        check_kind(bool, append=append)
        try:
            path = sandbox_path(_absolute(path))
            b64decode(base64, validate=True)
        except (TypeError, ValueError) as error:  # a SettingsError is a ValueError
            raise InvalidRequest(f"{path}: {error}") from None
        await self._inspect(sandbox, about="write", path=path, base64=base64, append=bool(append))

    async def list_files(self, sandbox: str, path: str = "/root") -> dict[str, Any]:
        """`entries`: all below a folder, each with `path`, `type`, `size` and a link's `target`; `top`: the folder."""
        top = _absolute(path)
        found = await self._inspect(sandbox, about="list", path=top)
        names = ("path", "type", "size", "target")
        return {"top": top, "entries": [dict(zip(names, entry, strict=True)) for entry in found["entries"]]}

    async def read_globals(self, sandbox: str) -> dict[str, dict[str, str]]:
        """The names in a sandbox's REPL, each with its `type` and a short `repr`."""
        found = await self._inspect(sandbox, about="globals")
        return {name: {"type": kind, "repr": shown} for name, kind, shown in found["globals"]}

    async def _inspect(self, sandbox: str, **question: Any) -> dict[str, Any]:
        check_kind(str, sandbox=sandbox)
        try:
            return await inspect(self._registry.get(sandbox), question)
        except SandboxNotFound:
            raise SandboxNotFound(self._registry.ledger.absence(sandbox)) from None


def _absolute(path: str) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidRequest(f"path: expected an absolute one such as /root/x, got {path!r}")
    return "/" + posixpath.normpath(path).lstrip("/")
