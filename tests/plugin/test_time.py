"""A test that moves the clock: its own sandboxes end, what is to outlast it does not; with either client."""

from __future__ import annotations

import pytest

from .. import matrix
from .published import run_with_the_published_client

_A_DAY = """
import pytest
from podflare import Sandbox

@pytest.mark.podflare(clock="manual")
def test_a_day_of_freezes_and_resumes(podflare_emulator):
    clock, begun = podflare_emulator.clock, podflare_emulator.clock.now_ms
    sandbox = Sandbox(persistent=True, idle_timeout_seconds=600)
    sandbox.run_code("hours = 0")
    while clock.now_ms - begun < 24 * 3600 * 1000:
        clock.advance(3600)
        frozen = podflare_emulator.webhooks[-1]
        assert (frozen.type, frozen.sandbox) == ("sandbox.frozen", sandbox.id)
        sandbox.close()
        sandbox = Sandbox.resume(frozen.space, persistent=True, idle_timeout_seconds=600)
        sandbox.run_code("hours += 1")
    assert sandbox.run_code("print(hours)").stdout.strip() == "24"
    sandbox.close()

@pytest.mark.podflare(clock="manual")
def test_lifetimes(podflare_emulator):
    for _ in range(24):
        sandbox = Sandbox(timeout_seconds=1800)
        podflare_emulator.clock.advance(3600)
        sandbox.close()
    assert [one.type for one in podflare_emulator.webhooks] == ["sandbox.created", "sandbox.destroyed"] * 24
"""


@matrix.SLOW
def test_a_day_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_A_DAY)
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


@matrix.SLOW
def test_a_day_passes_with_the_published_client(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "2 passed" in run_with_the_published_client(pytester, monkeypatch, _A_DAY)


@matrix.SLOW
def test_what_outlasts_a_test_outlasts_its_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        pytestmark = pytest.mark.podflare(clock="manual")

        @prepared_sandbox
        def trained(sandbox):
            sandbox.run_code("model = 42")

        @pytest.fixture(scope="module")
        def shared(podflare_emulator_module):
            with Sandbox(timeout_seconds=60) as sandbox:
                yield sandbox

        @pytest.mark.parametrize("time", [1, 2])
        def test_prepared(trained, shared, podflare_emulator, time):
            podflare_emulator.clock.advance(7 * 24 * 3600)
            assert shared.run_code("print(1)").stdout == "1"

        @pytest.mark.podflare(clock="real")
        def test_prepared_again(trained, shared):
            assert trained.run_code("print(model)").stdout == "42"
            assert shared.run_code("print(1)").stdout == "1"
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_a_clock_that_there_is_not_fails_the_test_in_words(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(clock="fast")
        def test_it(podflare_emulator): ...
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*clock: expected real, manual, skipping, got 'fast'*"])


@matrix.SLOW
@pytest.mark.parametrize("server", matrix.servers())
def test_it_moves_while_the_tests_own_clock_is_frozen(pytester: pytest.Pytester, server: str) -> None:
    pytest.importorskip("freezegun")
    pytester.makepyfile(
        """
        from freezegun import freeze_time
        from podflare import Sandbox

        def test_it(podflare_emulator):
            with freeze_time("2020-01-01"):
                sandbox = Sandbox(timeout_seconds=60, persistent=True)
                podflare_emulator.clock.advance(61)
                assert podflare_emulator.webhooks[-1].type == "sandbox.frozen"
                sandbox.close()
                with Sandbox(timeout_seconds=1):
                    while podflare_emulator.webhooks[-1].type != "sandbox.destroyed":
                        pass
        """
    )
    pytester.runpytest_subprocess(f"--podflare-server={server}").assert_outcomes(passed=1)
