"""`POST /v1/sandboxes`."""

import re

import pytest

from podflare import Client, Sandbox

from .printed import printed
from .wire import Wire, error_of, texts


def test_create_answers_with_an_id_and_the_state_ready(wire: Wire) -> None:
    answer = wire.post("/v1/sandboxes", {"template": "default"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert re.fullmatch("sbx_[0-9a-f]{32}", body["id"])
    assert body["state"] == "ready"
    wire.delete(body["id"])


def test_each_sandbox_has_its_own_id(wire: Wire) -> None:
    assert wire.create() != wire.create()


@pytest.mark.usefixtures("ours")
def test_create_names_no_endpoint_and_no_region(wire: Wire) -> None:
    # The published client would move to an endpoint that is not the URL it used, and remember it on disk.
    body = wire.post("/v1/sandboxes", {}).json()
    assert set(body) == {"id", "state"}
    wire.delete(body["id"])


def test_a_new_sandbox_runs_code_at_once(wire: Wire) -> None:
    assert texts(wire.events(wire.create(), "print(6*7)")) == ["42"]


def test_sandboxes_share_neither_names_nor_files(client: Client) -> None:
    with Sandbox(client=client) as one, Sandbox(client=client) as other:
        printed(one, "name = 1; open('/root/file', 'w').close()")
        assert printed(other, "import os; print('name' in globals(), os.listdir('/root'))") == "False []"


def test_every_documented_field_is_taken(wire: Wire) -> None:
    sandbox_id = wire.create(
        template="default",
        timeout_seconds=600,
        idle_timeout_seconds=300,
        ram_mib=512,
        rootfs_gb=4,
        persistent=False,
        egress=True,
    )
    assert texts(wire.events(sandbox_id, "print(1)")) == ["1"]


def test_unknown_fields_are_ignored(wire: Wire) -> None:
    assert texts(wire.events(wire.create(colour="blue", nested={"a": [1]}), "print(1)")) == ["1"]


@pytest.mark.usefixtures("ours")
def test_a_field_that_is_null_counts_as_absent(wire: Wire) -> None:
    fields = ("template", "timeout_seconds", "ram_mib", "persistent", "egress")
    sandbox_id = wire.create(**dict.fromkeys(fields))
    assert texts(wire.events(sandbox_id, "print(1)")) == ["1"]


@pytest.mark.usefixtures("ours")
def test_a_create_without_a_body_is_one_without_wishes(wire: Wire) -> None:
    answer = wire.http.post("/v1/sandboxes")
    assert answer.status_code == 200
    wire.delete(answer.json()["id"])


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"template": 3}, "template"),
        ({"template": "no-such-template"}, "template"),
        ({"timeout_seconds": "soon"}, "timeout_seconds"),
        ({"timeout_seconds": 1.5}, "timeout_seconds"),
        ({"idle_timeout_seconds": -1}, "idle_timeout_seconds"),
        ({"ram_mib": 0}, "ram_mib"),
        ({"rootfs_gb": [4]}, "rootfs_gb"),
        ({"persistent": "yes"}, "persistent"),
        ({"egress": 0}, "egress"),
        (["default"], "body"),
        ("default", "body"),
        (b"{", "JSON"),
        (b'{"template": "\xff"}', "template"),
    ],
)
def test_a_malformed_create_is_400_and_names_the_field(wire: Wire, body: object, named: str) -> None:
    answer = wire.post("/v1/sandboxes", body)
    assert answer.status_code == 400
    assert named in error_of(answer)
