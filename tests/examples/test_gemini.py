from podflare.gemini import podflare_function_declaration, run_function_call


def responses(function_calls, sandbox):
    """For `types.Part.from_function_response(name=call.name, response=...)`, one a call."""
    return [run_function_call(call, sandbox, timeout=30) for call in function_calls]


def test_the_model_gets_what_its_code_printed(podflare_sandbox):
    assert podflare_function_declaration()["name"] == "run_code"  # for Tool(function_declarations=[...])
    calls = [{"name": "run_code", "args": {"code": "print(6 * 7)"}}]
    assert responses(calls, podflare_sandbox) == [{"stdout": "42", "stderr": "", "exit_code": 0}]
