"""What tests do to their process, as people report it of other emulators and fixtures: the sandboxes answer."""

from __future__ import annotations

import pytest

from ..matrix import LONG

pytestmark = LONG


_TESTS = {
    "environment": """
        import os
        import pytest
        from unittest.mock import patch
        from podflare import Sandbox

        @pytest.fixture(scope="session", autouse=True)
        def cleared():
            with patch.dict(os.environ, {}, clear=True):
                yield

        @patch.dict(os.environ, {"PODFLARE_API_KEY": "real"}, clear=True)
        def test_decorated(podflare_sandbox):
            assert podflare_sandbox.run_code("print(1)").stdout == "1"

        def test_cleared(podflare_emulator):
            with Sandbox() as sandbox:
                assert sandbox.run_code("print(1)").stdout == "1"
        """,
    "modules": """
        import importlib, sys
        from unittest.mock import patch

        def use():
            from podflare import Sandbox
            with Sandbox() as sandbox:
                assert sandbox.run_code("print(1)").stdout == "1"

        def test_reloaded(podflare_emulator):
            import podflare
            importlib.reload(podflare)
            use()

        def test_purged(podflare_emulator):
            with patch.dict(sys.modules):
                for name in [name for name in sys.modules if name.partition(".")[0] == "podflare"]:
                    del sys.modules[name]
                use()

        def test_after(podflare_emulator):
            use()
        """,
    "signals and limits": """
        import os, resource, signal, socket
        from contextlib import suppress
        import pytest

        @pytest.fixture(autouse=True)
        def used(podflare_sandbox, podflare_emulator):
            yield
            podflare_emulator.execs()

        def use(sandbox):
            for _ in range(10):
                assert sandbox.run_code("import time; time.sleep(.01); print(1)").stdout == "1"

        def test_interrupted_system_calls(podflare_sandbox):
            before = signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            try:
                use(podflare_sandbox)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)

        def test_a_default_timeout_of_sockets(podflare_sandbox, podflare_emulator):
            socket.setdefaulttimeout(0.0001)
            try:
                use(podflare_sandbox)
                podflare_emulator.execs()
            finally:
                socket.setdefaulttimeout(None)

        def test_children_that_nobody_waits_for(podflare_sandbox):
            before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            try:
                use(podflare_sandbox)
            finally:
                signal.signal(signal.SIGCHLD, before)

        def test_waits_for_any_child(podflare_sandbox):
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            use(podflare_sandbox)

        def test_ends_its_process_group(podflare_sandbox):
            before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
            try:
                os.killpg(os.getpgrp(), signal.SIGTERM)
            finally:
                signal.signal(signal.SIGTERM, before)
            use(podflare_sandbox)

        def test_few_descriptors(podflare_sandbox):
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
            try:
                use(podflare_sandbox)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
        """,
    "pytest in pytest": """
        import pytest

        def test_inside(podflare_sandbox, tmp_path):
            inner = tmp_path / "test_inner.py"
            inner.write_text("def test(podflare_sandbox): assert podflare_sandbox.run_code('print(1)').ok")
            assert pytest.main(["-q", "-p", "podflare", str(inner)]) == 0
            assert podflare_sandbox.run_code("print(1)").stdout == "1"

        def test_after(podflare_emulator):
            from podflare import Sandbox
            with Sandbox() as sandbox:
                assert sandbox.run_code("print(1)").stdout == "1"
        """,
}


@pytest.mark.parametrize("what", _TESTS)
def test_a_bent_process(pytester: pytest.Pytester, what: str) -> None:
    pytester.makepyfile(_TESTS[what])
    if "killpg" in _TESTS[what]:  # which is not to reach this run
        pytester.makeconftest("import os\nos.setsid()\n")
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=_TESTS[what].count("def test_"))
