"""Tests may freeze time, fake the file system and bend their process; requests are answered all the same."""

from __future__ import annotations

import pytest

_USE = """
def use(sandbox):
    from podflare import Sandbox

    assert sandbox.run_code("print(1)").stdout == "1"
    assert sandbox.run_code("echo 2", language="bash").stdout == "2"
    with Sandbox() as parent:
        parent.upload(b"data", "/root/made/file")
        (child,) = parent.fork()
        assert child.download("/root/made/file") == b"data"
        child.run_code("open('/root/new', 'w').close()")
        assert parent.diff(child)["added"] == ["/root/new"]
        parent.merge_into(child)
"""


def _passes(pytester: pytest.Pytester, test: str, *arguments: str) -> None:
    pytester.makepyfile(use=_USE, test_it=test)
    result = pytester.runpytest_subprocess("-W", "error::pytest.PytestWarning", *arguments)
    result.assert_outcomes(passed=test.count("def test"))


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_freezegun(pytester: pytest.Pytester, loop: str) -> None:
    pytest.importorskip("freezegun")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    else:
        pytester.makeconftest("import sys; sys.modules['uvloop'] = None")
    _passes(
        pytester,
        """
        import time
        from freezegun import freeze_time
        from use import use

        def test_as_a_context(podflare_sandbox):
            with freeze_time("2001-01-01"):
                use(podflare_sandbox)
                year = "import time; print(time.gmtime().tm_year)"
                assert int(podflare_sandbox.run_code(year).stdout) > 2001, "only the test's own time is frozen"
                assert next(podflare_sandbox.run_code_stream("print()")).ts > time.time() * 1000 + 1e9

        @freeze_time("2001-01-01")
        def test_as_a_decorator(podflare_sandbox):
            use(podflare_sandbox)
        """,
    )


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_time_machine(pytester: pytest.Pytester, loop: str) -> None:
    pytest.importorskip("time_machine")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    else:
        pytester.makeconftest("import sys; sys.modules['uvloop'] = None")
    _passes(
        pytester,
        """
        import time_machine
        from use import use

        def test(podflare_sandbox):
            with time_machine.travel(0, tick=False):
                use(podflare_sandbox)
        """,
    )


def test_pyfakefs(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pyfakefs")
    _passes(
        pytester,
        """
        from pathlib import Path
        from use import use

        def test_before(fs, podflare_sandbox):
            use(podflare_sandbox)
            assert not Path("/proc").exists(), "the test has its fake"

        def test_after(podflare_sandbox, fs):
            use(podflare_sandbox)

        def test_around_the_program(fs, podflare_emulator):
            from podflare import Sandbox
            with Sandbox() as sandbox:
                use(sandbox)
        """,
    )


def test_pytest_timeout(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_timeout")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.timeout(3, method="signal", func_only=True)
        def test_endless(podflare_sandbox):
            podflare_sandbox.run_code("while True: pass")

        def test_next(podflare_sandbox):
            assert podflare_sandbox.run_code("print(1)").stdout == "1"
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*Timeout*"])


def test_pytest_randomly(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_randomly")
    _passes(
        pytester,
        """
        import random
        from use import use

        def test_one(podflare_sandbox):
            use(podflare_sandbox)

        def test_two(podflare_sandbox):
            first = podflare_sandbox.run_code("import random; print(random.random())").stdout
            assert first != str(random.random()), "the seed is the test's own"
        """,
        "-p",
        "randomly",
    )


@pytest.mark.parametrize(
    "bend",
    [
        "monkeypatch.setattr(time, 'sleep', None)",
        "monkeypatch.setattr(time, 'monotonic', lambda: 5.0); monkeypatch.setattr(time, 'time', lambda: 5.0)",
        "[monkeypatch.delenv(name) for name in list(os.environ)]",
        "monkeypatch.chdir(tmp_path); tmp_path.rmdir()",
        "monkeypatch.setattr(builtins, 'open', None)",
        "monkeypatch.setattr(subprocess, 'Popen', None)",
        "monkeypatch.setattr(tempfile, 'tempdir', '/no/such/directory')",
    ],
)
def test_monkeypatch(pytester: pytest.Pytester, bend: str) -> None:
    _passes(
        pytester,
        f"""
        import builtins, os, subprocess, tempfile, time
        from podflare import Sandbox
        from use import use

        def test(podflare_sandbox, podflare_emulator, monkeypatch, tmp_path):
            with monkeypatch.context() as monkeypatch:
                {bend}
                monkeypatch.setenv("PODFLARE_HOST", podflare_emulator.url)
                use(podflare_sandbox)
        """,
    )


def test_a_server_in_a_process_survives_what_a_thread_cannot(pytester: pytest.Pytester) -> None:
    _passes(
        pytester,
        """
        import os
        from use import use

        def test(podflare_sandbox, monkeypatch):
            with monkeypatch.context() as monkeypatch:
                for name in ("read", "write", "close"):
                    monkeypatch.setattr(os, name, None)
                use(podflare_sandbox)
        """,
        "--podflare-server=process",
    )
