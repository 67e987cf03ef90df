"""Maps a portable sandbox's paths to the host's, and back.

Every Python that a sandbox runs imports it at its start: so import nothing here that such a Python has not imported
already.
"""

from __future__ import annotations

import os
from os import getcwd, readlink  # bound before they are mapped: here they use the host's paths

TYPE_CHECKING = False  # as in `typing`, which takes as long to import as everything here

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

SYSTEM_DIRECTORIES = (
    "/bin",
    "/dev",
    "/etc",
    "/gnu",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/Library",
    "/nix",
    "/proc",
    "/sbin",
    "/sys",
    "/System",
    "/usr",
)
# A program in a sandbox passes the mapping to the Pythons that it starts in these.
ROOT_VARIABLE = "PODFLARE_PORTABLE_ROOT"
SHARED_VARIABLE = "PODFLARE_PORTABLE_SHARED"
_SHARED_MEMORY = ("/dev/shm", "/run/shm")  # the first is in a shared directory, but belongs to the sandbox
_MOST_LINKS = 40  # as many as the kernel follows


class PathMap:
    """Maps a sandbox's absolute paths below its directory on the host.

    Args:
        root: that directory, absolute and without symbolic links.
        shared: absolute prefixes that mean the host's files; the longest prefix wins, including `root`.

    A path that is already below `root` stays as it is. One below a root that `move` has left is moved along. So a path
    that the kernel, a C library or bash has returned still names the sandbox's file.
    """

    def __init__(self, root: str, shared: Sequence[str]) -> None:
        self.root = root
        self.shared = tuple(dict.fromkeys(path.rstrip("/") for path in shared))
        self._former: list[str] = []
        self._build()

    @classmethod
    def of_variables(cls, variables: Mapping[str, str]) -> PathMap:
        return cls(variables[ROOT_VARIABLE], variables[SHARED_VARIABLE].split(":"))

    def variables(self) -> dict[str, str]:
        return {ROOT_VARIABLE: self.root, SHARED_VARIABLE: ":".join(self.shared)}

    def move(self, root: str) -> None:
        self._former.append(self.prefix)
        self.root = root
        self._build()

    def _build(self) -> None:
        self.prefix = self.root.rstrip("/")  # "" if all paths mean the host's files
        places: list[tuple[str, str | None]] = [(f"{path}/", None) for path in self.shared]
        if self.prefix:
            source, target = _SHARED_MEMORY
            places.append((f"{source}/", self.prefix + target))
            places += [(f"{former}/", self.prefix) for former in self._former if former != self.prefix]
            places.append((f"{self.prefix}/", None))
        places.sort(key=lambda place: len(place[0]), reverse=True)
        # By first name of a path: the few places that can match.
        self._by_top: dict[str, list[tuple[str, str | None]]] = {}
        for prefix, place in places:
            self._by_top.setdefault(prefix.split("/", 2)[1], []).append((prefix, place))

    def real(self, path: Any) -> Any:
        """The host's path for a sandbox's: str for str and PathLike, bytes for bytes.

        Descriptors, None and other values that are not paths are returned as they are, for the called function to
        judge. So are relative paths, unless a `..` in them may climb out of the sandbox.
        """
        if type(path) is not str:
            return self._real_of_another_type(path)
        if path[:1] != "/":
            return self._clamped(path) if ".." in path else path
        if ".." in path or "//" in path or "/./" in path:
            path = self._resolved(path)
        for prefix, place in self._by_top.get(path.split("/", 2)[1], ()):
            if path.startswith(prefix) or path == prefix[:-1]:
                return path if place is None else place + path[len(prefix) - 1 :]
        return self.prefix + path

    def _real_of_another_type(self, path: Any) -> Any:
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        if isinstance(path, bytes):
            return os.fsencode(self.real(os.fsdecode(path)))
        if isinstance(path, (bytearray, memoryview)):
            return type(path)(self.real(bytes(path)))
        return self.real(str(path)) if isinstance(path, str) else path

    def target(self, path: Any) -> Any:
        """Like `real`, but for a path that may be relative to another directory than the current: such a path stays."""
        text = os.fspath(path) if isinstance(path, os.PathLike) else path
        return self.real(text) if isinstance(text, (str, bytes)) and text[:1] in ("/", b"/") else path

    def virtual(self, path: Any) -> Any:
        """The sandbox's path for the host's; a path outside the sandbox stays as it is."""
        if isinstance(path, bytes):
            return os.fsencode(self.virtual(os.fsdecode(path)))
        for root in filter(None, (self.prefix, *self._former)):
            if path.startswith(f"{root}/"):
                return path[len(root) :]
            if path == root:
                return "/"
        return path

    def shown(self, text: str) -> str:
        """Text (a search path, a variable, output) with the roots removed from the paths in it."""
        for root in filter(None, (self.prefix, *self._former)):
            if root in text:
                text = text.replace(f"{root}/", "/").replace(root, "/")
        return text

    def shown_bytes(self, data: bytes) -> bytes:
        """Like `shown`, for bytes; data with a NUL byte is not text, and stays as it is."""
        roots = (os.fsencode(root) for root in (self.prefix, *self._former) if root)
        for root in roots:
            if root in data and b"\0" not in data:
                data = data.replace(root + b"/", b"/").replace(root, b"/")
        return data

    def _clamped(self, path: str) -> str:
        if ".." not in path.split("/") or not self.prefix:
            return path
        try:
            directory = self.virtual(getcwd())
        except OSError:  # it has been removed: the kernel will refuse the path
            return path
        resolved: str = self.real(self._resolved(f"{directory}/{path}"))
        return resolved

    def _resolved(self, path: str) -> str:
        """An absolute path without `..`, resolved as the kernel would with the sandbox as its root."""
        reached = ""
        for name in path.split("/"):
            if name == "..":
                reached = self._followed(reached).rpartition("/")[0]
            elif name not in ("", "."):
                reached += f"/{name}"
        return reached or "/"

    def _followed(self, path: str) -> str:
        """Follows symbolic links: `..` leaves the directory that a link leads to, not the one that contains it."""
        for _ in range(_MOST_LINKS):
            try:
                link = self.virtual(readlink(self.real(path or "/")))
            except OSError:
                break
            path = self._resolved(link if link[:1] == "/" else f"{path.rpartition('/')[0]}/{link}")
        return path
