"""The service's calls, each with its body, its answer and its refusals."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from podflare_emulator.api import bodies, ndjson
from podflare_emulator.api.contract import answers
from podflare_emulator.vocabulary.regions import ALIASES, REGIONS

_TEXT, _JSON = "text/plain", "application/json"


class Call(Struct, frozen=True):
    """`body`: a shape in bodies.py; optional if all its fields are. `answer`: None for no body.

    `refusals`: in addition to those that every call has.
    """

    summary: str
    body: type[msgspec.Struct] | None = None
    answer: Any = None
    status: int = 200
    media_type: str = _JSON
    refusals: dict[int, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    tag: str = "sandboxes"


_GONE = {404: "no such sandbox: sandbox not found"}
_NO_TERMINAL = {404: "no such sandbox or terminal"}
_NO_SPACE = {404: "no such Space, or it has been resumed"}
_NO_GUEST = {500: "the pool is exhausted and a cold boot failed"}
_NO_ANSWER = {500: "agent did not respond"}

CALLS = {
    ("GET", "/v1/healthz"): Call("Check that it serves", answer=str, media_type=_TEXT, tag="health"),
    ("POST", "/v1/sandboxes"): Call("Create a sandbox", bodies.CreateBody, answers.Made, refusals=_NO_GUEST),
    ("DELETE", "/v1/sandboxes/{sandbox_id}"): Call(
        "Destroy a sandbox; repeating it is no error", status=204, refusals={404: "an unknown id"}
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/exec"): Call(
        "Run code, and stream its events",
        bodies.ExecBody,
        answers.Event,
        media_type=ndjson.MEDIA_TYPE,
        refusals={**_GONE, **_NO_ANSWER},
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/fork"): Call(
        "Make children that continue from the sandbox's state",
        bodies.ForkBody,
        answers.Forked,
        refusals={**_GONE, 500: "the sandbox has custom RAM or disk, or the fork failed"},
        headers={
            "Podflare-Threads-Left-Behind": "how many threads only the parent has",
            "Podflare-Processes-Left-Behind": "how many processes only the parent has",
            "Podflare-Replay-Differences": "which Python execs ended differently when replayed, such as 2, 5",
        },
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/merge_into/{winner_id}"): Call(
        "Let the winner's machine take over the id",
        status=204,
        refusals={400: "twice the same id", **_GONE, 500: "the winner's interpreter has ended"},
    ),
    ("GET", "/v1/sandboxes/{sandbox_id}/replay"): Call(
        "List the recent events", answer=answers.Event, media_type=ndjson.MEDIA_TYPE, refusals=_GONE
    ),
    ("POST", "/v1/spaces/{space_id}/resume"): Call(
        "Resume a frozen sandbox",
        bodies.ResumeBody,
        answers.Made,
        refusals={**_NO_SPACE, **_NO_GUEST},
        tag="spaces",
    ),
    ("DELETE", "/v1/spaces/{space_id}"): Call(
        "Delete a frozen sandbox", status=204, refusals=_NO_SPACE, tag="spaces"
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/pty"): Call(
        "Start a program on a terminal, and stream its output",
        bodies.TerminalBody,
        answers.TerminalEvent,
        media_type=ndjson.MEDIA_TYPE,
        refusals={**_GONE, **_NO_ANSWER},
        tag="terminals",
    ),
    ("GET", "/v1/sandboxes/{sandbox_id}/pty"): Call(
        "List the running terminals", answer=list[answers.Terminal], refusals=_GONE, tag="terminals"
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/pty/{terminal_id}/input"): Call(
        "Type input", bodies.InputBody, status=204, refusals=_NO_TERMINAL, tag="terminals"
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/pty/{terminal_id}/resize"): Call(
        "Change the terminal's size", bodies.SizeBody, status=204, refusals=_NO_TERMINAL, tag="terminals"
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/pty/{terminal_id}/kill"): Call(
        "Kill the program and everything it has started", status=204, refusals=_NO_TERMINAL, tag="terminals"
    ),
    ("GET", "/v1/sandboxes/{sandbox_id}/pty/{terminal_id}/attach"): Call(
        "Stream the last MiB of output, then new output",
        answer=answers.TerminalEvent,
        media_type=ndjson.MEDIA_TYPE,
        refusals=_NO_TERMINAL,
        tag="terminals",
    ),
    ("POST", "/v1/sandboxes/{sandbox_id}/pty/{terminal_id}/read"): Call(
        "Wait at most 30 seconds for output",
        bodies.ReadBody,
        answers.TerminalOutput,
        refusals=_NO_TERMINAL,
        tag="terminals",
    ),
}

_SECONDS = {"minimum": 1}
_SIZE = {"minimum": 1, "maximum": 65535}
_REGION = {"enum": [*REGIONS, *ALIASES]}

# What the shapes check in addition to their types.
LIMITS: dict[str, dict[str, dict[str, Any]]] = {
    "CreateBody": {
        **dict.fromkeys(("timeout_seconds", "idle_timeout_seconds", "ram_mib", "rootfs_gb"), _SECONDS),
        "region": _REGION,
    },
    "ResumeBody": {
        **dict.fromkeys(("timeout_seconds", "idle_timeout_seconds"), _SECONDS),
        "region": _REGION,
    },
    "ForkBody": {"n": {"minimum": 1, "maximum": 32}},
    "TerminalBody": {"cols": _SIZE, "rows": _SIZE},
    "SizeBody": {"cols": _SIZE, "rows": _SIZE},
    "ReadBody": {"since_seq": {"minimum": 0}, "max_bytes": {"minimum": 1}, "timeout_ms": {"minimum": 0}},
    "InputBody": {"data_b64": {"contentEncoding": "base64"}},
}
