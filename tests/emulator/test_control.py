"""What only an emulator can do: through `Emulator`, its server in a thread and in a process, and through HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from podflare import NotFoundError, Sandbox
from podflare_emulator.emulator import Emulator, EmulatorError
from podflare_emulator.settings import SettingsError


@pytest.fixture(scope="module", params=["thread", "process"])
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param, api_keys=("pk_test",)) as emulator:
        yield emulator


@pytest.fixture
def emulator(server: Emulator) -> Iterator[Emulator]:
    with server.redirect_clients():
        yield server
    server.reset()


def control(emulator: Emulator, name: str, key: str = "pk_test", **arguments: Any) -> httpx.Response:
    return httpx.post(
        f"{emulator.url}/_emulator/{name}", json=arguments, headers={"Authorization": f"Bearer {key}"}
    )


def test_reset_destroys_every_sandbox_but_those_to_keep(emulator: Emulator) -> None:
    with Sandbox() as kept, Sandbox() as other:
        kept.run_code("x = 1")
        assert emulator.reset(keep=[kept.id]) == [other.id]
        assert kept.run_code("print(x)").stdout == "1"
        with pytest.raises(NotFoundError):
            other.run_code("1")


def test_the_control_api_makes_the_same_calls(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        response = control(emulator, "reset")
    assert (response.status_code, response.json()) == (200, {"result": [sandbox.id]})


def test_the_control_api_wants_the_key(emulator: Emulator) -> None:
    assert control(emulator, "reset", key="pk_wrong").status_code == 401


def test_the_control_api_names_its_calls(emulator: Emulator) -> None:
    response = control(emulator, "rest")
    assert response.status_code == 404
    assert "no call 'rest'; there are" in response.json()["error"]
    assert "reset" in response.json()["error"]


def test_the_control_api_names_an_argument_that_does_not_fit(emulator: Emulator) -> None:
    response = control(emulator, "reset", kep=[])
    assert response.status_code == 400
    assert "kep" in response.json()["error"]


def test_a_call_of_an_emulator_that_is_not_running_says_so() -> None:
    with pytest.raises(EmulatorError, match="not running"):
        Emulator().reset()


def test_an_unknown_kind_of_server_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected thread or process, got 'fork'"):
        Emulator(server="fork")  # type: ignore[arg-type]


def test_a_port_in_use_is_told_in_one_line(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    for kind in ("thread", "process"):
        with pytest.raises(EmulatorError, match=f"cannot listen on 127.0.0.1 port {port}"):
            Emulator(server=kind, port=port).start()  # type: ignore[arg-type]
