"""What the figures were measured on, without saying whose it is."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("podflare-emulator", "podflare", "httpx", "uvicorn", "starlette", "msgspec")


def describe() -> dict[str, str]:
    """Names and values, for people."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "temp directory": _filesystem(tempfile.gettempdir()),
        "user": "root" if os.getuid() == 0 else "not root",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "event loop": _installed("uvloop") or "asyncio",
        "HTTP parser": _installed("httptools") or "h11",
        "packages": ", ".join(filter(None, map(_installed, _PACKAGES))),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _filesystem(directory: str) -> str:
    """The type of file system that holds it."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except FileNotFoundError:
        return "unknown"
    place = Path(os.path.realpath(directory))
    around = [(target, kind) for target, kind in mounts if place.is_relative_to(target)]
    return max(around, key=lambda mount: len(mount[0]))[1]


def _installed(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None
