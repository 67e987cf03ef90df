import httpx

from podflare import Sandbox


def agent(question):
    """The program under test: a model writes code, a sandbox runs it."""
    code = httpx.post("https://model.example/v1/complete", json={"prompt": question}).json()["code"]
    with Sandbox() as sandbox:
        return sandbox.run_code(code).stdout


def test_the_models_code_is_run(podflare_emulator, respx_mock):
    respx_mock.post("https://model.example/v1/complete").respond(json={"code": "print(6 * 7)"})
    assert agent("What is six times seven?") == "42"


def test_with_pytest_httpx(podflare_emulator, httpx_mock):
    httpx_mock.add_response(url="https://model.example/v1/complete", json={"code": "print(6 * 7)"})
    assert agent("What is six times seven?") == "42"
