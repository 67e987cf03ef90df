"""A test patches a name of the standard library, and the emulator answers all the same."""

from __future__ import annotations

import pytest

# Those that a server in the test's own thread would look up while it serves, and some that its handle might.
SAMPLE = (
    "asyncio.sleep",
    "asyncio.gather",
    "asyncio.get_event_loop",
    "asyncio.get_running_loop",
    "asyncio.wait_for",
    "http.client.HTTPConnection",
    "json.dumps",
    "json.loads",
    "logging.getLogger",
    "os.read",
    "socket.create_connection",
    "socket.socket",
    "subprocess.Popen",
    "threading.Thread",
    "time.monotonic",
)
REST = (
    *(
        f"asyncio.{name}"
        for name in ("create_task", "current_task", "ensure_future", "all_tasks", "run", "wait")
    ),
    *(f"asyncio.{name}" for name in ("to_thread", "shield", "as_completed", "new_event_loop", "timeout")),
    *(f"asyncio.{name}" for name in ("Event", "Lock", "Queue", "Semaphore", "create_subprocess_exec")),
    *(f"base64.{name}" for name in ("b64encode", "b64decode")),
    *(f"builtins.{name}" for name in ("open", "print", "input")),
    *(f"contextlib.{name}" for name in ("suppress", "contextmanager")),
    *(f"hashlib.{name}" for name in ("md5", "sha256")),
    *(f"json.{name}" for name in ("dump", "load")),
    *(f"logging.{name}" for name in ("Logger.info", "Logger.handle", "info", "warning")),
    *(
        f"os.{name}"
        for name in ("close", "write", "open", "pipe", "fork", "kill", "getpid", "listdir", "stat")
    ),
    *(f"os.{name}" for name in ("remove", "rename", "mkdir", "makedirs", "urandom", "getcwd", "path.exists")),
    *(f"pathlib.Path.{name}" for name in ("read_text", "write_text", "exists", "mkdir", "unlink")),
    *(f"pickle.{name}" for name in ("dumps", "loads")),
    *(f"random.{name}" for name in ("random", "choice", "randint")),
    *(f"secrets.{name}" for name in ("token_hex", "token_bytes")),
    *(f"select.{name}" for name in ("select",)),
    *(f"shutil.{name}" for name in ("rmtree", "copy", "which")),
    *(f"signal.{name}" for name in ("signal",)),
    *(f"subprocess.{name}" for name in ("run", "check_output", "call")),
    *(f"tempfile.{name}" for name in ("mkdtemp", "TemporaryDirectory", "NamedTemporaryFile")),
    *(f"threading.{name}" for name in ("Timer", "Semaphore")),
    *(f"time.{name}" for name in ("sleep", "time", "perf_counter", "time_ns", "monotonic_ns")),
    *(f"urllib.request.{name}" for name in ("urlopen",)),
    *(f"uuid.{name}" for name in ("uuid4",)),
)


_TEST = """
import asyncio, http.client, pathlib, random, secrets, shutil, socket, tempfile, urllib.request, uuid
from unittest.mock import AsyncMock, MagicMock, patch
import pytest

REQUEST = (
    "POST /v1/sandboxes HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\n"
    "Content-Length: 2\\r\\n\\r\\n{}"
)

@pytest.mark.parametrize("name", NAMES)
def test(podflare_emulator, name):
    host, port = podflare_emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as client:
        patched = patch(name, AsyncMock() if name == "asyncio.sleep" else MagicMock())
        patched.start()
        try:
            client.sendall(REQUEST.encode())
            answer = client.recv(1000)
            requests = podflare_emulator.requests()
            podflare_emulator.stub("deploy", stdout="done")
            execs = podflare_emulator.execs()
            destroyed = podflare_emulator.reset()
        finally:
            patched.stop()
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(requests) == 1
    assert execs == []
    assert len(destroyed) == 1
"""


def test_patched_names(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> None:
    """Requests and control calls, in one run of pytest.

    The client has its socket already: whether it can do with what is patched is the test's own affair.
    """
    names = (*SAMPLE, *REST) if pytestconfig.getoption("--all-patched-names") else SAMPLE
    pytester.makepyfile(_TEST.replace("NAMES", repr(names)))
    result = pytester.runpytest_subprocess("-p", "no:randomly", timeout=300)
    result.assert_outcomes(passed=len(names))
