"""Every public name and parameter of a published client, against the emulator of the fixtures.

A program of its own, that runs beside such a client: test_surface.py copies it there. It knows the client by its
behaviour alone: what there is to call is listed by introspection, each call is noted with the parameters that it was
given, and the last test fails for what was not called.
"""

import base64
import importlib
import inspect
import json
import threading
from contextlib import suppress
from functools import wraps
from types import SimpleNamespace

import httpx
import pytest

import podflare
from podflare import Event, ExecResult, Sandbox

# What the emulator cannot do yet: the name, or the name and a parameter, and why.
NOT_YET: dict[str, str] = {}

# Beside `podflare` itself: what a program imports by name; the others of the kind want packages that are not here.
MODULES = ("podflare.gemini", "podflare.integrations.anthropic")

called: dict[str, set[str]] = {}


def note(name, signature, arguments, keywords):
    given = signature.bind(*arguments, **keywords).arguments if signature else {}
    called.setdefault(name, set()).update(given)


def noting(name, function):
    signature = signature_of(function)

    @wraps(function)
    def wrapper(*arguments, **keywords):
        note(name, signature, arguments, keywords)
        return function(*arguments, **keywords)

    return wrapper


def signature_of(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def parameters_of(function):
    signature = signature_of(function)
    return set(signature.parameters) - {"self", "cls"} if signature else set()


def constructing(name, kind):
    """What notes how the class is called, in place of its __init__."""
    signature = signature_of(kind)
    make = kind.__init__

    @wraps(make)
    def init(self, *arguments, **keywords):
        note(name, signature, arguments, keywords)
        if make is not object.__init__:  # a named tuple has been made by then
            make(self, *arguments, **keywords)

    return init


def listed(module):
    """The public names of a module, each with its parameters, and from now on noted when it is called."""
    found = {}
    for name, value in vars(module).copy().items():
        ours = getattr(value, "__module__", "").partition(".")[0] == "podflare"
        if name.startswith("_") or inspect.ismodule(value) or not ours or name.endswith("Callback"):
            continue
        if inspect.isfunction(value):
            found[name] = parameters_of(value)
            setattr(module, name, noting(name, value))
        elif inspect.isclass(value):
            found |= members(name, value)
            if not issubclass(value, Exception):
                found[name] = parameters_of(value)
                value.__init__ = constructing(name, value)
            else:
                found[name] = set()
    return found


def members(name, kind):
    found = {}
    for member, raw in vars(kind).copy().items():
        full = f"{name}.{member}"
        if member.startswith("_"):
            continue
        if isinstance(raw, property):
            found[full] = set()
            setattr(kind, member, property(noting(full, raw.fget)))
        elif isinstance(raw, classmethod):
            found[full] = parameters_of(raw.__func__)
            setattr(kind, member, classmethod(noting(full, raw.__func__)))
        elif inspect.isfunction(raw):
            found[full] = parameters_of(raw)
            setattr(kind, member, noting(full, raw))
    return found


PUBLIC = listed(podflare)
for module in MODULES:
    with suppress(ImportError):
        PUBLIC |= listed(importlib.import_module(module))


def since(name):
    """For what not every version has; the first one lists less than it has."""
    return pytest.mark.skipif(name not in PUBLIC, reason=f"this version has no {name}")


def orders():
    """Every parameter of a create that this version has."""
    every = {
        "template": "default",
        "timeout_seconds": 60,
        "idle_timeout_seconds": 30,
        "persistent": False,
        "egress": True,
    }
    return {name: value for name, value in every.items() if name in PUBLIC["Sandbox"]}


def test_a_sandbox_and_all_that_its_create_takes(podflare_emulator):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    where = {"host": podflare_emulator.url, "api_key": "pf_live_x", "traceparent": trace}
    with Sandbox(**where, **orders()) as sandbox:
        assert sandbox.id.startswith("sbx_")
        result = sandbox.run_code("print(1); print(2)", language="python")
        assert (result.stdout, result.stderr, result.exit_code, result.ok) == ("1\n2", "", 0, True)
        failed = sandbox.run_code(code="echo no >&2; exit 3", language="bash")
        assert (failed.stdout, failed.stderr, failed.exit_code, failed.ok) == ("", "no", 3, False)
    [create] = podflare_emulator.requests(call="create")
    assert create.traceparent == trace
    assert {name: create.body[name] for name in orders()} == orders()


@since("Client")
def test_a_sandbox_of_its_own_size(podflare_emulator):
    with Sandbox(ram_mib=256, rootfs_gb=1) as sandbox:
        assert sandbox.run_code("print(6 * 7)").stdout == "42"
        with pytest.raises(httpx.HTTPStatusError) as refused:
            sandbox.fork()
        assert refused.value.response.status_code == 500


@pytest.mark.skipif("region" not in PUBLIC["Sandbox"], reason="this version has no regions")
def test_a_region_is_here(podflare_emulator):
    for region in ("eu", "us"):
        with Sandbox(region=region) as sandbox:
            assert sandbox.run_code("print(6 * 7)").stdout == "42"
    assert len(podflare_emulator.requests(call="create")) == 2


def test_a_stream_of_events(podflare_sandbox):
    events = list(podflare_sandbox.run_code_stream("print(1)", language="python"))
    assert [(event.type, event.data, event.seq) for event in events] == [("stdout", "1", 0), ("exit", 0, 1)]
    [event] = [event for event in podflare_sandbox.replay() if event.type == "stdout"]
    assert Event(type="stdout", data="1", seq=0, ts=event.ts) == event
    assert Event.from_json(obj={"type": "stdout", "data": "1", "seq": 0, "ts": event.ts}) == event
    assert podflare_sandbox.run_code("print(1)") == ExecResult(stdout="1", stderr="", exit_code=0)
    code = "for i in range(2): print(i)"
    assert [event.data for event in podflare_sandbox.run_code_stream(code=code)] == ["0", "1", 0]


def test_forks_diff_and_merge(podflare_sandbox):
    podflare_sandbox.run_code("x = 1")
    left, right = podflare_sandbox.fork(n=2)
    left.run_code("x += 1; open('/root/a.txt', 'w').write('left')")
    assert right.run_code("print(x)").stdout == "1"
    assert right.diff(other=left, paths=["/root"]) == {
        "added": ["/root/a.txt"],
        "removed": [],
        "modified": [],
    }
    podflare_sandbox.merge_into(winner=left)
    assert podflare_sandbox.run_code("print(x)").stdout == "2"
    right.close()
    right.close()


def test_files_in_both_directions(podflare_sandbox, tmp_path):
    (tmp_path / "local.bin").write_bytes(bytes(range(256)))
    podflare_sandbox.upload(local_path=str(tmp_path / "local.bin"), remote_path="/data/a.bin")
    assert podflare_sandbox.download(remote_path="/data/a.bin") == bytes(range(256))
    podflare_sandbox.upload(b"bytes", "/root/b.txt")
    assert podflare_sandbox.run_code("cat /root/b.txt", language="bash").stdout == "bytes"
    with pytest.raises(IOError, match="missing"):
        podflare_sandbox.download("/root/missing")


def test_two_sandboxes_share_a_client(podflare_emulator):
    client = importlib.import_module("podflare.client").Client(host=podflare_emulator.url)
    with Sandbox(client=client) as one, Sandbox(client=client) as other:
        assert one.run_code("print(1)").stdout == other.run_code("print(1)").stdout == "1"
    client.close()


@since("Client")
def test_the_calls_of_the_client(podflare_emulator):
    client = podflare.Client(host=podflare_emulator.url, timeout=30.0, traceparent=None, api_key=None)
    assert client.healthz()
    order = orders()
    if "region" in order:
        del order["region"]
    made = client.create_sandbox(**order, ram_mib=256, rootfs_gb=1)
    client.destroy_sandbox(sandbox_id=made)
    with pytest.raises(httpx.HTTPStatusError) as gone:
        client.replay(sandbox_id=made)
    assert gone.value.response.status_code == 404
    client.destroy_sandbox(made)  # again: no error
    client.destroy_sandbox(client.create_sandbox_info(**order, ram_mib=256, rootfs_gb=1)["id"])
    info = client.create_sandbox_info()
    assert info["state"] == "ready"
    events = list(client.exec_stream(sandbox_id=info["id"], code="print(1)", language="python"))
    assert [event.data for event in events] == ["1", 0]
    assert [event.data for event in client.replay(info["id"])] == ["1", 0]
    children = client.fork_sandbox(sandbox_id=info["id"], n=2)
    client.merge_into(parent_id=info["id"], winner_id=children[0])
    client.destroy_sandbox(children[1])
    client.destroy_sandbox(info["id"])
    client.close()


def frozen(emulator, **more):
    """The id of a Space that a sandbox with x = 1 was frozen into."""
    Sandbox(persistent=True, idle_timeout_seconds=60, **more).run_code("x = 1")
    emulator.clock.advance(61)
    return emulator.webhooks[-1].space


def limits(name):
    every = {"timeout_seconds": 600, "idle_timeout_seconds": 300, "persistent": False, "egress": True}
    return {limit: value for limit, value in every.items() if limit in PUBLIC[name]}


@since("Sandbox.resume")
@pytest.mark.podflare(clock="manual")
def test_a_space_is_resumed(podflare_emulator):
    where = {"host": podflare_emulator.url, "api_key": "pf_live_x", "traceparent": None, "client": None}
    with Sandbox.resume(space_id=frozen(podflare_emulator), **where, **limits("Sandbox.resume")) as sandbox:
        assert sandbox.run_code("print(x)").stdout == "1"
        podflare_emulator.clock.advance(601)
        with pytest.raises(httpx.HTTPStatusError):
            sandbox.run_code("print(x)")
    with Sandbox.resume(frozen(podflare_emulator, region="eu"), region="eu") as sandbox:
        assert sandbox.run_code("print(x)").stdout == "1"


@since("Client.resume_space")
@pytest.mark.podflare(clock="manual")
def test_spaces_by_the_client(podflare_emulator):
    client = podflare.Client(host=podflare_emulator.url)
    space = frozen(podflare_emulator)
    resumed = client.resume_space(space_id=space, **limits("Client.resume_space"))
    assert [event.data for event in client.exec_stream(resumed["id"], "print(x)")] == ["1", 0]
    client.destroy_sandbox(resumed["id"])
    with pytest.raises(httpx.HTTPStatusError):
        client.resume_space(space)
    client.delete_space(space_id=frozen(podflare_emulator))
    client.close()


@since("PtyNamespace")
def test_terminals(podflare_sandbox):
    heard, changed, ends = [b""], threading.Condition(), []

    def hear(data):
        with changed:
            heard[0] += data
            changed.notify_all()

    def until(text):
        with changed:
            assert changed.wait_for(lambda: text in heard[0], 30), heard

    handle = podflare_sandbox.pty.create(
        cmd="stty size; pwd; echo $GREETING; read name; echo hello $name; stty size; read more",
        cols=100,
        rows=30,
        on_data=hear,
        on_exit=ends.append,
        env={"GREETING": "good morning"},
        cwd="/tmp",
        timeout_ms=60_000,
    )
    until(b"30 100\r\n/tmp\r\ngood morning\r\n")
    [shown] = podflare_sandbox.pty.list()
    same = podflare.PtySessionInfo(
        pty_id=handle.id, cmd_label=shown.cmd_label, created_at_ms=shown.created_at_ms, exit_code=None
    )
    assert shown == same
    again = []
    attached = podflare_sandbox.pty.attach(pty_id=handle.id, on_data=again.append, on_exit=ends.append)
    handle.resize(cols=120, rows=50)
    handle.send_input(data="Ada\r")
    until(b"hello Ada\r\n50 120\r\n")
    handle.kill()
    assert handle.wait(timeout=30) == attached.wait() == 137
    assert ends == [137, 137]
    assert b"".join(again).startswith(b"30 100")
    assert podflare_sandbox.pty.list() == []
    handle.close()
    attached.close()
    words = podflare.PtyNamespace(sandbox=podflare_sandbox).create(cmd=["sh", "-c", "exit 4"])
    assert words.wait() == 4


@since("Client.pty_list")
def test_terminals_by_the_client(podflare_emulator):
    client = podflare.Client(host=podflare_emulator.url)
    made = client.create_sandbox()
    body = {"shellCmd": "read name; echo $name; sleep 60", "cols": 80, "rows": 24}
    stream = client.pty_create_stream(sandbox_id=made, body=body)
    ready = next(stream)
    assert ready["type"] == "pty_ready"
    pty = ready["session_id"]
    assert [one["pty_id"] for one in client.pty_list(sandbox_id=made)] == [pty]
    client.pty_resize(sandbox_id=made, pty_id=pty, cols=10, rows=5)
    client.pty_input(sandbox_id=made, pty_id=pty, data=b"Ada\r")
    said = b""
    while b"Ada\r\nAda" not in said:
        piece = client.pty_read(
            sandbox_id=made, pty_id=pty, since_seq=len(said), max_bytes=3, timeout_ms=5000
        )
        said += base64.b64decode(piece["data_b64"])
    attached = client.pty_attach_stream(sandbox_id=made, pty_id=pty)
    assert next(attached)["type"] == "pty_data"
    client.pty_kill(sandbox_id=made, pty_id=pty)
    assert [*stream][-1] == [*attached][-1] == {"type": "pty_exit", "data": 137}
    # What makes a handle of a stream of events; a program may do so itself.
    with Sandbox(client=client) as sandbox:
        ready = {"type": "pty_ready", "session_id": "pty_1"}
        data = {"type": "pty_data", "data_b64": base64.b64encode(b"hi").decode()}
        heard, ended = [], []
        handle = podflare.PtyHandle(
            sandbox=sandbox,
            event_iter=iter([ready, data, {"type": "pty_exit", "data": 5}]),
            on_data=heard.append,
            on_exit=ended.append,
        )
        assert (handle.wait(), heard, ended, handle.id) == (5, [b"hi"], [5], "pty_1")
    client.destroy_sandbox(made)
    client.close()


@since("UnknownRegionError")
def test_an_unknown_region_is_not_found(podflare_emulator):
    with pytest.raises((podflare.UnknownRegionError, httpx.HTTPStatusError)) as refused:
        Sandbox(region="the-moon")
    assert refused.value.response.status_code == 404
    called["UnknownRegionError"] = set()


@since("resolve_region")
def test_where_the_regions_are():
    name, info = "eu", podflare.nearest_region_to(lat=50.1, lon=8.7)
    assert info.name == name
    assert podflare.RegionInfo(name=name, direct_url=info.direct_url, lat=info.lat, lon=info.lon) == info
    assert podflare.haversine_km(lat1=0, lon1=0, lat2=0, lon2=180) == pytest.approx(20015, rel=0.01)
    assert podflare.resolve_region(region=name)
    podflare.detect_local_region()


@since("run_function_call")
def test_gemini(podflare_sandbox):
    gemini = importlib.import_module("podflare.gemini")
    assert gemini.podflare_function_declaration()["name"]
    call = SimpleNamespace(name=gemini.podflare_function_declaration()["name"], args={"code": "print(6 * 7)"})
    assert "42" in json.dumps(gemini.run_function_call(function_call=call, sandbox=podflare_sandbox))


@since("handle_code_execution_tool_use")
def test_anthropic(podflare_sandbox):
    anthropic = importlib.import_module("podflare.integrations.anthropic")
    block = SimpleNamespace(
        id="toolu_1", type="tool_use", name="code_execution", input={"code": "print(6 * 7)"}
    )
    answer = anthropic.handle_code_execution_tool_use(tool_use_block=block, sandbox=podflare_sandbox)
    assert "42" in json.dumps(answer)


@since("close_default_client")
def test_the_client_of_all_is_closed(podflare_emulator):
    Sandbox().close()
    if "clear_disk_cache" in PUBLIC["close_default_client"]:
        podflare.close_default_client(clear_disk_cache=True)
    podflare.close_default_client()
    with Sandbox() as sandbox:
        assert sandbox.run_code("print(1)").stdout == "1"


def test_everything_public_has_been_called():
    missing = set()
    for name, parameters in PUBLIC.items():
        if name not in called:
            missing.add(name)
        missing |= {f"{name}({parameter})" for parameter in parameters - called.get(name, set())}
    unexplained = {one for one in missing if one.partition("(")[0] not in NOT_YET and one not in NOT_YET}
    assert not unexplained, sorted(unexplained)
    stale = {one for one in NOT_YET if one.partition("(")[0] in PUBLIC} - missing
    assert not stale, f"no reason any more for {sorted(stale)}"
