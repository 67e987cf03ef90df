"""Request bodies: the shape of each, and reading one up to the size limit."""

import itertools
import json
import re
from typing import Any, Literal, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from podflare_emulator.api import requests
from podflare_emulator.vocabulary.regions import ALIASES, REGIONS
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

LIMIT = 64 * 2**20
"""Most bytes of one body. Uploads travel base64-encoded in the code of an exec, and are meant for a few MB."""


class CreateBody(msgspec.Struct):
    """`POST /v1/sandboxes`. A field that is null counts as absent."""

    template: str | None = None
    timeout_seconds: int | None = None
    idle_timeout_seconds: int | None = None
    ram_mib: int | None = None
    rootfs_gb: int | None = None
    persistent: bool | None = None
    egress: bool | None = None
    region: str | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "timeout_seconds", "idle_timeout_seconds", "ram_mib", "rootfs_gb")
        _check_region(self.region)


class ResumeBody(msgspec.Struct):
    """`POST /v1/spaces/{id}/resume`. A field that is null counts as absent."""

    timeout_seconds: int | None = None
    idle_timeout_seconds: int | None = None
    persistent: bool | None = None
    egress: bool | None = None
    region: str | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "timeout_seconds", "idle_timeout_seconds")
        _check_region(self.region)


def given(body: CreateBody | ResumeBody) -> dict[str, Any]:
    """The fields that are not absent."""
    return {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}


def _check_positive(body: CreateBody | ResumeBody, *names: str) -> None:
    for name in names:
        value: int | None = getattr(body, name)
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")


def _check_region(region: str | None) -> None:
    if not (region is None or region in REGIONS or region in ALIASES):
        raise ValueError(f"region: expected {', '.join(REGIONS)}, got {region!r}")


class ExecBody(msgspec.Struct):
    """`POST /v1/sandboxes/{id}/exec`."""

    code: str
    language: Literal["python", "bash"] = "python"


class ForkBody(msgspec.Struct):
    """`POST /v1/sandboxes/{id}/fork`."""

    n: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.n <= 32:
            raise ValueError(f"n: expected 1 to 32, got {self.n}")


class TerminalBody(msgspec.Struct):
    """`POST /v1/sandboxes/{id}/pty`: `shellCmd` or `argv`; `env` as pairs; `cwd` an absolute path."""

    shellCmd: str | None = None  # noqa: N815 (the wire's name)
    argv: list[str] | None = None
    cols: int = 80
    rows: int = 24
    env: list[tuple[str, str]] | None = None
    cwd: str | None = None

    def __post_init__(self) -> None:
        if (self.shellCmd is None) == (not self.argv):
            raise ValueError("shellCmd: expected either this, a command for bash, or argv, a list of words")
        check_size(self.cols, self.rows)
        for word in (
            self.shellCmd or "",
            self.cwd or "",
            *(self.argv or ()),
            *itertools.chain(*(self.env or ())),
        ):
            if "\0" in word:
                raise ValueError("shellCmd, argv, env and cwd cannot hold a NUL character")
        for name, _ in self.env or ():
            if not name or "=" in name:
                raise ValueError(f"env: expected pairs of a name and a value, got the name {name!r}")


class InputBody(msgspec.Struct):
    """`POST .../pty/{pid}/input`."""

    data_b64: str


class SizeBody(msgspec.Struct):
    """`POST .../pty/{pid}/resize`."""

    cols: int
    rows: int

    def __post_init__(self) -> None:
        check_size(self.cols, self.rows)


class ReadBody(msgspec.Struct):
    """`POST .../pty/{pid}/read`: reads from byte `since_seq` on; waits up to `timeout_ms`, at most 30 s."""

    since_seq: int = 0
    max_bytes: int = 65536
    timeout_ms: int = 10000

    def __post_init__(self) -> None:
        for name, least in (("since_seq", 0), ("max_bytes", 1), ("timeout_ms", 0)):
            value: int = getattr(self, name)
            if value < least:
                raise ValueError(f"{name}: expected {least} or more, got {value}")


def check_size(cols: int, rows: int) -> None:
    for name, value in (("cols", cols), ("rows", rows)):
        if not 1 <= value <= 65535:
            raise ValueError(f"{name}: expected 1 to 65535, got {value}")


Body = TypeVar("Body")


async def read(request: Request, decoder: msgspec.json.Decoder[Body]) -> Body:
    """Read and check the body; an empty one is `{}`, whatever its content type says.

    Raises:
        InvalidRequest: It is not a JSON object of that shape; the message names the field.
        HTTPException: 413, it is larger than `LIMIT`; the rest is not read.
        ClientDisconnect: The client went away before it had sent all of it.
    """
    body = await whole(request.receive)
    requests.of(request.scope).take(body)
    body = body or b"{}"
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_explained(str(error))) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(_where_half_a_pair(body) or f"the body is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(_where_not_utf8(body)) from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None


async def whole(receive: Receive) -> bytes:
    """Receives a whole body. Raises HTTPException and ClientDisconnect, as `read` does."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > LIMIT:
            raise HTTPException(
                413, f"the body is larger than {LIMIT // 2**20} MiB; upload large files in parts"
            )
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunk if len(chunks) == 1 else b"".join(chunks)


def again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that yields an already received body again."""
    read = False

    async def receiving() -> Message:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _explained(message: str) -> str:
    """msgspec's ``Expected `int`, got `str` - at `$.n` `` as `n: expected int, got str`."""
    what, _, where = message.partition(" - at `$")
    what = what.replace("`", "")
    if missing := re.fullmatch("Object missing required field (.*)", what):
        return f"{missing[1]}: this field is required"
    if unknown := re.fullmatch("Invalid enum value (.*)", what):
        what = f"expected python or bash, got {unknown[1]}"
    if field := where.strip(".`"):
        return f"{field}: {what[0].lower()}{what[1:]}"
    return f"the body: {what[0].lower()}{what[1:]}" if what.startswith("Expected") else what


def _where_half_a_pair(body: bytes) -> str | None:
    """The field with half of a surrogate pair: JSON can escape it, as JavaScript does, but no text can hold it."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for field, value in found.items() if isinstance(found, dict) else ():
        half = re.search("[\ud800-\udfff]", json.dumps({field: value}, ensure_ascii=False))
        if half:
            return f"{ascii(field)[1:-1]}: half of a surrogate pair, {half[0]!a}, is no text"
    return None


def _where_not_utf8(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start].decode()
        fields: list[str] = re.findall(r'"(\w+)"\s*:', before)
        field = fields[-1] if fields else "the body"
        return f"{field}: not UTF-8, byte 0x{body[error.start]:02x} at {error.start}"
    raise AssertionError("a body of UTF-8 was refused as not UTF-8")
