"""The Podflare SDK: cloud sandboxes with a Python REPL that can be forked in memory."""

from importlib import metadata as _metadata

from podflare.aio.client import AsyncClient
from podflare.aio.pty import AsyncPtyHandle, AsyncPtyNamespace
from podflare.aio.sandbox import AsyncSandbox
from podflare.aio.transport.events import AsyncEventStream
from podflare.client import Client
from podflare.errors import (
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    ClientClosedError,
    ExecTimeoutError,
    ForbiddenError,
    ForkWarning,
    InvalidArgumentError,
    NotFoundError,
    PodflareError,
    ProcessesLeftBehindWarning,
    PtyError,
    PtyTimeoutError,
    ReplayDiffersWarning,
    SandboxClosedError,
    ServerError,
    ThreadsLeftBehindWarning,
    TooManyRequestsError,
    TransferError,
    UnauthorizedError,
    UnknownRegionError,
)
from podflare.pty import PtyHandle, PtyNamespace
from podflare.regions import (
    REGIONS,
    RegionInfo,
    detect_local_region,
    haversine_km,
    nearest_region_to,
    resolve_region,
)
from podflare.sandbox import Sandbox
from podflare.transport.events import EventStream
from podflare.types import Event, ExecResult, ExitEvent, Language, PtySessionInfo, StderrEvent, StdoutEvent

__all__ = [
    "REGIONS",
    "APIConnectionError",
    "APIStatusError",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncPtyHandle",
    "AsyncPtyNamespace",
    "AsyncSandbox",
    "BadRequestError",
    "Client",
    "ClientClosedError",
    "Event",
    "EventStream",
    "ExecResult",
    "ExecTimeoutError",
    "ExitEvent",
    "ForbiddenError",
    "ForkWarning",
    "InvalidArgumentError",
    "Language",
    "NotFoundError",
    "PodflareError",
    "ProcessesLeftBehindWarning",
    "PtyError",
    "PtyHandle",
    "PtyNamespace",
    "PtySessionInfo",
    "PtyTimeoutError",
    "RegionInfo",
    "ReplayDiffersWarning",
    "Sandbox",
    "SandboxClosedError",
    "ServerError",
    "StderrEvent",
    "StdoutEvent",
    "ThreadsLeftBehindWarning",
    "TooManyRequestsError",
    "TransferError",
    "UnauthorizedError",
    "UnknownRegionError",
    "__version__",
    "close_default_client",
    "detect_local_region",
    "haversine_km",
    "nearest_region_to",
    "resolve_region",
]

try:
    __version__ = _metadata.version("podflare")
except _metadata.PackageNotFoundError:  # a copy of the source that is on the path without being installed
    __version__ = "0+unknown"


def close_default_client(*, clear_disk_cache: bool = False) -> None:
    """Do nothing: sandboxes of this SDK have no default client in common, and it keeps no cache on disk.

    It is here for programs that were written for the client of this name on PyPI.
    """
