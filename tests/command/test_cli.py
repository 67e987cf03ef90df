"""The command: one clear line and exit 2 for what cannot be, a URL and exit 0 for what can."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import httpx
import pytest

from podflare_emulator.command.cli import main

from ..matrix import SLOW

COMMAND = [sys.executable, "-m", "podflare_emulator"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PODFLARE_")}


@pytest.fixture(autouse=True)
def no_podflare_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(ENVIRONMENT):
        monkeypatch.delenv(name)


def exit_code(argv: Sequence[str]) -> object:
    try:
        return main(argv)
    except SystemExit as stopped:
        return stopped.code


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line on stderr with which the command refuses to start."""
    code = exit_code(argv)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    [line] = captured.err.splitlines()
    assert line.startswith("podflare-emulator: ")
    return line


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--unknown"], "--unknown"),
        (["--por=1"], "--por=1; did you mean --port?"),
        (["--profil", "hosted"], "did you mean --profile?"),
        (["exec", "--port", "1"], "after --, such as: exec -- pytest"),
        (["doctor", "--", "ls"], "only exec runs a program"),
        (["serve"], "serve"),
        (["--port"], "--port"),
        (["--port", "http"], "'http'"),
        (["--port", "70000"], "70000"),
        (["--isolation", "vm"], "namespace, preload or portable, got 'vm'"),
        (["--fork", "magic"], "expected live or replay, got 'magic'"),
        (["--fork-files", "links"], "fork files: expected auto, layers or copy, got 'links'"),
        (["--python", "/no/such/python"], "'/no/such/python'"),
        (["--mount", "/no/such/folder:/data"], "'/no/such/folder'"),
        (["--mount", "data"], "HOST_PATH:SANDBOX_PATH"),
        (["--mount", ".:/usr/data"], "/usr belongs to the system"),
        (["--host", "0.0.0.0"], "--api-key"),
        (["--api-key", ""], "api key"),
        (["--allow-host", "devbox:1"], "'devbox:1'"),
        (["--env", "NOT_SET_HERE"], "NOT_SET_HERE is not set here; set it, or write NOT_SET_HERE=VALUE"),
        (["--env", "PATH=/bin"], "PATH is the sandbox's own"),
        (["--log-format", "yaml"], "text or json, got 'yaml'"),
        (["doctor", "--port", "-1"], "0 to 65535"),
        (["--mount", "a\nb"], "mount"),
        (["a\nb"], "invalid choice"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert said in refusal(capsys, *argv)


def test_a_wrong_variable_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODFLARE_HOSTD_ADDR", "nowhere")
    assert "PODFLARE_HOSTD_ADDR" in refusal(capsys)


def test_a_wrong_argument_does_not_wait_for_the_servers_imports() -> None:
    program = (
        "import sys; from podflare_emulator.command.cli import main; assert main(['--mount', 'x']) == 2;"
        "assert not {'starlette', 'uvicorn', 'msgspec', 'asyncio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=ENVIRONMENT)


def test_help_tells_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "PODFLARE_API_URL" in shown
    for option in (
        *("--host", "--port", "--isolation", "--fork", "--python", "--mount", "--api-key", "--allow-host"),
        "--fork-files",
        *("--seed", "--log-format", "--version", "doctor", "exec"),
    ):
        assert option in shown


def test_a_subcommands_help_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["exec", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: podflare-emulator exec [option ...] -- PROGRAM")
    assert "--isolation" in shown


def test_version_is_the_distributions() -> None:
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("podflare-emulator ")


@pytest.fixture
def nobody() -> Iterator[int]:
    """The end of a pipe that nobody reads."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    yield write_end
    os.close(write_end)


@pytest.mark.parametrize(
    "arguments", ["--version", "--help", "exec --help", pytest.param("doctor", marks=SLOW)]
)
def test_a_reader_that_has_gone_away_does_not_hurt(nobody: int, arguments: str) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments.split()], stdout=nobody, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_refusal_that_nobody_reads_is_one_all_the_same(nobody: int) -> None:
    for arguments in (["--port", "x"], ["--mount", "x"]):
        done = subprocess.run([*COMMAND, *arguments], stdout=nobody, stderr=nobody, env=ENVIRONMENT)
        assert done.returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full disk to write to")
def test_output_that_cannot_be_written_is_one_line_on_stderr() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
    assert done.stderr == "podflare-emulator: cannot write the output: No space left on device\n"


class Served:
    """A running command and its URL, read from the first line of its stdout."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        self.first_line = process.stdout.readline()
        self.url = self.first_line.split()[-1] if self.first_line else ""

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code and stderr after signal `number`."""
        self.process.send_signal(number)
        _, errors = self.process.communicate()
        return self.process.returncode, errors


@pytest.fixture
def served() -> Iterator[Served]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--isolation", "portable"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        yield Served(process)
    finally:
        process.kill()
        process.communicate()


@SLOW
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_serves_and_ends_with_0(served: Served, number: signal.Signals) -> None:
    assert served.first_line == f"Podflare emulator, isolation: portable, listening on {served.url}\n"
    assert served.url.startswith("http://127.0.0.1:")
    assert served.process.stdout is not None
    assert [served.process.stdout.readline() for _ in range(3)][1:] == [
        f"this SDK: export PODFLARE_HOST={served.url}\n",
        f"the vendor's client: export PODFLARE_API_URL={served.url}\n",
    ]
    assert httpx.get(f"{served.url}/v1/healthz").text == "ok"
    code, errors = served.end(number)
    assert code == 0
    assert "GET /v1/healthz 200" in errors
    assert "Traceback" not in errors


@SLOW
def test_a_second_signal_does_not_lose_the_clean_up(served: Served) -> None:
    assert served.url
    served.process.send_signal(signal.SIGINT)
    code, errors = served.end(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in errors


def test_a_port_in_use_is_one_line_and_exit_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("podflare-emulator: ")
    assert port in line
    assert "port 0 takes a free one" in line
