"""How many execs a second one server answers, by the number of clients: processes with a sandbox each."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from typing import IO

from bench import Bench, case

_CLIENTS = (1, 2, 4, 8, 16, 32)

# A line on its input starts a round of so many seconds; it answers with the number of execs that it got done.
_CLIENT = """
import sys, time
from podflare import Sandbox

with Sandbox(host=sys.argv[1]) as sandbox:
    sandbox.run_code("1+1")
    print("ready", flush=True)
    for line in sys.stdin:
        end, done = time.monotonic() + float(line), 0
        while time.monotonic() < end:
            sandbox.run_code("1+1")
            done += 1
        print(done, flush=True)
"""


@case(seconds=120)
def throughput(bench: Bench) -> None:
    rounds, seconds = (5, 1.0) if bench.full else (2, 0.3)
    for count in _CLIENTS if bench.full else _CLIENTS[:3]:
        with ExitStack() as stack:
            clients = [stack.enter_context(_client(bench.url)) for _ in range(count)]
            for client in clients:
                _output(client).readline()
            rates = [_round(clients, seconds) for _ in range(rounds)]
            for client in clients:
                _input(client).close()
        bench.record(f"execs a second, {count} clients", "1/s", rates, ("throughput", count))


def _client(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CLIENT, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _round(clients: list[subprocess.Popen[str]], seconds: float) -> float:
    started = time.monotonic()
    for client in clients:
        _input(client).write(f"{seconds}\n")
        _input(client).flush()
    done = sum(int(_output(client).readline()) for client in clients)
    return done / (time.monotonic() - started)


def _input(client: subprocess.Popen[str]) -> IO[str]:
    assert client.stdin is not None
    return client.stdin


def _output(client: subprocess.Popen[str]) -> IO[str]:
    assert client.stdout is not None
    return client.stdout
