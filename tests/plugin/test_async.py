"""The fixtures of async tests, under each plugin that runs such tests."""

from __future__ import annotations

import pytest

from ..matrix import SLOW

_TESTS = """
import asyncio
import pytest

{mark}
async def test_a_sandbox(podflare_async_sandbox):
    assert (await podflare_async_sandbox.run_code("print(6 * 7)")).stdout == "42"
    events = [event.data async for event in podflare_async_sandbox.run_code_stream("print(1)")]
    assert events == ["1", 0]
    (child,) = await podflare_async_sandbox.fork()
    async with child:
        await child.upload(b"data", "/root/data")
        assert (await podflare_async_sandbox.diff(child))["added"] == ["/root/data"]

{mark}
async def test_a_client(podflare_async_client, podflare_emulator):
    from podflare import AsyncSandbox
    async with AsyncSandbox(client=podflare_async_client) as sandbox, AsyncSandbox() as other:
        await asyncio.sleep(0)
        await asyncio.gather(sandbox.run_code("1"), other.run_code("1"))
    assert len(podflare_emulator.execs()) == 2

{mark}
async def test_it_may_be_destroyed(podflare_async_sandbox):
    await podflare_async_sandbox.close()
"""


@SLOW
@pytest.mark.parametrize(
    ("mark", "options"),
    [
        pytest.param(
            "@pytest.mark.anyio\n@pytest.mark.parametrize('anyio_backend', ['asyncio'])",
            # Where all plugins are loaded, its setting is unknown without it.
            ["-p", "no:asyncio", "-W", "ignore:Unknown config option:pytest.PytestConfigWarning"],
            marks=pytest.mark.beside("anyio"),
            id="anyio",
        ),
        pytest.param(
            "@pytest.mark.asyncio",
            ["--asyncio-mode=strict"],
            marks=pytest.mark.beside("asyncio"),
            id="pytest-asyncio strict",
        ),
        pytest.param(
            "", ["--asyncio-mode=auto"], marks=pytest.mark.beside("asyncio"), id="pytest-asyncio auto"
        ),
    ],
)
def test_async_tests(pytester: pytest.Pytester, mark: str, options: list[str]) -> None:
    pytester.makepyfile(_TESTS.format(mark=mark))
    arguments = ["-W", "error", "--podflare-leaks=error", "-p", "no:randomly", *options]
    pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=3)


@SLOW
def test_without_any_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio

        def test_two_loops(podflare_async_sandbox):
            assert asyncio.run(podflare_async_sandbox.run_code("print(1)")).stdout == "1"
            assert asyncio.run(podflare_async_sandbox.run_code("print(2)")).stdout == "2"
        """
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)


def test_a_leak_of_an_async_sandbox_is_told_where_it_was_made(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio

        def test_it(podflare_emulator):
            from podflare import AsyncSandbox

            async def leak():
                sandbox = await AsyncSandbox()  # line 7
                async with AsyncSandbox():
                    await AsyncSandbox().close()
                await sandbox._shared_client.client.close()

            asyncio.run(leak())
        """
    )
    result = pytester.runpytest_subprocess("--podflare-leaks=error")
    result.stdout.fnmatch_lines(["*1 sandbox(es) left open*", "*made at *test_a_leak*.py:7"])
