"""What a child holds does not depend on whether it was made ahead of its fork."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from podflare import PodflareError, Sandbox
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW, backends
from ..serving import serving

_PREPARE = """
import os, random, resource, signal, sqlite3, sys, tempfile, threading, time
random.seed(5)
log = open("/root/log", "w+")
log.write("abc"); log.flush(); log.seek(1)
base = sqlite3.connect("/root/base")
base.execute("create table t (x)"); base.execute("insert into t values (1)"); base.commit()
base.execute("insert into t values (2)")
nameless = tempfile.TemporaryFile()
nameless.write(b"xyz"); nameless.flush()
numbers = (n * n for n in range(100))
next(numbers); next(numbers)
os.environ["LEVEL"] = "3"
os.makedirs("/data/deep"); os.chdir("/data/deep"); os.umask(0o27); os.utime("/root/log", (1, 2))
signal.signal(signal.SIGUSR1, lambda *_: None)
"""
_LOOK = """
nameless.seek(0)
print(random.random(), log.tell(), log.read(), base.execute("select x from t").fetchall(), base.in_transaction)
print(nameless.read(), next(numbers), os.environ["LEVEL"], os.getcwd(), oct(os.umask(0)), sys.path)
print(sorted(os.listdir("/root")), os.stat("/root/log").st_mtime, os.listdir("/tmp"), os.listdir("/dev/shm"))
print(sorted(globals()), threading.active_count(), signal.getsignal(signal.SIGUSR1) is not None)
print(resource.getrlimit(resource.RLIMIT_NOFILE), os.getsid(0) == os.getpid(), len(os.listdir("/dev/fd")))
"""


@pytest.fixture(scope="module", params=backends())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with serving(request.param) as emulator:
        yield emulator


@pytest.fixture
def emulator(server: Emulator) -> Iterator[Emulator]:
    with server.redirect_clients():
        yield server
    server.reset()


def children(emulator: Emulator, *, expected: bool) -> list[str]:
    """What four see, one after another; each changes what it can."""
    seen = []
    with Sandbox() as parent:
        assert parent.run_code(_PREPARE).exit_code == 0
        if expected:
            emulator.expect_forks(parent.id)
        for number in range(4):
            (child,) = parent.fork()
            with child:
                result = child.run_code(_LOOK)
                seen.append(result.stdout + result.stderr)
                child.run_code(
                    f"log.write('{number}'); log.flush(); base.commit(); os.mkdir('/root/{number}')"
                )
            time.sleep(0.1)  # for the next to be made
    return seen


@SLOW
def test_a_child_is_what_it_would_be_without(emulator: Emulator) -> None:
    with_it, without = children(emulator, expected=True), children(emulator, expected=False)
    assert "[(1,), (2,)] True" in without[0]
    assert [*dict.fromkeys([*with_it, *without])] == [without[0]]


def test_what_is_arranged_meanwhile_holds_in_it(emulator: Emulator) -> None:
    with Sandbox() as parent:
        emulator.expect_forks(parent.id)
        parent.fork()[0].close()
        time.sleep(0.1)
        emulator.stub_command("deploy", stdout="done")
        emulator.stub("question", stdout="answer")
        (child,) = parent.fork()
        with child:
            assert child.run_code("deploy", language="bash").stdout == "done"
            assert child.run_code("question").stdout == "answer"
        emulator.fault("fork", status=503, error="draining")
        with pytest.raises(PodflareError, match="draining"):
            parent.fork()
        assert [fork.parent for fork in emulator.forks] == [parent.id] * 2
        assert str(emulator.tree()).count("sbx_") == 3


def test_only_of_a_sandbox_that_there_is(emulator: Emulator) -> None:
    with pytest.raises(EmulatorError, match="sandbox not found"):
        emulator.expect_forks("sbx_" + "0" * 32)
