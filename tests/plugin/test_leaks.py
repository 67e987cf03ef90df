"""A test that leaves a sandbox open is told which, and where it was made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW, servers

_LEAKING = """
from podflare import Sandbox

def test(podflare_sandbox):
    with Sandbox() as closed:
        winner, loser = closed.fork(2)
        closed.merge_into(winner)
    left = Sandbox()
    print("left open:", left.id)
"""


@pytest.fixture
def leaking(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_it=_LEAKING)
    return pytester


@SLOW
def test_a_warning_of_the_sdks_points_at_the_test_though_its_sandboxes_are_watched(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest
        from podflare import Sandbox, ThreadsLeftBehindWarning
        from podflare_emulator.handle.clients.origins import Origins

        STARTS = "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"

        def test(podflare_sandbox):
            podflare_sandbox.run_code(STARTS)
            with pytest.warns(ThreadsLeftBehindWarning) as caught, Origins().recording(Sandbox):
                for child in podflare_sandbox.fork(2):
                    child.close()
            assert caught[0].filename == __file__
        """
    )
    pytester.runpytest_subprocess("--podflare-leaks=error").assert_outcomes(passed=1)


@SLOW
@pytest.mark.parametrize("server", servers())
def test_by_default_each_is_a_warning_that_points_at_its_making(
    leaking: pytest.Pytester, server: str
) -> None:
    result = leaking.runpytest_subprocess("-rP", f"--podflare-server={server}")
    result.assert_outcomes(passed=1, warnings=2)
    left = next(line for line in result.outlines if line.startswith("left open:")).split()[-1]
    result.stdout.fnmatch_lines(
        [
            "*test_it.py:5: SandboxLeakWarning: sandbox sbx_* was left open, made at test_it.py:5;*",
            f"*test_it.py:7: SandboxLeakWarning: sandbox {left} was left open, made at test_it.py:7;*",
        ]
    )


@SLOW
def test_as_an_error_they_fail_the_teardown_in_one_list(leaking: pytest.Pytester) -> None:
    result = leaking.runpytest_subprocess("--podflare-leaks=error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "2 sandbox(es) left open; close them*",
            "  sbx_*, made at test_it.py:5",
            "  sbx_*, made at test_it.py:7",
        ]
    )


@SLOW
def test_they_can_be_ignored(leaking: pytest.Pytester) -> None:
    leaking.makeini("[pytest]\npodflare_leaks = ignore\nfilterwarnings = error::pytest.PytestWarning")
    leaking.makepyfile(test_it=_LEAKING + "    left._shared_client.client.close()\n")
    leaking.runpytest_subprocess().assert_outcomes(passed=1)


def test_one_that_another_program_made_is_told_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from urllib.request import Request, urlopen

        def test(podflare_emulator):
            url = podflare_emulator.url + "/v1/sandboxes"
            urlopen(Request(url, b"{}", {"Content-Type": "application/json"}))
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*was left open, made by a separate program*"])


@pytest.fixture(scope="module")
def real_server() -> Iterator[Emulator]:
    with Emulator(api_keys=("pk_real",), isolation="portable") as emulator:
        yield emulator


@pytest.fixture
def real(real_server: Emulator) -> Iterator[Emulator]:
    """Stands for a real API."""
    yield real_server
    real_server.reset()


@SLOW
@pytest.mark.parametrize("policy", ["warn", "error", "ignore"])
def test_on_a_real_api_they_are_destroyed_and_told_too(
    leaking: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, real: Emulator, policy: str
) -> None:
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_real")
    result = leaking.runpytest_subprocess("-rP", f"--podflare-url={real.url}", f"--podflare-leaks={policy}")
    assert real.reset() == []
    if policy == "ignore":
        result.assert_outcomes(passed=1)
    elif policy == "error":
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(
            ["2 sandbox(es) left open;*", "  sbx_*, made at test_it.py:5", "  sbx_*, made at test_it.py:7"]
        )
    else:
        result.assert_outcomes(passed=1, warnings=2)
        result.stdout.fnmatch_lines(["*test_it.py:5: SandboxLeakWarning: sandbox sbx_* was left open,*"])


@SLOW
def test_on_a_real_api_what_is_closed_prepared_or_gone_is_no_leak(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, real: Emulator
) -> None:
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_real")
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox
        def prepared(sandbox):
            sandbox.run_code("x = 1")

        @pytest.mark.parametrize("number", range(2))
        def test(prepared, podflare_sandboxes, number):
            podflare_sandboxes().fork()[0].close()
            parent = Sandbox()
            parent.merge_into(winner=parent.fork()[0])
            parent.close()
            assert prepared.run_code("print(x)").stdout == "1"
        """
    )
    pytester.runpytest_subprocess(f"--podflare-url={real.url}", "--podflare-leaks=error").assert_outcomes(
        passed=2
    )
    assert real.reset() == []


@SLOW
def test_on_a_real_api_a_wider_fixture_keeps_its_own_though_a_test_asks_for_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, real: Emulator
) -> None:
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_real")
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        @pytest.fixture(scope="module")
        def helper():
            with Sandbox() as helper:
                yield helper

        @pytest.fixture(scope="class")
        def forked(helper):
            (child,) = helper.fork()
            with child:
                yield child

        @prepared_sandbox(scope="module")
        def prepared(sandbox, helper):
            helper.run_code("x = 1")

        class Test:
            @pytest.mark.parametrize("number", range(2))
            def test(self, prepared, request, number):
                for name in ("helper", "forked"):
                    assert request.getfixturevalue(name).run_code("print(x)").stdout == "1"
        """
    )
    pytester.runpytest_subprocess(
        "-p", "no:randomly", f"--podflare-url={real.url}", "--podflare-leaks=error"
    ).assert_outcomes(passed=2)
    assert real.reset() == []


@SLOW
def test_one_that_cannot_be_destroyed_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, real: Emulator
) -> None:
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_real")
    pytester.makepyfile(
        """
        import httpx
        from podflare import Sandbox

        def test(monkeypatch, podflare_client):
            Sandbox()
            answer = httpx.Response(503, request=httpx.Request("DELETE", podflare_client.host))
            monkeypatch.setattr(httpx, "delete", lambda url, headers: answer)
        """
    )
    result = pytester.runpytest_subprocess(f"--podflare-url={real.url}")
    result.stdout.fnmatch_lines(
        ["*SandboxLeakWarning: sandbox sbx_* left open and could not be destroyed: *503*"]
    )


_TOOLS = """
import asyncio, pytest
from podflare.integrations.openai_agents import podflare_code_interpreter
from podflare.langchain import PodflareTool

AGENT = PodflareTool()  # as a program's agent has it, at the top of a module

@pytest.fixture(scope="module")
def loaded(podflare_emulator_module):
    tool = PodflareTool()
    tool.invoke({"code": "data = 5"})
    return tool

@pytest.mark.parametrize("again", [1, 2])
def test_each_test_finds_a_fresh_sandbox(again, podflare_sandbox):
    assert AGENT.invoke({"code": "print('x' in globals()); x = 1"}) == "stdout:\\nFalse\\nstderr:\\n\\nexit_code: 0"

@pytest.mark.parametrize("again", [1, 2])
def test_one_of_a_wider_scope_stays(again, loaded, podflare_emulator):
    assert "5" in loaded.invoke({"code": "print(data)"})

@pytest.mark.podflare(faults={"destroy": 500})
def test_a_fault_does_not_keep_it_open(podflare_emulator):
    AGENT.invoke({"code": "x = 1"})
"""


@SLOW
@pytest.mark.parametrize("target", ["emulator", "url"])
def test_what_a_tool_of_an_agent_has_made_for_itself_is_no_leak(
    pytester: pytest.Pytester, target: str
) -> None:
    pytest.importorskip("langchain_core", reason="the package langchain-core is not installed")
    pytester.makepyfile(test_it=_TOOLS)
    if target == "emulator":
        pytester.runpytest_subprocess("--podflare-leaks=error").assert_outcomes(passed=5)
        return
    with Emulator() as service:
        result = pytester.runpytest_subprocess(
            "--podflare-leaks=error", f"--podflare-url={service.url}", "-k", "fresh"
        )
        result.assert_outcomes(passed=2, deselected=3)
        assert {life.state for life in service.tree().sandboxes} == {"closed"}
