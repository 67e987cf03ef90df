"""The tools, under the names that the vendor documents. A session has one sandbox, made on the first call."""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import shlex
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from podflare_emulator.domain.registry import SandboxOrder, SandboxRegistry
from podflare_emulator.domain.sandbox import Sandbox
from podflare_emulator.vocabulary.sandbox_errors import SandboxError

LARGEST_FILE = 6_000_000  # bytes (contract: files up to 6 MB)
LONGEST_CALL = 300.0  # seconds (contract: 5 minutes a call)

_SandboxId = Annotated[str | None, Meta(description="default: the session's own sandbox")]

Result = dict[str, Any]


class ToolError(Exception):
    """A call that failed; the message is written for the model that made it."""


class Run(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    sandbox_id: _SandboxId = None


class Fork(msgspec.Struct, forbid_unknown_fields=True):
    n: Annotated[int, Meta(ge=1, le=32)] = 1
    sandbox_id: _SandboxId = None


class Diff(msgspec.Struct, forbid_unknown_fields=True):
    other: Annotated[str, Meta(description="id of the sandbox to compare with")]
    paths: list[str] = msgspec.field(default_factory=lambda: ["/root", "/tmp"])
    sandbox_id: _SandboxId = None


class MergeInto(msgspec.Struct, forbid_unknown_fields=True):
    winner: Annotated[str, Meta(description="id of the sandbox that takes its place")]
    sandbox_id: _SandboxId = None


class Upload(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    content: str
    encoding: Annotated[Literal["text", "base64"], Meta(description="encoding of the content")] = "text"
    sandbox_id: _SandboxId = None


class Download(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    sandbox_id: _SandboxId = None


class CreateSandbox(msgspec.Struct, forbid_unknown_fields=True):
    template: str = "default"
    persistent: bool = False
    egress: bool = True


class DestroySandbox(msgspec.Struct, forbid_unknown_fields=True):
    sandbox_id: str


class Tools:
    """Each tool is a method: its docstring is the description, and its argument's type the schema."""

    def __init__(self, registry: SandboxRegistry) -> None:
        self._registry = registry
        self._sessions: dict[str, Sandbox] = {}  # not ids: with a seed, a reset gives them out again
        self._making = asyncio.Lock()

    @staticmethod
    def described() -> list[dict[str, Any]]:
        """The `name`, `description` and `schema` of each tool."""
        return [
            {"name": name, "description": inspect.getdoc(tool), "schema": _schema(_argument(tool))}
            for name, tool in TOOLS.items()
        ]

    async def call(self, name: str, arguments: dict[str, Any], session: str | None) -> Result:
        """Raises ToolError. `session`: None for a call without one, which must name its sandbox."""
        if name not in TOOLS:
            raise ToolError(f"no tool {name!r}; there are {', '.join(TOOLS)}")
        try:
            given = msgspec.convert(arguments, _argument(TOOLS[name]))
        except msgspec.ValidationError as error:
            raise ToolError(f"{name}: {error}") from None
        try:
            return await asyncio.wait_for(TOOLS[name](self, given, session), LONGEST_CALL)
        except asyncio.TimeoutError:
            raise ToolError(
                f"{name}: stopped after {LONGEST_CALL:g} seconds, the limit for one call"
            ) from None
        except SandboxError as error:
            raise ToolError(f"{name}: {error}") from None

    async def end(self, session: str) -> None:
        """The session is over: destroys its sandbox."""
        sandbox = self._sessions.pop(session, None)
        if sandbox and sandbox.machine:
            await self._registry.destroy(sandbox.id)

    async def run_python(self, given: Run, session: str | None) -> Result:
        """Run Python in the sandbox's REPL. Names, imports and files of earlier calls persist. Returns only what is printed."""  # noqa: E501
        return await self._run(given, session, "python")

    async def run_bash(self, given: Run, session: str | None) -> Result:
        """Run a bash script in the sandbox. Files persist between calls; variables and the working directory do not."""
        return await self._run(given, session, "bash")

    async def fork(self, given: Fork, session: str | None) -> Result:
        """Make n independent copies of the sandbox, including memory and files; returns their ids."""
        forked = await (await self._sandbox(given.sandbox_id, session)).fork(given.n)
        return {"children": [child.id for child in forked.children]}

    async def diff(self, given: Diff, session: str | None) -> Result:
        """List the files that another sandbox has added, removed and modified, compared with this one."""
        here = await _hashes(await self._sandbox(given.sandbox_id, session), given.paths)
        there = await _hashes(self._registry.get(given.other), given.paths)
        return {
            "added": sorted(there.keys() - here.keys()),
            "removed": sorted(here.keys() - there.keys()),
            "modified": sorted(path for path in here.keys() & there.keys() if here[path] != there[path]),
        }

    async def merge_into(self, given: MergeInto, session: str | None) -> Result:
        """Replace the sandbox by the winner, such as one of its forks: the id stays, with the winner's memory and files."""  # noqa: E501
        sandbox = await self._sandbox(given.sandbox_id, session)
        await self._registry.merge(sandbox.id, given.winner)
        return {"sandbox_id": sandbox.id}

    async def upload(self, given: Upload, session: str | None) -> Result:
        """Write a file of up to 6 MB in the sandbox, creating its folders."""
        try:
            text = given.content
            data = base64.b64decode(text, validate=True) if given.encoding == "base64" else text.encode()
        except (binascii.Error, ValueError) as error:
            raise ToolError(f"content: not base64: {error}") from None
        if len(data) > LARGEST_FILE:
            raise ToolError(f"content: {len(data)} bytes; a file has {LARGEST_FILE} at most")
        code = _UPLOAD.format(path=given.path, data=base64.b64encode(data).decode())
        result = await _executed(await self._sandbox(given.sandbox_id, session), code, "python")
        if result["exit_code"] != 0:
            raise ToolError(f"{given.path} cannot be written: {_last_line(result)}")
        return {"path": given.path, "size": len(data)}

    async def download(self, given: Download, session: str | None) -> Result:
        """Read a file of up to 6 MB, as base64."""
        code = _DOWNLOAD.format(path=given.path, most=LARGEST_FILE)
        result = await _executed(await self._sandbox(given.sandbox_id, session), code, "python")
        if result["exit_code"] != 0:
            raise ToolError(f"{given.path} cannot be read: {_last_line(result)}")
        return {"path": given.path, "base64": result["stdout"]}

    async def create_sandbox(self, given: CreateSandbox, session: str | None) -> Result:
        """Create a sandbox in addition to the session's own; other tools take its id. Destroy it when done."""
        order = SandboxOrder(template=given.template, persistent=given.persistent, egress=given.egress)
        return {"sandbox_id": (await self._registry.create(order)).id}

    async def destroy_sandbox(self, given: DestroySandbox, session: str | None) -> Result:
        """Destroy a sandbox, with its memory and files."""
        await self._registry.destroy(given.sandbox_id)
        return {"sandbox_id": given.sandbox_id}

    async def _run(self, given: Run, session: str | None, language: Literal["python", "bash"]) -> Result:
        return await _executed(await self._sandbox(given.sandbox_id, session), given.code, language)

    async def _sandbox(self, sandbox_id: str | None, session: str | None) -> Sandbox:
        if sandbox_id is not None:
            return self._registry.get(sandbox_id)
        if session is None:
            raise ToolError(
                "sandbox_id: required for a call outside a session; create_sandbox makes a sandbox"
            )
        async with self._making:  # two first calls at once must get the same sandbox
            sandbox = self._sessions.get(session)
            if sandbox is None or sandbox.machine is None:
                sandbox = self._sessions[session] = await self._registry.create(SandboxOrder())
            return sandbox


_Tool = Callable[[Tools, Any, str | None], Coroutine[Any, Any, Result]]

TOOLS: dict[str, _Tool] = {
    tool.__name__: tool
    for tool in (
        *(Tools.run_python, Tools.run_bash, Tools.fork, Tools.diff, Tools.merge_into, Tools.upload),
        *(Tools.download, Tools.create_sandbox, Tools.destroy_sandbox),
    )
}

# In a function, so that its variables do not end up in the user's namespace.
_UPLOAD = """\
def __podflare(path, data):
    import base64, os
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(base64.b64decode(data))
try: __podflare({path!r}, "{data}")
finally: del __podflare
"""
_DOWNLOAD = """\
def __podflare(path):
    import base64, os
    if os.path.getsize(path) > {most}:
        raise SystemExit(f"{{os.path.getsize(path)}} bytes; a file has {most} at most")
    with open(path, "rb") as file:
        print(base64.b64encode(file.read()).decode())
try: __podflare({path!r})
finally: del __podflare
"""


async def _executed(sandbox: Sandbox, code: str, language: Literal["python", "bash"]) -> Result:
    answer = await (await sandbox.exec(code, language)).outcome()
    printed = {"stdout": answer.stdout, "stderr": answer.stderr}
    return {**printed, "exit_code": answer.exit_code, "sandbox_id": sandbox.id}


async def _hashes(sandbox: Sandbox, paths: list[str]) -> dict[str, str]:
    places = " ".join(map(shlex.quote, paths))
    code = f'for place in {places}; do [ ! -e "$place" ] || find "$place" -type f -exec sha256sum -z {{}} +; done'
    result = await _executed(sandbox, code, "bash")
    return {line[66:]: line[:64] for line in result["stdout"].split("\0") if line}


def _argument(tool: _Tool) -> Any:
    return inspect.signature(tool, eval_str=True).parameters["given"].annotation


def _schema(kind: Any) -> dict[str, Any]:
    (_, components) = msgspec.json.schema_components([kind])
    return {name: value for name, value in components[kind.__name__].items() if name != "title"}


def _last_line(result: Result) -> str:
    lines: list[str] = result["stderr"].splitlines()
    return lines[-1] if lines else "it ended without a message"
