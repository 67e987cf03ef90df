"""What whoever started the emulator has set for itself does not reach a sandbox."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from podflare import Sandbox

from ..matrix import SLOW, backends
from ..serving import serving

STARTING = str(Path(__file__).with_name("starting.py"))
# Those of one group hide nothing of each other.
WAYS = [
    ("signals ignored", "umask", "limits", "terminal", "directory"),
    ("signals blocked", "scheduling", "session", "directory removed"),
    ("nice",),
    ("streams closed",),
]
# In bash, in a child of Python's, and in the REPL itself.
SHOW = """
trap
grep -E '^Sig(Blk|Ign):' /proc/self/status
umask; nice; ulimit -S -f; ulimit -S -t; ulimit -S -s; ulimit -S -c; ulimit -S -n; pwd
(: < /dev/tty) 2> /dev/null && echo terminal
(trap 'echo told; exit' HUP; kill -HUP $BASHPID; echo ignored)
(kill -TERM $BASHPID; echo ignored)
true
"""
SHOW_IN_PYTHON = """
import os, resource, signal, subprocess
names = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGCHLD", "SIGPIPE")
print([getattr(signal.getsignal(getattr(signal, name)), "__name__", signal.getsignal(getattr(signal, name)))
    for name in names])
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
umask = os.umask(0o022)
print(oct(umask), os.getpriority(os.PRIO_PROCESS, 0), os.getcwd())
print(os.sched_getscheduler(0), os.getsid(0) == os.getpid(), sorted(os.environ))
print([resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_STACK)])
"""
Shown = tuple[str, str]


@pytest.fixture(scope="module", params=backends())
def started(request: pytest.FixtureRequest) -> Callable[..., Shown]:
    """`started(*how)`: what a sandbox shows of an emulator that was started like this."""
    with serving(request.param, pool_size=0):
        pass  # or this is skipped

    def shown(*how: str) -> Shown:
        words = [
            sys.executable,
            STARTING,
            *how,
            "--",
            sys.executable,
            "-m",
            "podflare_emulator",
            "--port",
            "0",
        ]
        with ExitStack() as ending:
            process = ending.enter_context(
                subprocess.Popen(
                    [*words, "--isolation", request.param],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            )
            ending.callback(process.terminate)
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            with Sandbox(host=url) as sandbox:
                return sandbox.run_code(SHOW, "bash").stdout, sandbox.run_code(SHOW_IN_PYTHON).stdout

    return shown


@pytest.fixture(scope="module")
def plainly(started: Callable[..., Shown]) -> Shown:
    return started()


@SLOW
@pytest.mark.parametrize("how", WAYS, ids=", ".join)
def test_a_sandbox_is_as_if_it_had_been_started_plainly(
    started: Callable[..., Shown], plainly: Shown, how: tuple[str, ...]
) -> None:
    if "nice" in how and resource.getrlimit(getattr(resource, "RLIMIT_NICE", 0))[1] < 20 and os.getuid() != 0:
        pytest.skip("an ordinary user may not lower a nice value")
    assert started(*how) == plainly


def test_plainly_is_as_a_fresh_machine_is(plainly: Shown) -> None:
    bash, python = plainly
    assert "told" in bash
    assert "ignored" not in bash
    assert "terminal" not in bash
    assert "0022" in bash
    assert "SigBlk:\t0000000000000000" in bash
    assert "'default_int_handler'" in python
    assert "set()" in python
