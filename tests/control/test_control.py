"""What only an emulator can do: through `Emulator`, its server in a thread and in a process, and through HTTP."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest

from podflare import Client, NotFoundError, Sandbox, ServerError
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.domain.ahead import stock
from podflare_emulator.vocabulary.settings import SettingsError
from podflare_emulator.vocabulary.templates import Template

from ..matrix import SLOW, servers
from ..serving import serving


@pytest.fixture(scope="module", params=servers())
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


@SLOW
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
    assert (
        response.json()["error"]
        == "reset: got an unexpected keyword argument 'kep'; there are keep, remember"
    )


@SLOW
def test_what_a_reset_has_remembered_can_be_asked_for_until_another_remembers(emulator: Emulator) -> None:
    def reset(remember: bool) -> dict[str, Any]:
        control(emulator, "reset", remember=remember)
        return dict(control(emulator, "remembered").json()["result"])

    reset(True)
    control(emulator, "keep_log", level="info")
    with Sandbox() as sandbox:
        sandbox.run_code("print(6 * 7)")
        asked = {
            name: control(emulator, name).json()["result"]
            for name in ("execs", "forks", "merges", "requests", "sandboxes", "log")
        }
        assert asked["execs"]
        assert asked["log"]
        assert reset(True) == asked
    assert reset(False) == asked
    assert reset(True)["execs"] == []


def test_a_question_is_not_lost_on_whoever_asked_for_it_and_went_away(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    stub = control(emulator, "add_stub", pattern="train", asks=True).json()["result"]
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{emulator.url}/_emulator/next_question",
            json={"stub": stub},
            headers={"Authorization": "Bearer pk_test"},
            timeout=0.1,
        )
    sandbox.run_code("pass")  # the server has heard meanwhile that the other has hung up
    with ThreadPoolExecutor(1) as threads:
        training = threads.submit(sandbox.run_code, "train()")
        question = control(emulator, "next_question", stub=stub).json()["result"]
        assert question["code"] == "train()"
        control(emulator, "reply", question=question["question"], result={"stdout": "trained"})
        assert training.result().stdout == "trained"


def test_a_call_of_an_emulator_that_is_not_running_says_so() -> None:
    for ask in (Emulator().reset, Emulator().describe, lambda: Emulator().url):
        with pytest.raises(EmulatorError, match="not running"):
            ask()


@SLOW
def test_a_template_whose_modules_are_not_installed_says_which_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = Template({"pd": "no_pandas", "np": "no_numpy"})
    monkeypatch.setitem(stock.BUILT_IN, "python-datasci", missing)  # type: ignore[arg-type]
    with Emulator(isolation="portable", server="thread") as emulator, emulator.redirect_clients():
        needs = "No module named 'no_pandas'; python-datasci needs no_pandas, no_numpy in the Python of the sandboxes"
        with pytest.raises(ServerError, match=needs):
            Sandbox(template="python-datasci")


def test_an_unknown_kind_of_server_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected process or thread, got 'fork'"):
        Emulator(server="fork")  # type: ignore[arg-type]


def test_a_port_in_use_is_told_in_one_line(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    for kind in ("thread", "process"):
        with pytest.raises(EmulatorError, match=f"cannot listen on 127.0.0.1 port {port}"):
            Emulator(server=kind, port=port).start()  # type: ignore[arg-type]


def test_files_are_in_every_sandbox_created_afterwards(emulator: Emulator, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a", encoding="utf-8")
    (folder / "deep" / "run.sh").write_bytes(b"#!/bin/sh\necho ran")
    (folder / "deep" / "run.sh").chmod(0o750)
    with Sandbox() as before:
        emulator.files["/data/text.csv"] = "a,b\n1,é\n"
        emulator.files["/tmp/bytes"] = bytes(range(256))
        emulator.files["/workspace/new/file"] = folder / "a.txt"
        emulator.files["/data/folder"] = folder
        assert before.run_code("ls /data", "bash").stdout == ""
        with Sandbox() as sandbox:
            assert sandbox.download("/data/text.csv") == "a,b\n1,é\n".encode()
            assert sandbox.download("/tmp/bytes") == bytes(range(256))
            assert sandbox.download("/workspace/new/file") == b"a"
            assert sandbox.run_code("/data/folder/deep/run.sh", "bash").stdout == "ran"
            (child,) = sandbox.fork()
            with child:
                assert sandbox.diff(child, paths=["/data", "/tmp"])["modified"] == []
                child.run_code("open('/data/text.csv', 'a').write('more')")
                assert sandbox.diff(child, paths=["/data"])["modified"] == ["/data/text.csv"]


def test_files_given_anew_are_the_only_ones_and_paths_may_be_objects(emulator: Emulator) -> None:
    emulator.files["/data/first"] = "1"
    emulator.files = {PurePosixPath("/data/second"): "2"}
    with Sandbox() as sandbox:
        assert sandbox.run_code("ls /data", "bash").stdout == "second"


def test_the_control_api_takes_a_files_mode_as_octal_digits(emulator: Emulator) -> None:
    control(emulator, "add_files", files=[{"path": "/data/x", "base64": "", "mode": "750"}])
    with Sandbox() as sandbox:
        assert sandbox.run_code("stat -c %a /data/x", "bash").stdout == "750"


def test_egress_is_yes_or_no(emulator: Emulator) -> None:
    with pytest.raises(EmulatorError, match="egress: expected true or false, got 'no'"):
        emulator.egress = "no"  # type: ignore[assignment]


@SLOW
def test_five_hundred_files_and_a_large_one(emulator: Emulator) -> None:
    large = bytes(range(256)) * 40_000
    emulator.files.update({f"/data/{number}": str(number) for number in range(500)})
    emulator.files["/data/large"] = large
    with Sandbox() as sandbox:
        assert sandbox.run_code("cat /data/[0-9]* | wc -c; wc -c < /data/large", "bash").stdout.split() == [
            str(sum(len(str(number)) for number in range(500))),
            str(len(large)),
        ]


@SLOW
def test_more_files_than_the_server_may_have_open() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, limits[1]))
    try:
        with serving(server="process", pool_size=0) as emulator, Client(host=emulator.url) as client:
            emulator.files.update({f"/data/{number}": str(number) for number in range(200)})
            with Sandbox(client=client) as sandbox:
                assert sandbox.run_code("cat /data/199; ls /data | wc -l", "bash").stdout == "199200"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_second_file_of_the_same_path_replaces_the_first_and_a_reset_forgets_both(
    emulator: Emulator,
) -> None:
    emulator.files["/data/x"] = "first"
    emulator.files["/data/x"] = "second"
    with Sandbox() as sandbox:
        assert sandbox.download("/data/x") == b"second"
    emulator.reset()
    with Sandbox() as sandbox, pytest.raises(FileNotFoundError):
        sandbox.download("/data/x")


@pytest.mark.parametrize("mode", ["999", "x", -1, 0o10000, 420.0, True, None])
def test_a_mode_that_cannot_be_is_refused_at_once(emulator: Emulator, mode: Any) -> None:
    refused = control(emulator, "add_files", files=[{"path": "/data/x", "base64": "", "mode": mode}])
    assert refused.status_code == 400
    with Sandbox() as sandbox:
        assert sandbox.run_code("import os; print(os.path.exists('/data/x'))").stdout == "False"


@pytest.mark.parametrize("name", ["add_stub", "add_fault"])
@pytest.mark.parametrize(("pattern", "flags"), [("(", 0), (5, 0), ("x", "i"), ("x", 10**30)])
def test_a_pattern_that_cannot_be_is_refused(emulator: Emulator, name: str, pattern: Any, flags: Any) -> None:
    failure = {} if name == "add_stub" else {"call": "exec", "status": 503}
    refused = control(emulator, name, pattern=pattern, flags=flags, **failure)
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("pattern: " if name == "add_stub" else "code: ")


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("data/x", b"", "the sandbox path must be absolute"),
        ("/etc/passwd", b"", "/etc belongs to the system"),
        ("/data/../usr/x", b"", "/usr belongs to the system"),
        ("/data/x\0", b"", "the sandbox path cannot hold a NUL character"),
        ("/data/x", Path("/no/such/file"), "/no/such/file: No such file or directory"),
        ("/data/x", __file__, "names a file here: write Path("),
        ("/data/x", 5, "expected bytes, str or Path, got int"),
        (5, b"", "expected a path in the sandbox such as '/data', got 5"),
    ],
)
def test_a_file_that_cannot_be_is_refused_at_once(
    emulator: Emulator, path: Any, source: Any, message: str
) -> None:
    with pytest.raises(EmulatorError) as raised:
        emulator.files[path] = source
    assert message in str(raised.value)


def test_a_file_that_cannot_be_written_fails_the_create_and_says_why(emulator: Emulator) -> None:
    emulator.files["/data/x"] = "a file"
    emulator.files["/data/x/y"] = "below a file"
    with pytest.raises(ServerError, match="/data/x/y: Not a directory"):
        Sandbox()


def test_the_control_api_refuses_files_that_are_none(emulator: Emulator) -> None:
    for files in (
        [{"path": "/data/x"}],
        [{"path": "/etc/x", "base64": ""}],
        [{"path": "/data/x", "base64": "?"}],
        [{"path": "/data/x", "base64": "", "mode": "rwx"}],
        {"/data/x": ""},
        5,
    ):
        response = control(emulator, "add_files", files=files)
        assert response.status_code == 400, response.text
        assert "files: expected a list" in response.json()["error"]


def test_a_filter_of_the_journal_that_can_find_nothing_is_a_mistake(emulator: Emulator) -> None:
    with pytest.raises(
        EmulatorError, match=r"call: expected create, exec, .* got 'excec'; did you mean exec?"
    ):
        emulator.requests(call="excec")
    with pytest.raises(EmulatorError, match="status: expected a number such as 404, got '404'"):
        emulator.requests(status="404")  # type: ignore[arg-type]
    with pytest.raises(EmulatorError, match="language: expected python or bash, got 'sh'"):
        emulator.execs(language="sh")  # type: ignore[arg-type]
    for code in (5, re.compile(b"x")):
        with pytest.raises(
            EmulatorError, match="code: expected a string, or a regular expression for strings"
        ):
            emulator.execs(code=code)  # type: ignore[arg-type]
    with pytest.raises(EmulatorError, match="sandbox: expected a sandbox or its id, got None"):
        emulator.sandbox(None)  # type: ignore[arg-type]
    assert emulator.requests(call="create") == []


def test_execs_are_found_by_a_regular_expression(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("total = 1 + 2")
        sandbox.run_code("print(total)")
    assert [one.code for one in emulator.execs(code=re.compile(r"\d \+ \d"))] == ["total = 1 + 2"]
    assert emulator.execs(code="1 . 2") == []


def test_the_journal_holds_every_exec_in_order_with_what_it_said(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("import sys\nprint('out')\nsys.exit('err')")
        sandbox.run_code("echo $((6 * 7))", "bash")
        (child,) = sandbox.fork()
        with child:
            child.run_code("x = 1")
        first, second, third = emulator.execs()
        assert (first.sandbox, first.parent, first.language) == (sandbox.id, None, "python")
        assert (first.stdout, first.stderr, first.exit_code) == ("out", "err", 1)
        assert [event.type for event in first.events] == ["stdout", "stderr", "exit"]
        assert first.ended is not None
        assert first.started <= first.ended <= second.started <= third.started
        assert (third.sandbox, third.parent) == (child.id, sandbox.id)
        assert emulator.execs(language="bash") == [second] == emulator.execs(code="6 * 7")
        assert emulator.execs(sandbox=child) == [third] == emulator.execs(sandbox=child.id)
        assert repr(second).startswith(f"<{sandbox.id[:12]} bash: echo $((6 * 7)) (exit 0, ")
    emulator.reset()
    assert emulator.execs() == []


def test_the_journal_shows_an_exec_that_still_runs(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        events = sandbox.run_code_stream(
            "import time; print('first', flush=True)\nwhile True: time.sleep(0.01)"
        )
        next(events)
        (running,) = emulator.execs()
        assert (running.stdout, running.exit_code, running.ended) == ("first", None, None)
        events.close()


@SLOW
def test_the_journal_keeps_a_huge_output_short_and_its_exit(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        assert len(sandbox.run_code("print('first'); print('x' * 3_000_000)").stdout) == 3_000_006
        sandbox.run_code("print('\\n' * 200_000)")
    huge, empty = emulator.execs()
    assert huge.truncated
    assert huge.stdout == f"first\n{'x' * (65_536 - len('first') - 1)}"
    assert huge.exit_code == 0
    assert empty.truncated
    assert (len(empty.events), empty.exit_code) == (65_537, 0)


def test_the_journal_holds_forks_and_merges(emulator: Emulator) -> None:
    with Sandbox() as parent:
        winner, loser = parent.fork(2)
        with loser:
            parent.merge_into(winner)
            assert [(fork.parent, fork.children) for fork in emulator.forks] == [
                (parent.id, (winner.id, loser.id))
            ]
            assert [(merge.parent, merge.winner) for merge in emulator.merges] == [(parent.id, winner.id)]


def test_log_lines_are_kept_until_the_next_reset(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    with Sandbox() as sandbox:
        emulator.keep_log()
        sandbox.run_code("1")
    assert [line.split()[3:5] for line in emulator.log] == [
        ["POST", f"/v1/sandboxes/{sandbox.id}/exec"],
        ["DELETE", f"/v1/sandboxes/{sandbox.id}"],
    ]
    assert not caplog.records
    emulator.reset()
    Sandbox().close()
    assert emulator.log == []


def test_an_unknown_log_level_is_refused(emulator: Emulator) -> None:
    with pytest.raises(EmulatorError, match="level: expected error, warning, info, got 'loud'"):
        emulator.keep_log("loud")  # type: ignore[arg-type]
