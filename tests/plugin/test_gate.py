"""With the plugin, no `podflare` client of any kind reaches the service unless it is told to."""

from __future__ import annotations

import pytest

from ..matrix import SLOW
from .published import run_with_the_published_client

# A name that resolves nowhere: where there is no guard, these tests fail, and nothing is reached.
_ELSEWHERE = "podflare.invalid"

_OURS = f"""
import pytest
from podflare import Client, Sandbox

def test_alone():
    Sandbox(host="https://{_ELSEWHERE}")

def test_beside_a_fixture(podflare_emulator):
    with Client(host="https://{_ELSEWHERE}") as client:
        Sandbox(client=client)

@pytest.fixture(scope="module")
def box():
    return Sandbox(host="https://{_ELSEWHERE}")

def test_wider(podflare_emulator, box): ...
"""


@SLOW
def test_a_client_that_is_sent_elsewhere_is_stopped_with_the_host_and_the_fixture_to_use(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_it=_OURS)
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(failed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            f"a podflare client wants to connect to {_ELSEWHERE}, at test_it.py:13, but tests may reach only *",
            "*let the fixture 'box', which is of scope module, ask for podflare_emulator_module.*",
            f"a podflare client wants to connect to {_ELSEWHERE}, at test_it.py:5, but tests may reach only *",
            "*let the test ask for podflare_emulator or podflare_sandbox, *podflare_emulator_class, *",
            f"*--podflare-allow-hosts={_ELSEWHERE}; to test against a real API: --podflare-url",
            f"a podflare client wants to connect to {_ELSEWHERE}, at test_it.py:9,*",
        ]
    )


def test_a_program_that_catches_every_exception_does_not_hide_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        from podflare import Sandbox

        def test():
            try:
                Sandbox(host="https://{_ELSEWHERE}")
            except Exception:
                pass
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(failed=1)


@SLOW
def test_one_that_a_conftest_makes_before_all_else_is_stopped_too(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(f"from podflare import Client; client = Client(host='https://{_ELSEWHERE}')")
    pytester.makepyfile(
        """
        from conftest import client
        from podflare import Sandbox

        def test(podflare_emulator):
            Sandbox(client=client)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"a podflare client wants to connect to {_ELSEWHERE}*"])


@SLOW
@pytest.mark.parametrize("hosts", ["other.example, podflare.invalid", "*"])
def test_an_option_lets_it_through(pytester: pytest.Pytester, hosts: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        from podflare import APIConnectionError, Sandbox

        def test():
            with pytest.raises(APIConnectionError, match="cannot connect"):
                Sandbox(host="https://{_ELSEWHERE}")
        """
    )
    pytester.runpytest_subprocess(f"--podflare-allow-hosts={hosts}").assert_outcomes(passed=1)


@SLOW
def test_a_server_of_this_machine_and_other_clients_of_httpx_are_no_concern_of_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        f"""
        import httpx, podflare, pytest
        from podflare_emulator import Emulator

        def test_another_emulator():
            with Emulator(isolation="portable") as emulator, podflare.Sandbox(host=emulator.url) as sandbox:
                assert sandbox.run_code("print(1)").stdout == "1"

        def test_httpx():
            with pytest.raises(httpx.ConnectError):
                httpx.get("http://{_ELSEWHERE}")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


_PUBLISHED = """
import pytest
from podflare import Sandbox

def refused(make):
    with pytest.raises(BaseException) as raised:
        make()
    assert raised.type is pytest.fail.Exception, raised.value
    assert "wants to connect to api.podflare.ai" in str(raised.value)
    return str(raised.value)

@pytest.fixture(scope="module")
def unwise():
    return refused(Sandbox)

@pytest.fixture(scope="module")
def box(podflare_emulator_module):
    box = Sandbox()
    box.run_code("x = 1")
    yield box
    box.close()

def test_alone():
    refused(Sandbox)

def test_wider(podflare_emulator, unwise):
    assert "'unwise', which is of scope module, ask for podflare_emulator_module" in unwise

def test_told_elsewhere(podflare_emulator):
    refused(lambda: Sandbox(host="https://api.podflare.ai"))

def test_wide(box):
    assert box.run_code("print(x); x += 1").stdout == "1"

def test_wide_beside_its_own(box, podflare_sandbox):
    assert box.run_code("print(x)").stdout == "2"
"""


@SLOW
def test_the_published_client_is_stopped_and_brought_like_ours(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "5 passed" in run_with_the_published_client(pytester, monkeypatch, _PUBLISHED)
