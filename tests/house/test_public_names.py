"""What the package itself offers, and what it costs who wants only a part of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import podflare_emulator
from podflare_emulator import Emulator, EmulatorError


def test_the_emulator_is_imported_from_the_package() -> None:
    assert podflare_emulator.Emulator is Emulator
    assert podflare_emulator.EmulatorError is EmulatorError


def test_a_name_that_it_does_not_have_is_no_import() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Emulater'"):
        exec("from podflare_emulator import Emulater")


def test_the_package_alone_imports_nothing_of_it() -> None:
    code = "import sys, podflare_emulator; print([name for name in sys.modules if 'podflare' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'podflare_emulator'" in done.stdout
    assert "podflare_emulator." not in done.stdout
