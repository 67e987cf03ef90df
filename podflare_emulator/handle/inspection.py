"""`emulator.sandbox(...)`: what is in a sandbox, without an exec that the program under test did not make."""

from __future__ import annotations

import base64
import os
import posixpath
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from podflare_emulator.vocabulary.errors import EmulatorError
from podflare_emulator.vocabulary.text_tree import draw

Path = str | os.PathLike[str]

_PIECE = 1 << 23  # bytes of a file in one call


class Entry(NamedTuple):
    """An entry of a folder. `size`: bytes of a file, else 0. `target`: where a symbolic link points."""

    type: Literal["file", "directory", "link", "other"]
    size: int
    target: str | None


class Global(NamedTuple):
    """A global name of the REPL: the name of its object's type, and at most 80 characters of its repr, on one line."""

    type: str
    repr: str


class FileTree(dict[str, Entry]):
    """Everything below the folder `top`, by absolute path; `str` draws it."""

    def __init__(self, top: str, entries: dict[str, Entry]) -> None:
        super().__init__(entries)
        self.top = top

    def __str__(self) -> str:
        children: dict[str, list[str]] = {}
        for path in self:
            children.setdefault(posixpath.dirname(path), []).append(path)
        return "\n".join(f"{before}{self._told(path)}" for before, path in draw([self.top], children))

    def _told(self, path: str) -> str:
        if path == self.top:
            return path
        name, entry = posixpath.basename(path), self[path]
        if entry.type == "directory":
            return f"{name}/"
        if entry.type == "link":
            return f"{name} -> {entry.target}"
        return f"{name}  {entry.size} B" if entry.type == "file" else name


class Inspection:
    """One sandbox, seen from outside. It leaves no exec in the journal, and no name in the REPL.

    Each call waits for a running exec, for at most ten seconds.

    Raises:
        EmulatorError: From each call: the sandbox does not exist or is busy, its interpreter has ended, or the path
            cannot be read or written; the message says which.
    """

    def __init__(self, sandbox_id: str, call: Callable[..., Any]) -> None:
        self.id = sandbox_id
        self._call = call

    def read(self, path: Path) -> bytes:
        """The content of a file."""
        data = bytearray()
        while True:
            piece = self._call("read_file", sandbox=self.id, path=os.fspath(path), offset=len(data))
            data += base64.b64decode(piece["base64"])
            if piece["end"]:
                return bytes(data)

    def write(self, path: Path, data: bytes | str) -> None:
        """Writes a file and creates missing folders. An existing file keeps its mode."""
        if not isinstance(data, (bytes, str)):
            raise EmulatorError(
                f"write({os.fspath(path)!r}): expected bytes or str, got {type(data).__name__}"
            )
        content = data.encode() if isinstance(data, str) else data
        for start in range(0, len(content) or 1, _PIECE):
            piece = base64.b64encode(content[start : start + _PIECE]).decode()
            self._call("write_file", sandbox=self.id, path=os.fspath(path), base64=piece, append=bool(start))

    def tree(self, path: Path = "/root") -> FileTree:
        """Everything below a folder, except the system's directories."""
        found = self._call("list_files", sandbox=self.id, path=os.fspath(path))
        entries = {entry.pop("path"): Entry(**entry) for entry in found["entries"]}
        return FileTree(found["top"], entries)

    def globals(self) -> dict[str, Global]:
        """The global names that code has assigned in the REPL, in that order; a template's included."""
        found = self._call("read_globals", sandbox=self.id)
        return {name: Global(**described) for name, described in found.items()}
