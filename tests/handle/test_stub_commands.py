"""Shell commands that a test answers by name, on every isolation backend."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW, backends
from ..serving import serving

PYTHON = """
import os, shutil, subprocess
print(subprocess.run(["aws", "s3", "ls"], capture_output=True, text=True).stdout, end="")
print(subprocess.run("aws shell", shell=True, capture_output=True, text=True).stdout, end="")
print(subprocess.run(["aws"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True).stdout, end="")
print(os.system("aws system") >> 8, shutil.which("aws") is not None, flush=True)
"""


@pytest.fixture(scope="module", params=backends())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with serving(request.param) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def any_server() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def any_emulator(any_server: Emulator) -> Iterator[Emulator]:
    with any_server.redirect_clients():
        yield any_server
    any_server.reset()


def bash(sandbox: Sandbox, code: str) -> str:
    return sandbox.run_code(code, "bash").stdout


@SLOW
def test_a_command_is_answered_inside_a_script_whose_rest_runs(emulator: Emulator, sandbox: Sandbox) -> None:
    pip = emulator.stub_command("pip", stdout="Collecting x\nDone", stderr="it's a 'notice'", exit_code=3)
    result = sandbox.run_code("pip install 'a b' x || echo $?; python -c 'print(6 * 7)'", "bash")
    assert (result.stdout, result.stderr) == ("Collecting x\nDone\n3\n42", "it's a 'notice'")
    assert pip.calls == [["install", "a b", "x"]]
    assert pip.used == 1
    (told,) = emulator.execs()
    assert (told.commands, told.stub) == ((("pip", "install", "a b", "x"),), None)
    assert repr(told).endswith(" ms, stubbed: pip)>")


@pytest.mark.parametrize(
    "code",
    [
        "sh -c 'aws one'",
        "bash -c 'aws one'",
        "env aws one",
        "echo one | xargs aws",
        "f() { aws one; }; f",
        "timeout 60 aws one",
        "eval 'aws one'",
        "(exec aws one)",
        "echo $(aws one)",
        "printf '#!/bin/bash\\naws one' > /root/run.sh; bash /root/run.sh",
        "printf '#!/bin/bash\\naws one' > /root/run.sh; chmod +x /root/run.sh; /root/run.sh",
        "aws one & wait",
    ],
)
def test_it_is_answered_wherever_it_is_called_by_name(
    emulator: Emulator, sandbox: Sandbox, code: str
) -> None:
    aws = emulator.stub_command("aws", stdout="from the cloud")
    assert bash(sandbox, code) == "from the cloud"
    assert aws.calls == [["one"]]


def test_it_is_answered_to_python_code(emulator: Emulator, sandbox: Sandbox) -> None:
    aws = emulator.stub_command("aws", stdout="from the cloud", exit_code=4)
    assert sandbox.run_code(PYTHON).stdout.splitlines() == [*["from the cloud"] * 4, "4 True"]
    assert aws.calls == [["s3", "ls"], ["shell"], [], ["system"]]


def test_arguments_arrive_as_they_were_given(emulator: Emulator, sandbox: Sandbox) -> None:
    aws = emulator.stub_command("aws")
    bash(sandbox, "aws '' 'two\nlines' é \"it's\" '*' -n; aws")
    assert aws.calls == [["", "two\nlines", "é", "it's", "*", "-n"], []]


def test_what_does_not_match_is_the_real_command(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub_command("python3", match="-m pip install", stdout="Done")
    emulator.stub_command("nothing-of-that-name", match="x")
    assert bash(sandbox, "python3 -m pip install x; python3 -c 'print(1)'") == "Done\n1"
    result = sandbox.run_code("nothing-of-that-name y", "bash")
    assert (result.stderr, result.exit_code) == ("nothing-of-that-name: command not found", 127)


def test_the_real_command_finds_the_variables_of_its_caller(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub_command("printenv", match="never", times=1)
    emulator.stub_command("printenv", match="once", stdout="Done")
    names = ["number", "directory", "program", "call", "most", "stubs"]
    code = "".join(f"export {name}=1\n" for name in names) + f"printenv once; printenv {' '.join(names)}"
    assert bash(sandbox, code).split("\n") == ["Done", *["1"] * len(names)]


def test_the_newest_that_matches_answers_as_often_as_it_may(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub_command("curl", stdout="default", default=True)
    emulator.stub_command("curl", stdout="page")
    failing = emulator.stub_command("curl", match="https:", stdout="503", exit_code=22, times=3)
    assert bash(sandbox, "curl https://a; curl ftp://b; curl https://c") == "503\npage\n503"
    assert bash(sandbox, "curl https://d; curl https://e") == "503\npage"
    assert failing.calls == [["https://a"], ["https://c"], ["https://d"]]
    emulator.assert_all_stubs_used()


def test_calls_at_the_same_time_are_all_told_and_count(emulator: Emulator, sandbox: Sandbox) -> None:
    twice = emulator.stub_command("aws", stdout="first", times=2)
    said = bash(sandbox, "for n in 1 2 3 4 5 6; do (aws $n || echo none) 2> /dev/null & done; wait")
    assert sorted(said.split()) == ["first", "first", "none", "none", "none", "none"]
    assert twice.used == 2


def test_an_answer_takes_its_time_and_is_streamed(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub_command("train", stdout=["one", 0.05, "three"], stderr=[0.02, "two"], delay=0.01)
    said = [event.data for event in sandbox.run_code_stream("train 2>&1", "bash")]
    assert said == ["one", "two", "three", 0]
    emulator.stub_command("train", stdout=["begun", 3600])
    events = sandbox.run_code_stream("train", "bash")
    assert next(events).data == "begun"
    events.close()
    assert bash(sandbox, "echo its turn") == "its turn"


@pytest.mark.parametrize("number", ["INT", "TERM"])
def test_an_answer_that_waits_dies_of_a_signal_as_programs_do(
    emulator: Emulator, sandbox: Sandbox, number: str
) -> None:
    seconds = 10_000 + os.getpid()  # no other worker's, which some backends let a sandbox see
    emulator.stub_command("train", stdout=["begun", seconds])
    gone = f"while ps -o args= | grep -q '[s]leep {seconds}'; do sleep 0.01; done"
    assert bash(sandbox, f"timeout -s {number} 0.2 train; echo $?; {gone}").split() == ["begun", "124"]


def test_a_sandbox_of_before_and_its_forks_obey(emulator: Emulator, sandbox: Sandbox) -> None:
    bash(sandbox, "true")
    (early,) = sandbox.fork()
    git = emulator.stub_command("git", stdout="cloned", times=3)
    assert bash(sandbox, "git 1") == "cloned"
    with early, sandbox.fork()[0] as late:
        assert bash(early, "git 2") == "cloned"
        assert bash(late, "git 3") == "cloned"
        assert sandbox.diff(late) == {"added": [], "removed": [], "modified": []}
        assert "cloned" not in bash(late, "git --version")
    assert git.calls == [["1"], ["2"], ["3"]]


def test_a_call_in_the_background_is_told_once(emulator: Emulator, sandbox: Sandbox) -> None:
    aws = emulator.stub_command("aws")
    bash(sandbox, "mkfifo /tmp/go; (read < /tmp/go; aws late; echo > /tmp/go) &")
    bash(sandbox, "true")
    assert aws.calls == []
    bash(sandbox, "echo > /tmp/go; read < /tmp/go")
    (child,) = sandbox.fork()
    with child:
        bash(child, "true")
    assert aws.calls == [["late"]]


def test_they_are_gone_after_a_reset(emulator: Emulator, sandbox: Sandbox) -> None:
    aws = emulator.stub_command("aws", stdout="from the cloud")
    assert bash(sandbox, "aws; ls -a / /root /tmp | grep stubs") == "from the cloud"
    emulator.reset(keep=[sandbox.id])
    assert bash(sandbox, "aws || ls -A /.venv").split() == ["bin", "lib", "pyvenv.cfg"]
    with pytest.raises(EmulatorError, match="the stub of the command 'aws' is gone: the emulator was reset"):
        _ = aws.calls


def test_code_that_removes_them_gets_the_real_ones(emulator: Emulator, sandbox: Sandbox) -> None:
    aws = emulator.stub_command("aws")
    assert sandbox.run_code("aws; rm -r /.venv/stubs; aws", "bash").exit_code == 127
    emulator.stub_command("aws", stdout="there again")
    assert bash(sandbox, "aws") == "there again"
    assert aws.used == 0


def test_where_they_cannot_be_put_nothing_runs_in_their_place(emulator: Emulator, sandbox: Sandbox) -> None:
    bash(sandbox, "touch /.venv/stubs")
    emulator.stub_command("aws")
    for _ in range(2):
        result = sandbox.run_code("touch /root/ran", "bash")
        assert result.exit_code == 1
        assert "podflare: the test's commands cannot be put on the PATH: " in result.stderr
    emulator.reset(keep=[sandbox.id])
    assert bash(sandbox, "rm /.venv/stubs; ls /root") == ""


@SLOW
def test_one_that_was_not_called_is_named(any_emulator: Emulator) -> None:
    any_emulator.stub_command("pip", match="install")
    with Sandbox() as sandbox:
        bash(sandbox, "echo pip install")
        with pytest.raises(AssertionError) as raised:
            any_emulator.assert_all_stubs_used()
    assert "nothing matched the stub(s) of the command 'pip' with 'install'; what ran:" in str(raised.value)


@SLOW
def test_a_fork_by_replay_is_answered_what_it_was_the_first_time() -> None:
    with Emulator(fork="replay") as emulator, emulator.redirect_clients(), Sandbox() as sandbox:
        aws = emulator.stub_command("aws", stdout="once", times=1)
        ask = "import subprocess; said = subprocess.run(['aws'], capture_output=True, text=True).stdout"
        sandbox.run_code(ask)
        aws_now = emulator.stub_command("aws", stdout="now")
        (child,) = sandbox.fork()
        with child:
            assert child.run_code("print(said)").stdout == "once\n"
            assert bash(child, "aws child") == "now"
        assert (aws.calls, aws_now.calls) == ([[]], [["child"]])


@SLOW
def test_a_server_in_a_process_answers_them_too() -> None:
    with Emulator(server="process") as emulator, emulator.redirect_clients(), Sandbox() as sandbox:
        aws = emulator.stub_command("aws", stdout=("a", "b"))
        assert bash(sandbox, "aws x") == "a\nb"
        assert aws.calls == [["x"]]


@SLOW
@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("/usr/bin/pip", {}, "expected a program's name such as pip, without a path, got '/usr/bin/pip'"),
        ("pip install", {}, "expected a program's name such as pip"),
        ("", {}, "expected a program's name"),
        (None, {}, "expected a program's name such as pip, without a path, got None"),
        ("echo", {}, "echo is part of bash and not looked up on the PATH; stub the code that calls it"),
        ("bash", {}, "bash is part of bash"),
        (
            "pip",
            {"match": re.compile("x")},
            "match: expected a part of the command's arguments, got re.compile('x')",
        ),
        ("pip", {"stdout": print}, "stdout: expected a string, or a list of strings and seconds"),
        ("pip", {"stdout": "a\0b"}, "cannot hold a NUL character"),
        ("pip", {"stderr": ["a", 1, "b\0"]}, "cannot hold a NUL character"),
        ("pip", {"exit_code": -1}, "exit_code: expected 0 to 255, got -1"),
        ("pip", {"delay": "1"}, "delay: expected seconds, 0 or more, got '1'"),
        ("pip", {"times": 0}, "times: expected 1 or more, got 0"),
        (
            "pip",
            {"answer": lambda call: ""},
            "answer: a command is answered in the sandbox, where no function",
        ),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(
    any_emulator: Emulator, command: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EmulatorError, match=re.escape(message)):
        any_emulator.stub_command(command, **options)


@SLOW
def test_the_control_api_takes_and_refuses_the_same(any_emulator: Emulator) -> None:
    def control(name: str, **arguments: Any) -> httpx.Response:
        return httpx.post(f"{any_emulator.url}/_emulator/{name}", json=arguments)

    number = control("add_command_stub", command="aws", stdout=["a", 0.01, "b"]).json()["result"]
    with Sandbox() as sandbox:
        assert bash(sandbox, "aws x") == "a\nb"
    assert control("command_calls").json() == {"result": [[number, [["x"]]]]}
    assert control("add_command_stub", command="a/b").status_code == 400


@SLOW
def test_only_the_defaults_answer_what_is_prepared_for_other_tests(any_emulator: Emulator) -> None:
    any_emulator.stub("ask", stdout="default", default=True)
    any_emulator.stub_command("aws", stdout="default", default=True)
    with Sandbox() as sandbox:
        any_emulator.stub("ask", stdout="the test's")
        any_emulator.stub_command("aws", stdout="the test's")
        with any_emulator.only_default_stubs():
            with any_emulator.only_default_stubs():
                pass
            assert (sandbox.run_code("ask").stdout, bash(sandbox, "aws")) == ("default", "default")
        assert (sandbox.run_code("ask").stdout, bash(sandbox, "aws")) == ("the test's", "the test's")


@pytest.mark.parametrize("code", ["ulimit -f 0; uname", "trap '' XFSZ; ulimit -f 0; uname"])
def test_a_call_that_cannot_be_written_down_is_answered(
    emulator: Emulator, sandbox: Sandbox, code: str
) -> None:
    emulator.stub_command("uname", stdout="stubbed")
    assert bash(sandbox, code) == "stubbed"


def test_what_is_stubbed_is_not_run_where_no_answer_can_be_put_on_the_path(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    sandbox.run_code("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))")
    emulator.stub_command("uname", stdout="stubbed")
    result = sandbox.run_code("uname", "bash")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert "the test's commands cannot be put on the PATH" in result.stderr
    sandbox.run_code("resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))")


@SLOW
@pytest.mark.parametrize("options", ["size=8m,noexec", "size=8m"], ids=["noexec", "full"])
@pytest.mark.parametrize("isolation", ["preload", "portable"])
def test_a_temp_directory_that_is_noexec_or_full(tmp_path: Path, isolation: str, options: str) -> None:
    program = f"""
from podflare import Sandbox
from podflare_emulator import Emulator
with Emulator(isolation={isolation!r}, pool_size=0) as emulator, emulator.redirect_clients(), Sandbox() as sandbox:
    emulator.stub_command("uname", stdout="stubbed")
    print(sandbox.run_code("head -c 9000000 /dev/zero > /root/fill; uname; uname", "bash"))
"""
    done = subprocess.run(
        [*_with_mount(tmp_path, options), sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "libfakechroot is not installed" in done.stderr:
        pytest.skip("fakechroot is not installed")
    assert "Linux" not in done.stdout, "the real command was run"
    if "noexec" in options:
        assert "the temp directory is mounted noexec" in done.stdout, done.stderr
    else:
        assert "stdout='stubbed\\nstubbed'" in done.stdout, done.stderr


def _with_mount(directory: Path, options: str) -> list[str]:
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    mount = f'mount -t tmpfs -o {options} none {directory} && exec "$@"'
    words = ["unshare", *user, "--mount", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("mounts cannot be had here")
    return words
