"""Tests may freeze time, fake the file system and bend their process; requests are answered all the same."""

from __future__ import annotations

import pytest

from ..matrix import LONG, SLOW, servers

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


@SLOW
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


@pytest.mark.beside("time_machine")
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_time_machine(pytester: pytest.Pytester, loop: str) -> None:
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


@SLOW
@pytest.mark.beside("fakefs")
def test_pyfakefs(pytester: pytest.Pytester) -> None:
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


@SLOW
@pytest.mark.beside("timeout")
def test_pytest_timeout(pytester: pytest.Pytester) -> None:
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


@SLOW
@pytest.mark.beside("randomly")
def test_pytest_randomly(pytester: pytest.Pytester) -> None:
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
    )


_BENDS = (
    "monkeypatch.setattr(time, 'sleep', None)",
    "monkeypatch.setattr(time, 'monotonic', lambda: 5.0); monkeypatch.setattr(time, 'time', lambda: 5.0)",
    "[monkeypatch.delenv(name) for name in list(os.environ)]",
    "monkeypatch.chdir(tmp_path); tmp_path.rmdir()",
    "monkeypatch.setattr(builtins, 'open', None)",
    "monkeypatch.setattr(subprocess, 'Popen', None)",
    "monkeypatch.setattr(tempfile, 'tempdir', '/no/such/directory')",
)


@SLOW
def test_monkeypatch(pytester: pytest.Pytester) -> None:
    _passes(
        pytester,
        """
import builtins, os, subprocess, tempfile, time
from podflare import Sandbox
from use import use
"""
        + "".join(
            f"""
def test_{number}(podflare_sandbox, podflare_emulator, monkeypatch, tmp_path):
    with monkeypatch.context() as monkeypatch:
        {bend}
        monkeypatch.setenv("PODFLARE_HOST", podflare_emulator.url)
        use(podflare_sandbox)
"""
            for number, bend in enumerate(_BENDS)
        ),
    )


@SLOW
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
    )


@SLOW
@pytest.mark.beside("asyncio")
@pytest.mark.parametrize("server", servers())
def test_pytest_asyncio(pytester: pytest.Pytester, server: str) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    _passes(
        pytester,
        """
        import asyncio
        from use import use

        async def test_in_threads(podflare_sandbox, podflare_sandboxes):
            other = podflare_sandboxes()
            await asyncio.gather(asyncio.to_thread(use, podflare_sandbox), asyncio.to_thread(use, other))

        async def test_on_the_loop(podflare_sandbox):
            use(podflare_sandbox)
        """,
        f"--podflare-server={server}",
    )


@SLOW
@pytest.mark.beside("anyio")
def test_anyio(pytester: pytest.Pytester) -> None:
    _passes(
        pytester,
        """
        import anyio, httpx, pytest
        from use import use

        @pytest.mark.anyio
        async def test(podflare_sandbox, podflare_emulator):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, use, podflare_sandbox)
                async with httpx.AsyncClient(base_url=podflare_emulator.url) as client:
                    assert (await client.get("/v1/healthz")).text == "ok"

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """,
    )


@SLOW
@pytest.mark.beside("pytest_cov")
@pytest.mark.parametrize("server", servers())
def test_pytest_cov(pytester: pytest.Pytester, server: str) -> None:
    pytester.makepyfile(
        program="""
        from concurrent.futures import ThreadPoolExecutor
        from podflare import Sandbox

        def score(child):
            return child.run_code("print(1)").stdout

        def run():
            with Sandbox() as parent:
                children = parent.fork(2)
                with ThreadPoolExecutor() as pool:
                    scores = list(pool.map(score, children))
                for child in children:
                    child.close()
            return scores
        """
    )
    pytester.makepyfile(
        """
        from podflare import Sandbox
        from program import run

        INSIDE = "import os, sys; print(sys.gettrace(), [name for name in os.environ if name.startswith('COV')])"

        def test(podflare_emulator):
            assert run() == ["1", "1"]
            with Sandbox() as sandbox:
                assert sandbox.run_code(INSIDE).stdout == "None []"
        """
    )
    result = pytester.runpytest_subprocess("--cov=program", "--cov-branch", f"--podflare-server={server}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["program.py * 100%"])
    assert [path.name for path in pytester.path.glob(".coverage*")] == [".coverage"]


@SLOW
@pytest.mark.beside("socket")
def test_pytest_socket(pytester: pytest.Pytester) -> None:
    _passes(
        pytester,
        """
        import socket
        import pytest
        from pytest_socket import SocketConnectBlockedError
        from use import use

        def test(podflare_sandbox):
            use(podflare_sandbox)
            with pytest.raises(SocketConnectBlockedError):
                socket.create_connection(("192.0.2.1", 80))
        """,
        "--disable-socket",
        "--allow-hosts=127.0.0.1",
    )


_GEVENT = """
import gevent
from podflare import Sandbox
from use import use

def test(podflare_sandbox):
    use(podflare_sandbox)
    children = podflare_sandbox.fork(2)
    jobs = [gevent.spawn(child.run_code, "print(2)") for child in children]
    gevent.joinall(jobs, raise_error=True)
    assert [job.value.stdout for job in jobs] == ["2", "2"]
    for child in children:
        child.close()
"""


@pytest.fixture
def patched_by_gevent(pytester: pytest.Pytester) -> None:
    pytest.importorskip("gevent", reason="gevent is not installed, or has no wheel for this Python")
    pytester.makeconftest(
        """
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of modules that other plugins have imported before
            from gevent import monkey

            monkey.patch_all()
        """
    )


@SLOW
@pytest.mark.usefixtures("patched_by_gevent")
def test_gevents_monkey_patching(pytester: pytest.Pytester) -> None:
    _passes(pytester, _GEVENT)


@SLOW
@pytest.mark.usefixtures("patched_by_gevent")
def test_gevents_green_threads_go_on_while_a_stub_waits_for_its_function(pytester: pytest.Pytester) -> None:
    _passes(
        pytester,
        """
        def test(podflare_emulator, podflare_sandbox):
            podflare_emulator.stub("deploy", answer=lambda call: call.code.upper())
            assert podflare_sandbox.run_code("deploy()").stdout == "DEPLOY()"
        """,
    )


@LONG
@pytest.mark.parametrize(
    ("tool", "patch", "what"),
    [
        ("gevent", "from gevent import monkey; monkey.patch_all()", "threading, socket, *"),
        ("gevent", "from gevent import monkey; monkey.patch_socket()", "socket"),
        ("gevent", "from gevent import monkey; monkey.patch_select()", "select*"),
        ("eventlet", "import eventlet; eventlet.monkey_patch()", "*socket, *"),
        ("eventlet", "import eventlet; eventlet.monkey_patch(socket=True)", "socket"),
    ],
)
def test_green_threads(pytester: pytest.Pytester, tool: str, patch: str, what: str) -> None:
    """By default the server does not notice; a thread would wait for ever, and is refused with the reason."""
    pytest.importorskip(tool, reason=f"{tool} is not installed, or has no wheel for this Python")
    pytester.makeconftest(
        f"""
        import warnings

        import httpcore  # and with it trio, where it is installed, which cannot be imported once eventlet has patched

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            {patch}
        """
    )
    pytester.makepyfile(
        'def test(podflare_sandbox):\n    assert podflare_sandbox.run_code("print(1)").stdout == "1"\n'
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess("--podflare-server=thread")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{tool} has patched {what} in this process*--podflare-server=thread*"])


@SLOW
def test_unittest(pytester: pytest.Pytester) -> None:
    _passes(
        pytester,
        """
        import unittest
        import pytest
        from podflare import Sandbox
        from use import use

        @pytest.mark.usefixtures("podflare_emulator")
        class TestProgram(unittest.TestCase):
            def test_it_reaches_the_emulator(self):
                with Sandbox() as sandbox:
                    use(sandbox)

            @pytest.mark.podflare(files={"/data/x": "1"})
            def test_marker(self):
                with Sandbox() as sandbox:
                    self.assertEqual(sandbox.download("/data/x"), b"1")

        class TestSandbox(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _take(self, podflare_sandbox):
                self.sandbox = podflare_sandbox

            def setUp(self):
                self.sandbox.run_code("x = 1")

            def test_it_is_fresh(self):
                self.assertEqual(self.sandbox.run_code("x += 1; print(x)").stdout, "2")

            def test_it_is_fresh_again(self):
                self.assertEqual(self.sandbox.run_code("x += 1; print(x)").stdout, "2")
        """,
    )


@SLOW
def test_doctest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        program='''
        def answer(question):
            """Asks a sandbox.

            >>> emulator = getfixture("podflare_emulator")
            >>> answer("6 * 7")
            '42'
            >>> getfixture("podflare_sandbox").run_code("print(1)").stdout
            '1'
            """
            from podflare import Sandbox

            with Sandbox() as sandbox:
                return sandbox.run_code(f"print({question})").stdout
        '''
    )
    pytester.runpytest_subprocess("--doctest-modules").assert_outcomes(passed=1)
