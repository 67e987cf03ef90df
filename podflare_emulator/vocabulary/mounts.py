"""Mounts: files of the host that are copied into every new sandbox, and the paths that they may have there."""

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from podflare_emulator.vocabulary.errors import SettingsError

# A mount is copied in, and these are the machine's own directories, kernel filesystems or the sandbox's
# curated ones: a copy there would be hidden, refused or, without isolation, land on the host.
SYSTEM_DIRECTORIES = (
    *("/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/boot"),
    *("/etc", "/dev", "/proc", "/sys", "/run"),
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the host that every new sandbox gets a copy of.

    Attributes:
        source: Absolute path on the host; exists.
        target: Absolute path in the sandbox: normalised, not `/`, not in a system directory.

    Raises:
        SettingsError: One of the two is not.
    """

    source: str
    target: str

    def __post_init__(self) -> None:
        given = f"mount {self.source + ':' + self.target!r}"
        if not os.path.isabs(self.source):
            raise SettingsError(f"{given}: the host path must be absolute")
        if not Path(self.source).exists():
            raise SettingsError(f"{given}: no such file or folder on the host: {self.source!r}")
        try:
            target = sandbox_path(self.target)
        except SettingsError as error:
            raise SettingsError(f"{given}: {error}") from None
        if self.target != target:
            raise SettingsError(f"{given}: write the sandbox path as {target!r}")

    @classmethod
    def parse(cls, text: str) -> "Mount":
        """Read `HOST_PATH:SANDBOX_PATH`; the last colon divides, and HOST_PATH may be relative to the cwd."""
        source, colon, target = text.rpartition(":")
        if not (colon and source and target):
            raise SettingsError(f"mount {text!r}: expected HOST_PATH:SANDBOX_PATH, such as ./data:/data")
        if target.startswith("/"):
            target = _normalised(target)
        return cls(os.path.abspath(source), target)


def sandbox_path(path: str) -> str:
    """Normalises the path for a host's file or folder in a sandbox. Raises SettingsError if it is not allowed."""
    if not path.startswith("/"):
        raise SettingsError("the sandbox path must be absolute, such as /data")
    if "\0" in path:
        raise SettingsError("the sandbox path cannot hold a NUL character")
    path = _normalised(path)
    if path == "/":
        raise SettingsError("the sandbox path must be a name below /, such as /data")
    for directory in SYSTEM_DIRECTORIES:
        if path == directory or path.startswith(directory + "/"):
            raise SettingsError(f"{directory} belongs to the system; choose another, such as /data")
    return path


def _normalised(path: str) -> str:
    # POSIX leaves two leading slashes alone; in a sandbox they mean nothing.
    return "/" + posixpath.normpath(path).lstrip("/")
