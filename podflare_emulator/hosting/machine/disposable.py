"""Whether this machine is disposable: a stray write to it hurts nobody."""

from __future__ import annotations

import os

_MARKS = ("/.dockerenv", "/run/.containerenv")
_VARIABLES = ("container", "KUBERNETES_SERVICE_HOST")


def disposable() -> bool:
    """In a container, or in continuous integration."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return True
    return any(map(os.path.exists, _MARKS)) or any(os.environ.get(name) for name in _VARIABLES)
