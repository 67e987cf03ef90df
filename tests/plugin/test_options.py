"""Command line, environment and ini file; and what a mistake in them says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW


@pytest.fixture
def server() -> Iterator[Emulator]:
    """Stands for the real service."""
    with Emulator(api_keys=("pk_real",), isolation="portable") as emulator:
        yield emulator


def test_the_header_tells_what_a_run_without_options_gets(pytester: pytest.Pytester) -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    expected = f"podflare: emulator *[0-9], isolation: auto, fork: live, Python: {python}"
    pytester.runpytest_subprocess().stdout.fnmatch_lines([expected])


def test_the_header_tells_what_was_chosen(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--podflare-isolation=portable", "--podflare-server=thread")
    result.stdout.fnmatch_lines(["podflare: emulator * in a thread, isolation: portable,*"])


@SLOW
@pytest.mark.beside("xdist")
@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["here", "xdist"])
def test_the_isolation_that_auto_has_taken_is_told_at_the_end(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    pytester.makeconftest(
        """
        from podflare_emulator.hosting.machine.refusal import Refusal
        from pytest_podflare.targets.emulator import SessionEmulator

        def start(self, start=SessionEmulator.start):
            start(self)
            self.isolation, self.refusals = "portable", (Refusal("namespace", "no user namespaces"),)

        SessionEmulator.start = start
        """
    )
    pytester.makepyfile("def test(podflare_emulator): ...")
    result = pytester.runpytest_subprocess(*arguments)
    result.stdout.fnmatch_lines(
        ["podflare: isolation: portable (better ones are not available: namespace: no user namespaces)"]
    )
    result = pytester.runpytest_subprocess("--podflare-isolation=portable", *arguments)
    result.stdout.no_fnmatch_line("podflare: isolation:*")


@SLOW
def test_the_emulator_runs_as_the_options_say(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test(podflare_emulator):
            assert podflare_emulator.isolation == "portable"
        """
    )
    pytester.runpytest_subprocess(
        "--podflare-isolation=portable", f"--podflare-python={sys.executable}"
    ).assert_outcomes(passed=1)


@SLOW
def test_the_fork_engine_can_be_chosen(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test(podflare_emulator, podflare_sandbox):
            assert podflare_emulator.settings.fork == "replay"
            podflare_sandbox.run_code("x = object(); number = id(x)")
            (child,) = podflare_sandbox.fork()
            assert child.run_code("print(type(x).__name__)").stdout == "object"
            child.close()
        """
    )
    result = pytester.runpytest_subprocess("--podflare-fork=replay", "--podflare-isolation=portable")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["podflare: *, isolation: portable, fork: replay, *"])


@SLOW
def test_the_seed_can_be_given(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test(podflare_emulator): assert podflare_emulator.settings.seed == 7")
    pytester.makeini("[pytest]\npodflare_isolation = portable\npodflare_seed = 7")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@SLOW
@pytest.mark.parametrize(
    ("table", "seed", "egress"),
    [
        ("tool.pytest", "7", "false"),
        ("tool.pytest", '"7"', '"no"'),
        ("tool.pytest.ini_options", "7", "false"),
        ("tool.pytest.ini_options", '"7"', '"off"'),
    ],
)
def test_a_file_that_has_types_may_use_them(
    pytester: pytest.Pytester, table: str, seed: str, egress: str
) -> None:
    if table == "tool.pytest" and pytest.version_tuple < (9,):
        pytest.skip("pytest reads [tool.pytest] from 9 on")
    pytester.makepyfile(
        """
        def test(pytestconfig):
            from pytest_podflare import options
            chosen = options.read(pytestconfig)
            assert (chosen.seed, chosen.egress) == (7, False)
        """
    )
    pytester.makepyprojecttoml(f"[{table}]\npodflare_seed = {seed}\npodflare_egress = {egress}")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize("egress", ["False", "off", "0", "NO"])
def test_no_is_written_as_pytest_lets_it_be_written(pytester: pytest.Pytester, egress: str) -> None:
    pytester.makepyfile(
        """
        def test(pytestconfig):
            from pytest_podflare import options
            assert not options.read(pytestconfig).egress
        """
    )
    pytester.makeini(f"[pytest]\npodflare_egress = {egress}")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_type_that_cannot_be_meant_is_refused(pytester: pytest.Pytester) -> None:
    if pytest.version_tuple < (9,):
        pytest.skip("pytest reads [tool.pytest] from 9 on")
    pytester.makepyprojecttoml("[tool.pytest]\npodflare_seed = [7]")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*podflare_seed in *pyproject.toml: expected a string, got [[]7]*"])


@SLOW
def test_the_profile_can_be_given(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test(podflare_emulator): assert podflare_emulator.settings.profile == 'hosted'")
    result = pytester.runpytest_subprocess("--podflare-profile=hosted", "--podflare-isolation=portable")
    result.assert_outcomes(passed=1)


@SLOW
def test_command_line_wins_over_environment_and_environment_over_ini_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\npodflare_server = thread\npodflare_isolation = portable")
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["podflare: * in a thread, isolation: portable,*"])
    monkeypatch.setenv("PODFLARE_TEST_SERVER", "process")
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["podflare: emulator *[0-9], isolation: portable,*"])
    result = pytester.runpytest_subprocess("--podflare-server=thread")
    result.stdout.fnmatch_lines(["podflare: * in a thread, *"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--podflare-server=fork"], "*--podflare-server: expected process or thread, got 'fork'*"),
        (["--podflare-isolation=docker"], "*--podflare-isolation: *expected auto, *portable, got 'docker'*"),
        (["--podflare-python=/no/python"], "*--podflare-python: *no executable file '/no/python'*"),
        (["--podflare-python="], "*--podflare-python: expected PATH, got ''*"),
        (["--podflare-fork=copy"], "*--podflare-fork: expected live or replay, got 'copy'*"),
        (["--podflare-egress=never"], "*--podflare-egress: expected yes or no, got 'never'*"),
        (["--podflare-network=none"], "*--podflare-network: *expected auto, private or host, got 'none'*"),
        (["--podflare-profile=cloud"], "*--podflare-profile: expected local or hosted, got 'cloud'*"),
        (["--podflare-seed=one"], "*--podflare-seed: *expected a whole number from 0, such as 7, got 'one'*"),
        (["--podflare-seed=-1"], "*--podflare-seed: *expected a whole number from 0, such as 7, got '-1'*"),
        (["--podflare-log=all"], "*--podflare-log: expected off, error, warning or info, got 'all'*"),
        (["--podflare-url=localhost:7070"], "*--podflare-url: expected a server's URL such as http*"),
        (["--podflare-url=http://[::1"], "*--podflare-url: expected a server's URL such as http*"),
        (["--podflare-url=http://127.0.0.1:70700"], "*--podflare-url: expected a server's URL such as http*"),
        (["--podflare-url=https://api.example"], "*needs a key: set *PODFLARE_API_KEY, or name*"),
        (
            ["--podflare-url=http://127.0.0.1:1", "--podflare-api-key-env=STAGING_KEY"],
            "*needs a key: set the environment variable STAGING_KEY*",
        ),
        (["--podflare-api-key-env=KEY"], "*--podflare-api-key-env: * give --podflare-url URL too*"),
    ],
)
def test_a_mistake_ends_the_run_at_once_and_says_what_to_write(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.delenv("PODFLARE_API_KEY", raising=False)
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert len(result.stderr.lines) <= 2


def test_the_keys_variable_may_stand_in_the_ini_file_for_runs_with_a_url(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npodflare_api_key_env = STAGING_KEY")
    pytester.makepyfile("def test(): ...")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess("--podflare-url=http://127.0.0.1:1")
    result.stderr.fnmatch_lines(["*needs a key: set the environment variable STAGING_KEY*"])


def test_a_mistake_in_the_ini_file_names_the_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npodflare_server = fork")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*podflare_server in *tox.ini: expected process or thread, got 'fork'*"])


@SLOW
def test_with_a_url_sandboxes_are_made_there_and_the_emulators_tests_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: Emulator
) -> None:
    monkeypatch.setenv("REAL_KEY", "pk_real")
    pytester.makepyfile(
        """
        from podflare import Sandbox

        def test_fixture(podflare_sandbox):
            assert podflare_sandbox.run_code("print(1)").stdout == "1"
            with Sandbox() as another:
                assert another.run_code("print(2)").stdout == "2"

        def test_emulator(podflare_emulator): ...
        """
    )
    result = pytester.runpytest_subprocess(
        f"--podflare-url={server.url}", "--podflare-api-key-env=REAL_KEY", "-rs"
    )
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines([f"podflare: {server.url}", "SKIPPED*only the emulator can do this*"])
    assert server.reset() == [], "every sandbox was closed"


@SLOW
def test_an_interpreter_that_does_not_start_is_reported_in_one_piece(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho cannot run >&2; exit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    pytester.makepyfile("def test(podflare_sandbox): ...")
    result = pytester.runpytest_subprocess(f"--podflare-python={broken}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the Podflare emulator cannot start: *cannot run*", "*doctor*"])
