from types import SimpleNamespace

from podflare.integrations.anthropic import handle_code_execution_tool_use


def answer(message, sandbox):
    """The next message of the conversation: what came of each piece of code that the model wanted run."""
    results = [
        handle_code_execution_tool_use(block, sandbox)
        for block in message.content
        if block.type == "tool_use"
    ]
    return {"role": "user", "content": results}


def test_the_model_gets_what_its_code_printed(podflare_sandbox):
    block = SimpleNamespace(
        type="tool_use", id="toolu_1", name="code_execution", input={"code": "print(6 * 7)"}
    )
    said = answer(SimpleNamespace(content=[block]), podflare_sandbox)
    assert said["content"][0]["tool_use_id"] == "toolu_1"
    assert "42" in str(said["content"][0]["content"])
