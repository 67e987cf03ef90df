"""The pytest plugin: fixtures such as `podflare_emulator` and `podflare_sandbox`, and `prepared_sandbox` for more."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_podflare.leaks import SandboxLeakWarning
    from pytest_podflare.prepared import prepared_sandbox

__all__ = ["SandboxLeakWarning", "prepared_sandbox"]

if not hasattr(pytest, "StashKey"):
    raise pytest.UsageError(
        f"the plugin of podflare-emulator needs pytest 7 or newer, and this is {pytest.__version__}: "
        "pip install 'pytest>=7', or run without the plugin by -p no:podflare"
    )

_MODULES = {"SandboxLeakWarning": "leaks", "prepared_sandbox": "prepared"}


def __getattr__(name: str) -> Any:
    """Imports them on demand: every run of pytest loads this package, but few need them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
