"""Programs that name no host are brought to the emulator, whatever client they use; afterwards all is as before."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ..matrix import SLOW
from .published import run_with_the_published_client

# Keeps a server's URL wherever a client may: what the redirection must find, by value.
_STUBBORN_CLIENT = """
import json, os
from dataclasses import dataclass
from inspect import unwrap
from pathlib import Path
from typing import NamedTuple

EDGE = "https://api.podflare.ai"
FROZEN = os.environ.get("PODFLARE_API_URL", EDGE)
REGIONS = {"eu": "https://eu.podflare.ai"}
DOCUMENTATION = "https://docs.podflare.ai/sdk"
pin = None

cache = Path.home() / ".podflare" / "region-cache.json"
if cache.exists():
    pin = json.loads(cache.read_text())["url"]


@dataclass(frozen=True)
class Region:
    name: str
    url: str


class Place(NamedTuple):
    name: str
    url: str


KNOWN = (Region("sg", "https://sg.podflare.dev"),)
PLACES = (Place("us", "https://us.podflare.dev"), Place("in", "https://in.podflare.dev"))


def default(host="https://api.podflare.dev", *, edge=EDGE):
    return host, edge


class Sandbox:
    host = "https://api.podflare.ai"

    def __init__(self, host=EDGE):
        global pin
        pin = pin or "https://pinned.by.the.server"
        self.id = "sbx_0"

    def fork(self): ...

    @staticmethod
    def where(host=EDGE):
        return host


def every_url():
    return [
        EDGE, FROZEN, REGIONS["eu"], KNOWN[0].url, *(place.url for place in PLACES), *default(),
        Sandbox.host, *unwrap(Sandbox.__init__).__defaults__,
        Sandbox.where(),
    ]
"""


@pytest.fixture
def stubborn(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inner run imports this `podflare`, in a home where a region is remembered."""
    package = pytester.mkpydir("podflare")
    (package / "__init__.py").write_text(_STUBBORN_CLIENT, encoding="utf-8")
    (package / "late.py").write_text("from podflare import EDGE\n", encoding="utf-8")
    cache = Path(os.environ["HOME"], ".podflare", "region-cache.json")
    cache.parent.mkdir()
    cache.write_text('{"url": "https://remembered.podflare.ai"}', encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))


@SLOW
@pytest.mark.usefixtures("stubborn")
def test_every_url_a_client_holds_is_the_emulators_during_the_test_and_its_own_again_after(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import podflare

        before = podflare.every_url()

        def test_during(podflare_emulator):
            assert set(podflare.every_url()) == {podflare_emulator.url}
            assert podflare.pin == podflare_emulator.url
            assert podflare.DOCUMENTATION == "https://docs.podflare.ai/sdk"

        def test_after():
            assert podflare.every_url() == before
            assert podflare.pin == "https://remembered.podflare.ai"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


@SLOW
@pytest.mark.usefixtures("stubborn")
def test_a_client_first_imported_in_a_test_neither_sees_the_remembered_region_nor_keeps_the_emulators_url(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import os
        import sys

        def test_during(podflare_emulator):
            import podflare
            import podflare.late
            assert set(podflare.every_url()) == {podflare_emulator.url} == {podflare.late.EDGE}
            assert podflare.pin is None
            podflare.Sandbox()
            assert podflare.pin == "https://pinned.by.the.server"
            del sys.modules["podflare"]
            import podflare as again
            assert again.FROZEN == podflare_emulator.url

        def test_after():
            import podflare
            import podflare.late
            assert podflare.FROZEN == podflare.EDGE == podflare.late.EDGE == "https://api.podflare.ai"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


@pytest.mark.usefixtures("stubborn")
def test_a_pin_that_a_test_has_caused_is_gone_after_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_during(podflare_emulator):
            import podflare
            podflare.Sandbox()

        def test_after():
            import podflare
            assert podflare.pin is None
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


_WITH_THE_PUBLISHED_CLIENT = """
import importlib.metadata
import os
import sys
from pathlib import Path

import httpx
import pytest
from pytest_podflare import prepared_sandbox

CACHE = Path.home() / ".podflare" / "region-cache.json"
touched = []

def watch(event, arguments):
    if event in ("open", "os.mkdir", "os.rename", "os.remove") and str(CACHE.parent) in str(arguments[0]):
        touched.append((event, arguments[0]))

def held():
    return {
        (name, key): value
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "podflare"
        for key, value in vars(module).items()
        if isinstance(value, str) and value.startswith("http")
    }

{imports}

def test_version():
    assert importlib.metadata.version("podflare") == "0.0.22"

def test_it_uses_the_emulator(podflare_emulator):
    from podflare import Sandbox
    with Sandbox() as sandbox:
        assert sandbox.run_code("print(1)\\nprint(2)").stdout == "1\\n2"
        children = sandbox.fork(n=2)
        children[0].run_code("open('/root/a.txt', 'w').close()")
        assert sandbox.diff(children[0])["added"] == ["/root/a.txt"]
        sandbox.merge_into(children[0])
        sandbox.upload(b"data", "/root/b.txt")
        assert sandbox.download("/root/b.txt") == b"data"
        children[1].close()

def test_it_uses_it_again(podflare_sandbox, podflare_emulator):
    from podflare import Sandbox
    assert podflare_sandbox.run_code("import sys; sys.exit(3)").exit_code == 3
    left_open = Sandbox()
    assert len(podflare_emulator.reset()) == 2
    with pytest.raises(httpx.HTTPStatusError) as raised:
        left_open.run_code("1")
    assert raised.value.response.status_code == 404

def test_it_meets_faults(podflare_sandbox, podflare_emulator):
    for fault, error in (
        ({"status": 429, "retry_after": 2}, httpx.HTTPStatusError),
        ({"connection": "reset"}, httpx.ReadError),
        ({"cut_after": 0}, httpx.RemoteProtocolError),
        ({"cut_after": 1}, httpx.RemoteProtocolError),
    ):
        podflare_emulator.fault("exec", **fault)
        with pytest.raises(error) as raised:
            podflare_sandbox.run_code("print(1)")
        if error is httpx.HTTPStatusError:
            assert raised.value.response.headers["Retry-After"] == "2"
    podflare_emulator.fault("exec", ends_after=1)
    assert podflare_sandbox.run_code("print(1)").exit_code == -1
    with podflare_emulator.refusing_connections(), pytest.raises(httpx.ConnectError):
        podflare_sandbox.run_code("print(1)")
    podflare_emulator.fault("exec", dies_after=1)
    result = podflare_sandbox.run_code("print(1); print(2)")
    assert (result.stdout, result.exit_code) == ("1", 137)

@prepared_sandbox()
def prepared(sandbox):
    sandbox.run_code("x = 1")

@pytest.mark.parametrize("number", range(2))
def test_it_forks_a_prepared_sandbox(prepared, number):
    assert prepared.run_code("print(x); x = 2").stdout == "1"

def test_nothing_of_it_is_left():
    import podflare
    assert before == held() if before else "https://api.podflare.ai" in held().values()
    assert not any("127.0.0.1" in url for url in held().values())
    assert not any(name.startswith("PODFLARE_") for name in os.environ)
    assert touched == [] and "remembered" in CACHE.read_text()

before = held()
sys.addaudithook(watch)
"""


@SLOW
@pytest.mark.parametrize("imports", ["", "import podflare"], ids=["imported in a test", "imported before"])
def test_the_published_client(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, imports: str
) -> None:
    cache = Path(os.environ["HOME"], ".podflare", "region-cache.json")
    cache.parent.mkdir()
    remembered = {"url": "https://remembered.podflare.ai", "ts": time.time()}
    cache.write_text(json.dumps(remembered), encoding="utf-8")
    program = _WITH_THE_PUBLISHED_CLIENT.replace("{imports}", imports)
    assert "7 passed" in run_with_the_published_client(pytester, monkeypatch, program)


_ODD_CHARACTERS = r"""
import pytest

ONE_BY_ONE = [
    b"\r", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\0",
]
NOT_UTF_8 = {
    b"\xff": "\ufffd",
    b"\xc3": "\ufffd",  # a character cut short
    b"\xed\xa0\x80": "\ufffd\ufffd\ufffd",  # half of a surrogate pair
}
PRINTED = (
    {odd: odd.decode() for odd in ONE_BY_ONE}
    | {b"a" + odd + b"b": f"a{odd.decode()}b" for odd in ONE_BY_ONE}
    | {b"a" + odd + b"b": f"a{text}b" for odd, text in NOT_UTF_8.items()}
)

@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("odd", PRINTED, ids=ascii)
def test_odd(podflare_sandbox, odd, stream):
    code = f"import sys; sys.{stream}.buffer.write({odd!r} + b'\\nlast')"
    check(podflare_sandbox, code, stream, PRINTED[odd])

@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_megabyte_on_one_line(podflare_sandbox, stream):
    code = f"import sys; print('x' * 2**20, file=sys.{stream}); print('last', end='', file=sys.{stream})"
    check(podflare_sandbox, code, stream, "x" * 2**20)

def check(sandbox, code, stream, line):
    result = sandbox.run_code(code)
    other = "stderr" if stream == "stdout" else "stdout"
    assert (getattr(result, stream), getattr(result, other), result.exit_code) == (f"{line}\nlast", "", 0)
    events = [(event.type, event.data) for event in sandbox.run_code_stream(code)]
    assert events == [(stream, line), (stream, "last"), ("exit", 0)]
"""


@SLOW
def test_odd_characters_come_through_the_published_client(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "48 passed" in run_with_the_published_client(pytester, monkeypatch, _ODD_CHARACTERS)


_TERMINALS = r"""
import threading

def started(sandbox, **order):
    seen, changed = [b""], threading.Condition()
    def hear(data):
        with changed:
            seen[0] += data
            changed.notify_all()
    def until(text):
        with changed:
            assert changed.wait_for(lambda: text in seen[0], 30), seen
    return sandbox.pty.create(on_data=hear, on_exit=lambda code: None, **order), until

def test_a_command_is_typed_to_and_ends(podflare_sandbox):
    ends = []
    handle = podflare_sandbox.pty.create(cmd="read name; exit 4", on_exit=ends.append)
    handle.send_input("Ada\r")
    assert handle.wait() == 4
    assert ends == [4]
    handle.close()

def test_size_environment_and_directory(podflare_sandbox):
    order = {"cols": 100, "rows": 30, "env": {"GREETING": "hello"}, "cwd": "/tmp"}
    handle, until = started(podflare_sandbox, cmd='stty size; pwd; echo $GREETING; read line', **order)
    until(b"30 100\r\n/tmp\r\nhello")
    handle.resize(120, 50)
    [listed] = podflare_sandbox.pty.list()
    assert (listed.pty_id, listed.exit_code) == (handle.id, None)
    attached = []
    other = podflare_sandbox.pty.attach(handle.id, on_data=attached.append)
    handle.kill()
    assert handle.wait() == other.wait() == 137
    assert b"".join(attached).startswith(b"30 100")
    assert podflare_sandbox.pty.list() == []
    handle.close()
    other.close()
"""


@SLOW
def test_terminals_of_the_published_client(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "2 passed" in run_with_the_published_client(pytester, monkeypatch, _TERMINALS)


_REGIONS = """
import pytest
import podflare
from podflare import Client, Sandbox

@pytest.mark.parametrize("region", ["us-west", "eu", "asia"])
def test_a_region(podflare_emulator, region):
    with_it = Sandbox(region=region)
    assert with_it.run_code("print(1)").stdout == "1"
    with_it.close()
    for url in (podflare.resolve_region(region), podflare.REGIONS[region]):
        client = Client(url)
        client.destroy_sandbox(client.create_sandbox())
        client.close()
    assert len(podflare_emulator.requests(call="create")) == 3

def test_afterwards_all_is_as_before():
    assert podflare.resolve_region("eu") == podflare.REGIONS["eu"] == "https://hel.podflare.ai"
    assert podflare.nearest_region_to(50, 10).direct_url == "https://hel.podflare.ai"
"""


@SLOW
def test_a_region_that_a_program_names_is_the_emulators(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_REGIONS)
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=4)


@SLOW
def test_a_region_that_a_program_with_the_published_client_names_is_the_emulators(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "4 passed" in run_with_the_published_client(pytester, monkeypatch, _REGIONS)
