"""Bytecode beside Python's source files, as importing them would write it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER, cache_from_source


def missing(directory: str) -> Iterator[str]:
    """The source files below it that this Python has no valid bytecode for."""
    for place, _, names in os.walk(directory):
        for name in names:
            if name.endswith(".py") and not _is_compiled(f"{place}/{name}"):
                yield f"{place}/{name}"


def write(source: str) -> None:
    """Compiles the file; raises OSError. Readers find its bytecode as a whole or not at all."""
    import py_compile  # only where it is needed

    # Said explicitly, as the variable SOURCE_DATE_EPOCH of builds changes the default.
    py_compile.compile(source, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)


def _is_compiled(source: str) -> bool:
    try:
        status = os.stat(source)
        stamp = b"".join(number.to_bytes(4, "little") for number in (0, int(status.st_mtime), status.st_size))
        with open(cache_from_source(source), "rb") as file:
            return file.read(16) == MAGIC_NUMBER + stamp
    except OSError:
        return False
