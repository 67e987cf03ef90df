"""What a program has printed names the sandbox's paths, wherever a read of its pipe ends."""

from __future__ import annotations

import os
import threading

import pytest

from podflare_emulator.guest.jail.portable.library import pipes
from podflare_emulator.guest.jail.portable.paths import PathMap

from .conftest import Sandbox

ROOT = "/tmp/state/jails/abc"
PRINTED = "".join(f"{ROOT}/root/{number} {ROOT} {ROOT}/tmp/x\n{ROOT}\n" for number in range(50))


@pytest.mark.parametrize("size", range(2 * len(ROOT) + 1, 5 * len(ROOT)))
def test_a_path_may_be_cut_anywhere(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(pipes.calls, "current", lambda: PathMap(ROOT, ()))
    reader, writer = os.pipe()
    with pipes.Pipe(reader) as pipe:
        os.write(writer, PRINTED.encode())
        os.close(writer)
        read = b"".join(iter(lambda: pipe.read(size), b""))
    assert read.decode() == PRINTED.replace(f"{ROOT}/", "/").replace(ROOT, "/")


@pytest.mark.parametrize("at", range(1, 3 * len(ROOT)))
def test_a_path_may_be_cut_where_the_pipe_was_empty(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(pipes.calls, "current", lambda: PathMap(ROOT, ()))
    monkeypatch.setattr(pipes, "_PATIENCE", 60)  # a busy machine may be long about the rest
    reader, writer = os.pipe()
    printed = PRINTED.encode()
    with pipes.Pipe(reader) as pipe:
        os.write(writer, printed[:at])
        rest = threading.Timer(0.001, lambda: (os.write(writer, printed[at:]), os.close(writer)))
        rest.start()
        read = b"".join(iter(lambda: pipe.read(1 << 20), b""))
    assert read.decode() == PRINTED.replace(f"{ROOT}/", "/").replace(ROOT, "/")


def test_what_may_begin_a_path_and_does_not_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that asks for a path and waits for the answer must not wait for ever."""
    monkeypatch.setattr(pipes.calls, "current", lambda: PathMap(ROOT, ()))
    reader, writer = os.pipe()
    with pipes.Pipe(reader) as pipe:
        os.write(writer, b"where? /tmp/")
        assert pipe.read(1 << 20) == b"where? /tmp/"
        os.close(writer)


# The rest of a path may be long in coming on a busy machine. What is none is read as soon as ever.
STREAMED = """
import asyncio
from asyncio.base_subprocess import BaseSubprocessTransport
settings = BaseSubprocessTransport._pipe_data_received.__globals__
async def main():
    command = "for n in $(seq 9); do printf %s ${PWD:0:20}; sleep 0.001; printf '%s/x\\n' ${PWD:20}; done"
    command += "; read; printf /tmp/; read"
    patience, settings["_PATIENCE"] = settings["_PATIENCE"], 60
    program = await asyncio.create_subprocess_exec("bash", "-c", command, stdin=-1, stdout=-1)
    said = b""
    while said.count(b"\\n") < 9: said += await program.stdout.read(1000)
    settings["_PATIENCE"] = patience
    program.stdin.write(b"\\n")
    while not said.endswith(b"/tmp/"): said += await program.stdout.read(1000)
    program.stdin.close()
    print(said.replace(b"/", b"|"), await program.wait() > 0)
asyncio.run(main())
"""


def test_asyncio_reads_a_path_that_is_cut(sandbox: Sandbox) -> None:
    lines = "|data|x\\n" * 9
    assert sandbox.python(f"import os; os.chdir('/data')\n{STREAMED}") == f"b'{lines}|tmp|' True\n"
