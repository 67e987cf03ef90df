"""The official SDK's server around the tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from podflare_emulator.mcp.tools import Result, ToolError, Tools
from podflare_emulator.vocabulary.errors import EmulatorError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

INSTALL = "MCP needs an extra: pip install 'podflare-emulator[mcp]'"
_ABOUT = (
    "Sandboxes: machines with a Python interpreter that keeps its state between calls. The first call creates the "
    "session's own sandbox; address forks and created sandboxes by sandbox_id."
)


def build(tools: Tools, session_of: Callable[[Any], str | None]) -> Server[Any]:
    """`session_of`: gets a call's session from the SDK's context. Raises EmulatorError if the SDK is missing."""
    try:
        from mcp import types
        from mcp.server.lowlevel import Server
    except ImportError as error:
        raise EmulatorError(f"{INSTALL} ({error})") from None

    from importlib.metadata import version  # late: a server that nobody asks for tools starts sooner

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(name=tool["name"], description=tool["description"], input_schema=tool["schema"])
                for tool in tools.described()
            ]
        )

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        answer = await answered(tools, params.name, params.arguments or {}, session_of(context))
        return types.CallToolResult.model_validate(answer)

    return Server(
        "podflare-emulator",
        version=version("podflare-emulator"),
        instructions=_ABOUT,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def answered(tools: Tools, name: str, arguments: dict[str, Any], session: str | None) -> Result:
    """Calls a tool; returns the result of `tools/call` in its wire format."""
    try:
        result = await tools.call(name, arguments, session)
    except ToolError as error:
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    text = json.dumps(result, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": result, "isError": False}


async def serve_stdio(tools: Tools) -> None:
    """Serves until standard input ends, or until nobody reads the output. One process is one session."""
    server = build(tools, lambda context: "stdio")
    from mcp.server.stdio import stdio_server

    try:
        async with stdio_server() as (received, sent):
            await server.run(received, sent, server.create_initialization_options())
    except Exception as error:
        if not _is_broken_pipe(error):
            raise


def _is_broken_pipe(error: BaseException) -> bool:
    """Also as a group of several, as a task group raises it."""
    errors = getattr(error, "exceptions", ())
    return isinstance(error, BrokenPipeError) or (bool(errors) and all(map(_is_broken_pipe, errors)))
