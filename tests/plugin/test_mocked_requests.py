"""Tools that mock httpx answer for everybody but the emulator: the usual way to fake a model beside a sandbox."""

from __future__ import annotations

import pytest

from ..matrix import SLOW
from .published import has_published, run_with_the_published_client

_USE = """
def use(sandbox, emulator):
    from podflare import Sandbox

    assert sandbox.run_code("print(1)").stdout == "1"
    with Sandbox() as parent:
        (child,) = parent.fork()
        assert child.run_code("print(2)").stdout == "2"
        child.close()
    assert len(emulator.forks) == 1
"""

# Of ours: the vendor's client has no asynchronous one.
_ASYNC_USE = """
def use_async():
    import asyncio
    from podflare import AsyncSandbox

    async def run():
        async with AsyncSandbox() as sandbox:
            return (await sandbox.run_code("print(1)")).stdout

    assert asyncio.run(run()) == "1"
"""

_ASYNC = {
    "respx": """
def test_asynchronous(respx_mock, podflare_emulator):
    respx_mock.get("https://model.example/").respond(text="said")
    assert httpx.get("https://model.example/").text == "said"
    use_async()
""",
    "pytest-httpx": """
def test_asynchronous(httpx_mock, podflare_emulator):
    use_async()
    assert len(httpx_mock.get_requests()) == 0
""",
    "vcr": """
def test_asynchronous(podflare_emulator, tmp_path):
    with vcr.use_cassette(str(tmp_path / "cassette.yaml"), record_mode="none") as cassette:
        use_async()
    assert len(cassette) == 0
""",
}

_RESPX = """
import httpx, pytest, respx

def test_fixture_first(respx_mock, podflare_sandbox, podflare_emulator):
    respx_mock.get("https://model.example/").respond(text="said")
    assert httpx.get("https://model.example/").text == "said"
    use(podflare_sandbox, podflare_emulator)
    with pytest.raises(respx.models.AllMockedAssertionError):
        httpx.get("https://other.example/")

def test_sandbox_first(podflare_sandbox, podflare_emulator, respx_mock):
    use(podflare_sandbox, podflare_emulator)

@respx.mock
def test_decorator(podflare_sandbox, podflare_emulator):
    respx.get("https://model.example/").respond(text="said")
    assert httpx.get("https://model.example/").text == "said"
    use(podflare_sandbox, podflare_emulator)

@pytest.mark.respx(using="httpx")
def test_httpx_itself(respx_mock, podflare_sandbox, podflare_emulator):
    use(podflare_sandbox, podflare_emulator)
"""

_PYTEST_HTTPX = """
import httpx, pytest

def test_mocked(httpx_mock, podflare_sandbox, podflare_emulator):
    httpx_mock.add_response(url="https://model.example/", text="said")
    assert httpx.get("https://model.example/").text == "said"
    use(podflare_sandbox, podflare_emulator)
    assert len(httpx_mock.get_requests()) == 1

def test_sandbox_first(podflare_sandbox, podflare_emulator, httpx_mock):
    use(podflare_sandbox, podflare_emulator)
"""

_VCR = """
import httpx, pytest, vcr

@pytest.mark.vcr
@pytest.mark.block_network(allowed_hosts=['127.0.0.1'])
def test_recorded(podflare_sandbox, podflare_emulator):
    use(podflare_sandbox, podflare_emulator)

def test_cassette(podflare_sandbox, podflare_emulator, tmp_path):
    with vcr.use_cassette(str(tmp_path / "cassette.yaml"), record_mode="none") as cassette:
        use(podflare_sandbox, podflare_emulator)
        with pytest.raises(Exception, match="cassette"):
            httpx.get(podflare_emulator.url + "/v1/healthz")
    assert len(cassette) == 0
"""

_TOOLS = {
    "respx": ("respx", _RESPX),
    "pytest-httpx": ("pytest_httpx", _PYTEST_HTTPX),
    "vcr": ("pytest_recording", _VCR),
}


@SLOW
@pytest.mark.beside("respx", "pytest_httpx", "recording")
@pytest.mark.parametrize("tool", _TOOLS)
def test_a_mock_leaves_the_emulator_alone(pytester: pytest.Pytester, tool: str) -> None:
    tests = _TOOLS[tool][1] + _ASYNC[tool]
    pytester.makepyfile(_USE + _ASYNC_USE + tests)
    result = pytester.runpytest_subprocess("--podflare-leaks=error")
    result.assert_outcomes(passed=tests.count("def test_"))


@SLOW
@pytest.mark.parametrize("tool", _TOOLS)
def test_a_mock_leaves_the_published_client_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    module, tests = _TOOLS[tool]
    if not has_published(module):
        pytest.skip(f"{module} is not installed beside the published client")
    assert " passed" in run_with_the_published_client(pytester, monkeypatch, _USE + tests)


@pytest.mark.beside("recording")
def test_a_threads_server_is_controlled_past_a_cassette(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_USE + _VCR)
    pytester.runpytest_subprocess("--podflare-server=thread").assert_outcomes(passed=2)
