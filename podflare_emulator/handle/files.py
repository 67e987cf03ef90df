"""`emulator.files`: what every sandbox has from its first moment on."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from podflare_emulator.vocabulary.errors import EmulatorError, SettingsError
from podflare_emulator.vocabulary.mounts import sandbox_path

SandboxPath = str | os.PathLike[str]
Source = bytes | str | os.PathLike[str]

_MODE = 0o644


class Files:
    """Puts files into every sandbox created from now on, until the next `Emulator.reset`.

        emulator.files["/data/prices.csv"] = "day,price\\n1,9.5\\n"      # text
        emulator.files["/data/logo.png"] = b"\\x89PNG..."               # bytes
        emulator.files["/data/medium.csv"] = Path("tests/medium.csv")  # a file of the host's, with its mode
        emulator.files["/data"] = Path("tests/data")                   # a folder: all files below it

    Raises:
        EmulatorError: The path is not absolute or belongs to the system, or the source does not exist.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._arranged: list[dict[str, Any]] = []

    def __setitem__(self, path: SandboxPath, source: Source) -> None:
        self.update({path: source})

    def update(self, files: Mapping[Any, Source]) -> None:
        """Several at once."""
        added = [file for path, source in files.items() for file in _contents(path, source)]
        self._call("add_files", files=added)
        self._arranged += added

    def clear(self) -> None:
        """From now on new sandboxes have none of them."""
        self._call("clear_files")
        self._arranged = []

    def forget(self) -> None:
        """A reset has taken them away."""
        self._arranged = []

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Inside, new sandboxes have none of them: what is made there is to outlive the test that wants the files."""
        arranged = self._arranged
        if not arranged:
            yield
            return
        self.clear()
        try:
            yield
        finally:
            self._call("add_files", files=arranged)
            self._arranged = [*arranged, *self._arranged]


def _contents(path: SandboxPath, source: Source) -> Iterator[dict[str, Any]]:
    if not isinstance(path, (str, os.PathLike)):
        raise EmulatorError(f"files[{path!r}]: expected a path in the sandbox such as '/data', got {path!r}")
    try:
        path = sandbox_path(os.fspath(path))
    except SettingsError as error:
        raise EmulatorError(f"files[{path!r}]: {error}") from None
    if isinstance(source, bytes):
        yield _file(path, _MODE, source)
    elif isinstance(source, str):
        if source and "\n" not in source and os.path.exists(source):
            raise EmulatorError(
                f"files[{path!r}]: {source!r} names a file here: write Path({source!r}) for its content, "
                "or encode the text if it is meant as text"
            )
        yield _file(path, _MODE, source.encode())
    elif isinstance(source, os.PathLike):
        yield from _on_host(path, os.fspath(source))
    else:
        raise EmulatorError(f"files[{path!r}]: expected bytes, str or Path, got {type(source).__name__}")


def _on_host(path: str, source: str) -> Iterator[dict[str, Any]]:
    """Of a file or folder: as the test sees it, and else as it really is, where pyfakefs fakes what the test sees."""
    patcher = getattr(sys.modules.get("pyfakefs.fake_filesystem_unittest"), "Patcher", None)
    faking = patcher.PATCHER if patcher else None
    # Asked itself: paths used by this module may be exempt from its faking.
    if faking and faking.fs.exists(source):
        yield from _below_faked(path, faking.fs.resolve(source))
        return
    if faking:
        faking.pause()
    try:
        found = list(_below(path, sys.modules["pathlib"].Path(source)))  # not the fake that may be here
    except OSError as error:
        where = source if os.path.isabs(source) else f"{source} in {os.getcwd()}"
        both = ", neither in pyfakefs' file system nor in the real one" if faking else ""
        raise EmulatorError(f"files[{path!r}]: {where}: {error.strerror}{both}") from error
    finally:
        if faking:
            faking.resume()
    yield from found


def _below_faked(path: str, source: Any) -> Iterator[dict[str, Any]]:
    if hasattr(source, "entries"):
        for name in sorted(source.entries):
            yield from _below_faked(f"{path}/{name}", source.filesystem.resolve(source.entries[name].path))
    else:
        yield _file(path, source.st_mode & 0o777, source.byte_contents or b"")


def _below(path: str, source: Path) -> Iterator[dict[str, Any]]:
    if source.is_dir():
        for inner in sorted(source.rglob("*")):
            if inner.is_file():
                yield from _below(f"{path}/{inner.relative_to(source).as_posix()}", inner)
    else:
        yield _file(path, source.stat().st_mode & 0o777, source.read_bytes())


def _file(path: str, mode: int, data: bytes) -> dict[str, Any]:
    return {"path": path, "mode": mode, "base64": base64.b64encode(data).decode()}
