import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from podflare import AsyncSandbox, NotFoundError, Sandbox
from podflare.integrations.anthropic import (
    BASH_TOOL,
    CODE_EXECUTION_TOOL,
    TEXT_EDITOR_TOOL,
    async_handle_code_execution_tool_use,
    handle_code_execution_tool_use,
)

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


def _tool_use(tool_input: Any, name: str = "code_execution") -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_01", "name": name, "input": tool_input}


def _text(block: Any) -> str:
    return str(block["content"][0]["text"])


def test_the_code_is_run_and_answered(sandbox: Sandbox) -> None:
    block = handle_code_execution_tool_use(
        _tool_use({"code": "import sys; print(6*7); print('hm', file=sys.stderr)"}), sandbox
    )
    assert block == {
        "type": "tool_result",
        "tool_use_id": "toolu_01",
        "content": [{"type": "text", "text": "stdout:\n42\nstderr:\nhm\nexit_code: 0"}],
        "is_error": False,
    }


def test_state_stays_between_calls(sandbox: Sandbox) -> None:
    handle_code_execution_tool_use(_tool_use({"code": "x = 5"}), sandbox)
    assert "stdout:\n5\n" in _text(handle_code_execution_tool_use(_tool_use({"code": "print(x)"}), sandbox))


def test_failing_code_is_an_error_for_the_model(sandbox: Sandbox) -> None:
    block: Any = handle_code_execution_tool_use(_tool_use({"code": "1/0"}), sandbox)
    assert block["is_error"]
    assert "ZeroDivisionError" in _text(block)
    assert "exit_code: 1" in _text(block)


@pytest.mark.parametrize(
    ("name", "tool_input"),
    [
        ("bash", {"command": "echo $0"}),
        ("bash_code_execution", {"command": "echo $0"}),
        ("code_execution", {"code": "echo $0", "language": "bash"}),
    ],
)
def test_bash_is_run_as_bash(sandbox: Sandbox, name: str, tool_input: dict[str, str]) -> None:
    assert "stdout:\nbash\n" in _text(handle_code_execution_tool_use(_tool_use(tool_input, name), sandbox))


@pytest.mark.parametrize(
    ("name", "tool_input", "told"),
    [
        ("code_execution", {}, "'code'"),
        ("code_execution", {"code": 1}, "'code'"),
        ("code_execution", {"code": "", "language": "ruby"}, "'ruby'"),
        ("code_execution", None, "must be an object"),
        ("bash", {}, "'command'"),
        ("bash", [], "must be an object"),
        ("str_replace_based_edit_tool", {"command": ["view"], "path": "/x"}, "['view']"),
        ("str_replace_based_edit_tool", {"command": "undo_edit", "path": "/x"}, "'undo_edit'"),
        ("str_replace_based_edit_tool", {"command": "insert", "path": "/x"}, "'insert_line'"),
        ("str_replace_based_edit_tool", {"command": "view", "path": 5}, "'path'"),
        ("str_replace_editor", {"command": "view", "path": "/x", "view_range": [1]}, "'view_range'"),
    ],
)
def test_input_without_code_is_an_error_for_the_model(
    sandbox: Sandbox, received: list[dict[str, Any]], name: str, tool_input: Any, told: str
) -> None:
    block: Any = handle_code_execution_tool_use(_tool_use(tool_input, name), sandbox)
    assert block["is_error"]
    assert told in _text(block)
    assert len(received) == 1  # the create call only


def test_a_sandbox_that_is_gone_is_an_error_for_the_program(
    sandbox: Sandbox, instead: dict[str, Any]
) -> None:
    instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError):
        handle_code_execution_tool_use(_tool_use({"code": ""}), sandbox)


@SLOW
@pytest.mark.parametrize(
    ("block_type", "class_name"),
    [("tool_use", "ToolUseBlock"), ("server_tool_use", "ServerToolUseBlock")],
)
def test_anthropics_own_types_fit(sandbox: Sandbox, block_type: str, class_name: str) -> None:
    types = pytest.importorskip("anthropic.types", reason="the package anthropic is not installed")
    pydantic = pytest.importorskip("pydantic")
    if not hasattr(types, class_name):
        pytest.skip(f"this version of anthropic has no {class_name}")
    block_class: Callable[..., Any] = getattr(types, class_name)
    block = block_class(id="srvtoolu_01", name="code_execution", input={"code": "print(1)"}, type=block_type)
    result = handle_code_execution_tool_use(block, sandbox)
    validated = pydantic.TypeAdapter(types.ToolResultBlockParam).validate_python(result)
    assert validated["tool_use_id"] == "srvtoolu_01"
    message = pydantic.TypeAdapter(types.MessageParam).validate_python({"role": "user", "content": [result]})
    assert message["role"] == "user"


def test_the_async_one_answers_the_same(sandbox: Sandbox) -> None:
    asked = [_tool_use({"code": "print(6*7)"}), _tool_use({"code": "1/0"}), _tool_use({"no": "code"})]

    async def answers() -> list[Any]:
        async with AsyncSandbox.connect(sandbox.id, host=sandbox._shared_client.client.host) as handle:
            return [await async_handle_code_execution_tool_use(block, handle) for block in asked]

    assert asyncio.run(answers()) == [handle_code_execution_tool_use(block, sandbox) for block in asked]


def test_the_tools_are_what_the_api_takes() -> None:
    types = pytest.importorskip("anthropic.types", reason="the package anthropic is not installed")
    adapter = pytest.importorskip("pydantic").TypeAdapter(types.ToolUnionParam)
    for tool in (CODE_EXECUTION_TOOL, BASH_TOOL, TEXT_EDITOR_TOOL):
        assert adapter.validate_python(tool)["name"] == tool["name"]
    assert set(CODE_EXECUTION_TOOL["input_schema"]["properties"]) == {"code", "language"}  # type: ignore[arg-type]


def test_a_conversation_with_the_real_client(fake_model: Any, podflare_sandbox: Sandbox) -> None:
    anthropic = pytest.importorskip("anthropic", reason="the package anthropic is not installed")
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    message["usage"] = {"input_tokens": 1, "output_tokens": 1}
    wanted = [_tool_use({"code": "print(6 * 7)"}), _tool_use({"command": "echo $((6 * 8))"}, "bash")]
    said = [{"type": "text", "text": "42 and 48."}]
    fake_model.answers = [
        {**message, "content": wanted, "stop_reason": "tool_use"},
        {**message, "content": said, "stop_reason": "end_turn"},
    ]
    messages: list[Any] = [{"role": "user", "content": "What is 6 * 7, and 6 * 8?"}]
    with anthropic.Anthropic(api_key="k", base_url=fake_model.url, max_retries=0) as client:
        while True:
            answer = client.messages.create(
                model="m", max_tokens=100, messages=messages, tools=[CODE_EXECUTION_TOOL, BASH_TOOL]
            )
            messages.append({"role": "assistant", "content": answer.content})
            if answer.stop_reason != "tool_use":
                break
            results = [handle_code_execution_tool_use(block, podflare_sandbox) for block in answer.content]
            messages.append({"role": "user", "content": results})
    assert answer.content[0].text == "42 and 48."
    assert [tool["name"] for tool in fake_model.asked[0]["tools"]] == ["code_execution", "bash"]
    told = fake_model.asked[1]["messages"][2]["content"]
    assert [block["content"][0]["text"].split("\n")[1] for block in told] == ["42", "48"]


def test_a_bash_is_restarted_without_a_call(sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    block: Any = handle_code_execution_tool_use(_tool_use({"restart": True}, "bash"), sandbox)
    assert not block["is_error"]
    assert "fresh bash" in _text(block)
    assert len(received) == 1  # the create call only


def test_long_output_is_cut_at_a_limit(podflare_sandbox: Sandbox) -> None:
    asked = _tool_use({"code": "print('x' * 1000)"})
    assert "900 characters cut" in _text(
        handle_code_execution_tool_use(asked, podflare_sandbox, max_output=100)
    )
    assert "cut" not in _text(handle_code_execution_tool_use(asked, podflare_sandbox))


@SLOW
def test_code_that_takes_too_long_is_an_error_for_the_model(podflare_sandbox: Sandbox) -> None:
    block: Any = handle_code_execution_tool_use(_tool_use({"code": SLEEPS}), podflare_sandbox, timeout=LIMIT)
    assert block["is_error"]
    assert f"within {LIMIT} seconds" in _text(block)


async def _is_stopped(sandbox: AsyncSandbox) -> str:
    await async_handle_code_execution_tool_use(_tool_use({"code": "kept = 41"}), sandbox)
    sleeps = async_handle_code_execution_tool_use(_tool_use({"code": SLEEPS}), sandbox)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(sleeps, LIMIT)
    return _text(await async_handle_code_execution_tool_use(_tool_use({"code": AFTERWARDS}), sandbox))


@SLOW
def test_a_cancelled_call_stops_the_code(podflare_async_sandbox: AsyncSandbox) -> None:
    assert STOPPED in asyncio.run(_is_stopped(podflare_async_sandbox))


class TestTextEditor:
    @pytest.fixture
    def edit(self, podflare_sandbox: Sandbox) -> Callable[..., tuple[str, bool]]:
        def edit(command: str, **fields: Any) -> tuple[str, bool]:
            asked = _tool_use({"command": command, **fields}, TEXT_EDITOR_TOOL["name"])
            block: Any = handle_code_execution_tool_use(asked, podflare_sandbox)
            return _text(block), block["is_error"]

        return edit

    def test_a_file_is_created_viewed_and_edited(self, edit: Any, podflare_sandbox: Sandbox) -> None:
        path = "/root/new/primes.txt"
        assert edit("create", path=path, file_text="two\nthree\nseven\n")[1] is False
        assert edit("view", path=path) == ("     1\ttwo\n     2\tthree\n     3\tseven", False)
        assert edit("view", path=path, view_range=[2, -1]) == ("     2\tthree\n     3\tseven", False)
        assert edit("insert", path=path, insert_line=2, insert_text="five")[1] is False
        assert edit("insert", path=path, insert_line=0, insert_text="# primes\n")[1] is False
        assert edit("str_replace", path=path, old_str="seven\n", new_str="7 é \u2028\n")[1] is False
        assert podflare_sandbox.download(path) == "# primes\ntwo\nthree\nfive\n7 é \u2028\n".encode()
        assert (
            podflare_sandbox.run_code("print('path' in globals(), 'view' in globals())").stdout
            == "False False"
        )

    def test_an_insertion_after_a_last_line_without_a_newline(
        self, edit: Any, podflare_sandbox: Sandbox
    ) -> None:
        edit("create", path="/root/a", file_text="one\r\ntwo")
        edit("insert", path="/root/a", insert_line=2, insert_text="three")
        assert podflare_sandbox.download("/root/a") == b"one\r\ntwo\nthree"

    def test_a_directory_is_listed_two_levels_deep(self, edit: Any) -> None:
        edit("create", path="/root/p/a/b/deep.txt", file_text="")
        edit("create", path="/root/p/.hidden", file_text="")
        assert edit("view", path="/root/p") == ("/root/p\n/root/p/a\n/root/p/a/b", False)

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"command": "view", "path": "/root/missing"}, "FileNotFoundError"),
            ({"command": "view", "path": "/root/a", "view_range": [2, 9]}, "lines 1 to 3"),
            (
                {"command": "str_replace", "path": "/root/a", "old_str": "x", "new_str": "y"},
                "appears 2 times",
            ),
            (
                {"command": "str_replace", "path": "/root/a", "old_str": "z", "new_str": "y"},
                "does not appear",
            ),
            ({"command": "insert", "path": "/root/a", "insert_line": 7, "insert_text": "y"}, "from 0 to 3"),
        ],
    )
    def test_what_cannot_be_done_is_told_to_the_model(
        self, edit: Any, podflare_sandbox: Sandbox, fields: dict[str, Any], told: str
    ) -> None:
        edit("create", path="/root/a", file_text="x\nx\nw\n")
        text, is_error = edit(**fields)
        assert is_error
        assert told in text
        assert "Traceback" not in text
        assert podflare_sandbox.download("/root/a") == b"x\nx\nw\n"
