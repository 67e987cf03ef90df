"""What the client on PyPI has, ours has, or there is a reason: a program moves over by changing nothing."""

import inspect
import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

import podflare

from ..matrix import SLOW

PUBLISHED = "0.0.22"

_MADE_BY_PTY = "a handle is made by `create` and `attach` alone"

LEFT_OUT = {
    "PtyHandle()": _MADE_BY_PTY,
}

OTHER_ORDER = {
    "Sandbox.upload": "its first is `data`, as the documentation has it; `local_path=` works as well"
}

# Names, and the parameters of what can be called: those that need no name in order, then the others.
_LIST = """
import inspect, json, sys, podflare

def parameters(function):
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[one.name, one.kind is not one.KEYWORD_ONLY] for one in found if one.name != "self"]

names = {}
for name, value in vars(podflare).items():
    if name.startswith("_") and name != "__version__":
        continue
    names[name] = parameters(value) if inspect.isclass(value) or inspect.isfunction(value) else None
    if inspect.isclass(value):
        for member in vars(value):
            if not member.startswith("_"):
                attribute = getattr(value, member)
                names[f"{name}.{member}"] = parameters(attribute) if callable(attribute) else None
print(json.dumps(names))
"""


def _names(python: str) -> Any:
    listed = subprocess.run([python, "-c", _LIST], capture_output=True, text=True, check=True)
    return json.loads(listed.stdout)


@pytest.fixture(scope="module")
def theirs() -> Any:
    python = os.environ.get("PODFLARE_PUBLISHED_CLIENT_PYTHON")
    if not python:
        pytest.skip(f"PODFLARE_PUBLISHED_CLIENT_PYTHON names no interpreter with podflare=={PUBLISHED}")
    return _names(python)


@pytest.fixture(scope="module")
def ours() -> Any:
    return _names(sys.executable)


@SLOW
def test_every_name_is_here_or_has_a_reason(theirs: Any, ours: Any) -> None:
    assert theirs.keys() - ours.keys() - LEFT_OUT.keys() == set()


def test_no_reason_is_stale(theirs: Any, ours: Any) -> None:
    for reasons in (LEFT_OUT, OTHER_ORDER):
        assert {name.removesuffix("()") for name in reasons} <= theirs.keys()
    assert {name for name in LEFT_OUT if "(" not in name} & ours.keys() == set()
    for name in OTHER_ORDER:
        assert theirs[name] != ours[name]


def test_what_is_called_by_position_or_name_there_is_here(theirs: Any, ours: Any) -> None:
    for name in theirs.keys() & ours.keys():
        if theirs[name] is None or f"{name}()" in LEFT_OUT:
            continue
        assert ours[name] is not None, name
        here = {parameter for parameter, _ in ours[name]}
        wanted = {one for one, _ in theirs[name]}
        assert wanted <= here, name
        if name in OTHER_ORDER:
            continue
        by_position = [one for one, positional in theirs[name] if positional]
        assert [one for one, positional in ours[name] if positional][: len(by_position)] == by_position, name


def test_the_version_is_the_distributions() -> None:
    assert podflare.__version__ == version("podflare")


def test_close_default_client_may_be_called() -> None:
    podflare.close_default_client()
    podflare.close_default_client(clear_disk_cache=True)


def test_replay_is_a_list(sandbox: podflare.Sandbox, instead: dict[str, Any]) -> None:
    instead["replay"] = (200, {}, [b'{"type":"stdout","data":"x","seq":0,"ts":5}\n'])
    assert sandbox.replay() == [podflare.StdoutEvent("stdout", "x", 0, 5)]
    assert next(iter(sandbox.replay())).data == "x"


@SLOW
def test_the_clients_calls(host: str, received: list[dict[str, Any]], instead: dict[str, Any]) -> None:
    instead["healthz"] = (200, {}, [b"ok"])
    with podflare.Client(host, 30.0, None, "pk_1") as client:
        made = client.create_sandbox("default", egress=False)
        assert received[-1]["body"] == {"template": "default", "egress": False}
        assert received[-1]["headers"]["Authorization"] == "Bearer pk_1"
        assert client.create_sandbox_info()["state"] == "ready"
        assert [event.data for event in client.exec_stream(made, "print(1)")] == ["1", 0]
        children = client.fork_sandbox(made, 2)
        client.merge_into(made, children[0])
        client.destroy_sandbox(made)
        assert received[-1]["path"] == f"/v1/sandboxes/{made}"


def test_the_clients_calls_on_spaces(
    host: str, received: list[dict[str, Any]], instead: dict[str, Any]
) -> None:
    instead["spaces"] = (200, {}, [b'{"id": "sbx_9", "state": "ready"}'])
    with podflare.Client(host) as client:
        assert client.resume_space("spc_1", timeout_seconds=5)["id"] == "sbx_9"
        assert (received[-1]["path"], received[-1]["body"]) == (
            "/v1/spaces/spc_1/resume",
            {"timeout_seconds": 5},
        )


def test_a_space_is_resumed(host: str, received: list[dict[str, Any]], instead: dict[str, Any]) -> None:
    instead["spaces"] = (200, {}, [b'{"id": "sbx_9", "state": "ready"}'])
    sandbox = podflare.Sandbox.resume("spc_1", host=host, persistent=True, egress=False)
    assert sandbox.id == "sbx_9"
    assert (received[-1]["method"], received[-1]["path"]) == ("POST", "/v1/spaces/spc_1/resume")
    assert received[-1]["body"] == {"persistent": True, "egress": False}
    instead["destroy"] = (204, {}, [])
    sandbox.close()
    assert (received[-1]["method"], received[-1]["path"]) == ("DELETE", "/v1/sandboxes/sbx_9")
    with podflare.Client(host) as client:
        client.delete_space("spc_1")
    assert (received[-1]["method"], received[-1]["path"]) == ("DELETE", "/v1/spaces/spc_1")
    with pytest.raises(podflare.InvalidArgumentError, match="space_id must be an id"):
        podflare.Sandbox.resume("a/b", host=host)


def test_upload_by_either_name(sandbox: podflare.Sandbox, tmp_path: Any) -> None:
    (tmp_path / "local").write_bytes(b"local")
    sandbox.upload(local_path=str(tmp_path / "local"), remote_path="a")
    sandbox.upload(local_path=b"bytes", remote_path="b")
    sandbox.upload(data=b"data", remote_path="c")
    assert [sandbox.download(name) for name in "abc"] == [b"local", b"bytes", b"data"]
    call: Any = sandbox.upload
    for wrong in ({"remote_path": "d"}, {"data": b""}, {"data": b"", "local_path": b"", "remote_path": "d"}):
        with pytest.raises(podflare.InvalidArgumentError, match="upload takes data"):
            call(**wrong)


def test_every_error_is_a_podflare_error() -> None:
    errors = [
        value
        for value in vars(podflare).values()
        if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, Warning)
    ]
    assert all(issubclass(error, podflare.PodflareError) for error in errors)
