"""The Podflare SDK: cloud sandboxes with a Python REPL that can be forked in memory."""

from podflare.client import Client
from podflare.errors import (
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    ForbiddenError,
    ForkWarning,
    NotFoundError,
    PodflareError,
    ProcessesLeftBehindWarning,
    ReplayDiffersWarning,
    SandboxClosedError,
    ServerError,
    ThreadsLeftBehindWarning,
    TooManyRequestsError,
    UnauthorizedError,
)
from podflare.sandbox import Sandbox
from podflare.types import Event, ExecResult, Language

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "BadRequestError",
    "Client",
    "Event",
    "ExecResult",
    "ForbiddenError",
    "ForkWarning",
    "Language",
    "NotFoundError",
    "PodflareError",
    "ProcessesLeftBehindWarning",
    "ReplayDiffersWarning",
    "Sandbox",
    "SandboxClosedError",
    "ServerError",
    "ThreadsLeftBehindWarning",
    "TooManyRequestsError",
    "UnauthorizedError",
]
