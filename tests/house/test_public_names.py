"""What is public, and what it costs who wants only a part of it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PUBLIC = {
    "podflare_emulator": [
        "Answer",
        "Emulator",
        "EmulatorError",
        "Mount",
        "Settings",
        "SettingsError",
        "StubCall",
    ],
    "podflare_emulator.emulator": ["Emulator", "EmulatorError"],
    "podflare_emulator.errors": ["EmulatorError"],
    "podflare_emulator.settings": ["Mount", "Settings", "SettingsError"],
    "podflare_emulator.stubs": ["Answer", "CommandStub", "Stub", "StubCall"],
    "pytest_podflare": ["SandboxLeakWarning", "prepared_sandbox"],
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_can_be_imported(module: str) -> None:
    imported = importlib.import_module(module)
    assert sorted(imported.__all__) == PUBLIC[module]
    for name in PUBLIC[module]:
        assert callable(getattr(imported, name))


def test_a_name_means_the_same_wherever_it_is_public() -> None:
    package = importlib.import_module("podflare_emulator")
    for module in ("emulator", "errors", "settings", "stubs"):
        public = importlib.import_module(f"podflare_emulator.{module}")
        for name in set(public.__all__) & set(package.__all__):
            assert getattr(public, name) is getattr(package, name)


def test_a_name_that_it_does_not_have_is_no_import() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Emulater'"):
        exec("from podflare_emulator import Emulater")


def test_the_package_alone_imports_nothing_of_it() -> None:
    code = "import sys, podflare_emulator; print([name for name in sys.modules if 'podflare' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'podflare_emulator'" in done.stdout
    assert "podflare_emulator." not in done.stdout
