"""Compiles the guests' code to bytecode, so that no process inside compiles it at every start.

Inside, Python runs with -B and writes none. An installer has compiled it already; a checkout compiles at first start.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path


def compile_directory(directory: str) -> None:
    """Writes the bytecode that importing each module with this Python would write, and where it would write any."""
    if sys.dont_write_bytecode:
        return
    for source in Path(directory).rglob("*.py"):
        with contextlib.suppress(OSError):  # a directory that we may not write to
            if not _is_compiled(source):
                import py_compile

                # Said explicitly, as the variable SOURCE_DATE_EPOCH of builds changes the default.
                stamped = py_compile.PycInvalidationMode.TIMESTAMP
                py_compile.compile(str(source), quiet=2, invalidation_mode=stamped)


def _is_compiled(source: Path) -> bool:
    status = source.stat()
    stamp = b"".join(number.to_bytes(4, "little") for number in (0, int(status.st_mtime), status.st_size))
    try:
        with open(cache_from_source(str(source)), "rb") as file:
            return file.read(16) == MAGIC_NUMBER + stamp
    except FileNotFoundError:
        return False
