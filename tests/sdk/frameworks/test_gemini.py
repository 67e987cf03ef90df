"""`podflare.gemini` as a program on google-genai uses it."""

import asyncio
from typing import Any

import pytest

from podflare import AsyncSandbox, NotFoundError, Sandbox
from podflare.gemini import async_run_function_call, podflare_function_declaration, run_function_call

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


def _call(**arguments: Any) -> dict[str, Any]:
    return {"name": "run_code", "args": arguments}


def test_the_response_is_what_was_printed(podflare_sandbox: Sandbox) -> None:
    run_function_call(_call(code="x = 41"), podflare_sandbox)
    answer = run_function_call(_call(code="print(x + 1)", language="python"), podflare_sandbox)
    assert answer == {"stdout": "42", "stderr": "", "exit_code": 0}
    assert run_function_call(_call(code="echo $0; exit 3", language="bash"), podflare_sandbox) == {
        "stdout": "bash",
        "stderr": "",
        "exit_code": 3,
    }


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"name": "run_code", "args": None}, "'code'"),
        (_call(code=5), "'code'"),
        (_call(code="1", language="ruby"), "'ruby'"),
        ({"name": "get_weather", "args": {}}, "'get_weather'"),
    ],
)
def test_what_is_no_code_to_run_is_an_error_for_the_model(
    sandbox: Sandbox, received: list[dict[str, Any]], call: dict[str, Any], told: str
) -> None:
    assert told in run_function_call(call, sandbox)["error"]
    assert told in asyncio.run(async_run_function_call(call, sandbox))["error"]
    assert len(received) == 1  # the create call only


def test_a_sandbox_that_is_gone_is_an_error_for_the_program(
    sandbox: Sandbox, instead: dict[str, Any]
) -> None:
    instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError):
        run_function_call(_call(code="1"), sandbox)


@SLOW
def test_limits_of_time_and_of_output(podflare_sandbox: Sandbox) -> None:
    answer = run_function_call(_call(code="print('x' * 100)"), podflare_sandbox, max_output=10)
    assert "90 characters cut" in answer["stdout"]
    assert run_function_call(_call(code=SLEEPS), podflare_sandbox, timeout=LIMIT)["exit_code"] == 124


@SLOW
def test_a_cancelled_call_stops_the_code(podflare_async_sandbox: AsyncSandbox) -> None:
    async def stop_and_go_on() -> Any:
        await async_run_function_call(_call(code="kept = 41"), podflare_async_sandbox)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(async_run_function_call(_call(code=SLEEPS), podflare_async_sandbox), LIMIT)
        return await async_run_function_call(_call(code=AFTERWARDS), podflare_async_sandbox)

    assert asyncio.run(stop_and_go_on())["stdout"] == STOPPED


def test_a_conversation_with_the_real_client(fake_model: Any, podflare_sandbox: Sandbox) -> None:
    genai = pytest.importorskip("google.genai", reason="the package google-genai is not installed")
    types = genai.types

    def model_says(part: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}

    fake_model.answers = [
        model_says({"functionCall": _call(code="print(6 * 7)")}),
        model_says({"text": "42."}),
    ]
    options = types.HttpOptions(base_url=fake_model.url)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[podflare_function_declaration()])]
    )
    contents = [types.Content(role="user", parts=[types.Part.from_text(text="What is 6 * 7?")])]
    with genai.Client(api_key="k", vertexai=False, http_options=options) as client:
        while True:
            response = client.models.generate_content(model="gemini-x", contents=contents, config=config)
            contents.append(response.candidates[0].content)
            if not response.function_calls:
                break
            parts = [
                types.Part.from_function_response(
                    name=call.name, response=run_function_call(call, podflare_sandbox)
                )
                for call in response.function_calls
            ]
            contents.append(types.Content(role="user", parts=parts))
    assert response.text == "42."
    declared = fake_model.asked[0]["tools"][0]["functionDeclarations"][0]
    assert declared["name"] == "run_code"
    assert declared["parameters"]["required"] == ["code"]
    told = fake_model.asked[1]["contents"][2]["parts"][0]["functionResponse"]["response"]
    assert told["stdout"] == "42"
