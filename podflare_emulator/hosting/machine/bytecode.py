"""Compiles the guests' code to bytecode, so that no process inside compiles it at every start.

Inside, Python runs with -B and writes none. An installer has compiled it already; a checkout compiles at first start.
"""

from __future__ import annotations

import contextlib
import sys

from podflare_emulator.guest.files import bytecode


def compile_directory(directory: str) -> None:
    """Writes the bytecode that importing each module with this Python would write, and where it would write any."""
    if sys.dont_write_bytecode:
        return
    for source in bytecode.missing(directory):
        with contextlib.suppress(OSError):  # a directory that we may not write to
            bytecode.write(source)
