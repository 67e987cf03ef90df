"""A reset leaves what the emulator was started with, and forgets all that was arranged since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from podflare import Sandbox, ServerError
from podflare_emulator import Emulator

from ..matrix import SLOW


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator(isolation="portable", seed=7) as emulator:
        yield emulator


def control(emulator: Emulator, name: str, **arguments: Any) -> None:
    httpx.post(f"{emulator.url}/_emulator/{name}", json=arguments).raise_for_status()


def first_id(emulator: Emulator) -> str:
    emulator.reset()
    with Sandbox() as sandbox:
        return sandbox.id


@SLOW
def test_ids_are_the_seeds_again_whatever_was_to_last(emulator: Emulator) -> None:
    expected = first_id(emulator)
    control(emulator, "lasting_ids", lasting=True)
    assert first_id(emulator) == expected


@SLOW
def test_an_id_to_keep_is_no_other_sandboxs_though_the_seed_gives_it_again(emulator: Emulator) -> None:
    closed = first_id(emulator)
    emulator.reset(keep=[closed])
    with Sandbox() as other:
        assert other.id != closed
        assert emulator.reset(keep=[closed]) == [other.id]


@SLOW
def test_a_second_start_knows_nothing_of_what_was_arranged_before() -> None:
    emulator = Emulator(isolation="portable")
    with emulator:
        emulator.env["WHO"] = "the first"
        emulator.files["/data/x"] = "of the first"
        emulator.echo_last_expression = True
        emulator.stub("never run")
        emulator.fault("exec", status=503)
    with emulator, Sandbox(host=emulator.url) as sandbox:
        assert (dict(emulator.env), emulator.echo_last_expression) == ({}, False)
        emulator.assert_all_faults_used()
        emulator.assert_all_stubs_used()
        with emulator.files.set_aside(), emulator.env.set_aside():
            pass
        assert sandbox.run_code("'echo'").stdout == ""
        with Sandbox(host=emulator.url) as another:
            found = another.run_code("import os; print(os.environ.get('WHO'), os.path.exists('/data/x'))")
            assert found.stdout == "None False"


def test_faults_happen_again_though_they_were_suspended(emulator: Emulator) -> None:
    control(emulator, "suspend_faults")
    emulator.reset()
    emulator.fault("create", status=503)
    with pytest.raises(ServerError):
        Sandbox()


def test_a_reset_inside_without_faults_does_not_upset_it(emulator: Emulator) -> None:
    emulator.fault("create", status=503)
    with emulator.without_faults():
        emulator.reset()
    emulator.fault("create", status=503)
    with emulator.without_faults(), Sandbox():
        pass
    with pytest.raises(ServerError):
        Sandbox()


@SLOW
def test_stubs_are_gone_and_default_ones_too(emulator: Emulator) -> None:
    emulator.stub("1", stdout="stubbed", default=True)
    emulator.stub_command("pip", stdout="stubbed", default=True)
    control(emulator, "leave_only_default_stubs", only=True)
    emulator.reset()
    with Sandbox() as sandbox:
        assert sandbox.run_code("print(1)").stdout == "1"
        assert "stubbed" not in sandbox.run_code("pip --version", "bash").stdout
        emulator.stub("2", stdout="stubbed again")
        assert sandbox.run_code("print(2)").stdout == "stubbed again"


def test_what_is_set_aside_twice_comes_back_at_the_end_of_the_outer(emulator: Emulator) -> None:
    emulator.files["/root/file"] = "1"
    emulator.env["NAME"] = "value"
    code = "import os; print(os.path.exists('/root/file'), os.environ.get('NAME'))"
    with emulator.files.set_aside(), emulator.env.set_aside():
        with emulator.files.set_aside(), emulator.env.set_aside():
            pass
        with Sandbox() as sandbox:
            assert sandbox.run_code(code).stdout == "False None"
    with Sandbox() as sandbox:
        assert sandbox.run_code(code).stdout == "True value"
