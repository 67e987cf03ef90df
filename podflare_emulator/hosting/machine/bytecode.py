"""The guests' code as bytecode, so that nobody inside has to compile it at every start.

Inside, Python is told to write none. An installation has it from the installer; a checkout, from its first start.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path


def compile_directory(directory: str) -> None:
    """For this Python's version, what an import of each module would have left; nothing where that would not either."""
    if sys.dont_write_bytecode:
        return
    for source in Path(directory).rglob("*.py"):
        with contextlib.suppress(OSError):  # a directory that is not ours
            if not _is_compiled(source):
                import py_compile

                # A variable of the build's, SOURCE_DATE_EPOCH, would have it otherwise.
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
