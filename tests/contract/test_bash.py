"""bash is a fresh process each call, beside the REPL and on the same files."""

import re

import pytest

from podflare import Sandbox

from ..matrix import SLOW
from .printed import printed


def test_it_is_bash(sandbox: Sandbox) -> None:
    assert printed(sandbox, "[[ abc == a* ]] && a=(1 2) && echo ${#a[@]} ${BASH_VERSION:+bash}", "bash") == (
        "2 bash"
    )


def test_variables_and_functions_do_not_carry_over(sandbox: Sandbox) -> None:
    printed(sandbox, "x=1; export y=2; f() { echo 3; }", "bash")
    assert printed(sandbox, 'echo "[$x][$y]"; type -t f || echo gone', "bash") == "[][]\ngone"


def test_the_working_directory_does_not_carry_over(sandbox: Sandbox) -> None:
    printed(sandbox, "cd /tmp", "bash")
    assert printed(sandbox, "pwd", "bash") == "/root"


def test_files_carry_over(sandbox: Sandbox) -> None:
    printed(sandbox, "mkdir -p /root/a/b && echo content > /root/a/b/file", "bash")
    assert printed(sandbox, "cat /root/a/b/file", "bash") == "content"


def test_files_are_shared_with_python(sandbox: Sandbox) -> None:
    printed(sandbox, "open('/tmp/from python', 'w').write('1')")
    printed(sandbox, "mv '/tmp/from python' /root/moved", "bash")
    assert printed(sandbox, "print(open('/root/moved').read())") == "1"


def test_the_repl_is_left_alone(sandbox: Sandbox) -> None:
    printed(sandbox, "import os; os.chdir('/tmp'); name = 1")
    printed(sandbox, "cd /; name=2", "bash")
    assert printed(sandbox, "print(os.getcwd(), name)") == "/tmp 1"


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("true", 0),
        ("false", 1),
        ("exit 42", 42),
        ("set -e; false; echo never", 1),
        ("set -o pipefail; false | true", 1),
        ("no-such-command-anywhere 2>/dev/null", 127),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
    ],
)
def test_the_exit_code_is_bashs_own(sandbox: Sandbox, code: str, exit_code: int) -> None:
    result = sandbox.run_code(code, "bash")
    assert (result.stdout, result.exit_code) == ("", exit_code)


def test_a_syntax_error_is_told_on_stderr(sandbox: Sandbox) -> None:
    result = sandbox.run_code("if then", "bash")
    assert result.exit_code == 2
    assert "syntax error" in result.stderr


def test_stderr_is_told_apart(sandbox: Sandbox) -> None:
    result = sandbox.run_code("echo out; echo err >&2", "bash")
    assert (result.stdout, result.stderr, result.exit_code) == ("out", "err", 0)


def test_pipes_work(sandbox: Sandbox) -> None:
    assert (
        printed(sandbox, "printf 'b\\na\\nb\\n' | sort | uniq -c | awk '{print $2 $1}'", "bash") == "a1\nb2"
    )


def test_heredocs_work(sandbox: Sandbox) -> None:
    code = "x=1\ncat > /root/note <<END\nx is $x\nEND\ncat /root/note - <<'END'\n$x stays\nEND"
    assert printed(sandbox, code, "bash") == "x is 1\n$x stays"


def test_a_heredoc_is_a_program_for_python(sandbox: Sandbox) -> None:
    assert printed(sandbox, "python3 - <<'END'\nprint(6 * 7)\nEND", "bash") == "42"


def test_uname_tells_of_a_linux(sandbox: Sandbox) -> None:
    assert printed(sandbox, "uname -a", "bash").startswith("Linux ")


def test_python3_runs(sandbox: Sandbox) -> None:
    assert printed(sandbox, "python3 -c 'print(6 * 7)'", "bash") == "42"


def test_python3_is_the_repls_own(sandbox: Sandbox) -> None:
    version = printed(sandbox, "import sys; print(sys.version)")
    assert printed(sandbox, "python3 -c 'import sys; print(sys.version)'", "bash") == version


@SLOW
def test_pip_runs(sandbox: Sandbox) -> None:
    assert re.match(r"pip \d+", printed(sandbox, "pip --version", "bash"))


def test_home_is_root(sandbox: Sandbox) -> None:
    assert printed(sandbox, "echo ~ $HOME", "bash") == "/root /root"


def test_stdin_is_empty(sandbox: Sandbox) -> None:
    assert printed(sandbox, "cat; read line || echo nothing", "bash") == "nothing"


def test_a_background_job_does_not_hold_the_call(sandbox: Sandbox) -> None:
    assert printed(sandbox, "sleep 100 & echo started", "bash") == "started"
    assert printed(sandbox, "pgrep -x sleep > /dev/null && echo still there", "bash") == "still there"


def test_a_background_job_may_write_after_the_call(sandbox: Sandbox) -> None:
    # It would die of SIGPIPE if the pipes ended with the call.
    printed(sandbox, "(sleep 0.2; echo late; echo done > /root/done) &", "bash")
    assert "done" in printed(sandbox, "until [ -s /root/done ]; do sleep 0.01; done; cat /root/done", "bash")


def test_a_script_longer_than_one_argument_may_be_runs(sandbox: Sandbox) -> None:
    assert printed(sandbox, f": {'x' * 300_000}\necho done", "bash") == "done"


def test_every_script_comes_through(sandbox: Sandbox) -> None:
    assert printed(sandbox, "echo 'grün 🐍 日本' | tee '/root/ü n'; cat /root/ü*", "bash") == (
        "grün 🐍 日本\ngrün 🐍 日本"
    )


def test_bash_code_may_be_indented(sandbox: Sandbox) -> None:
    assert printed(sandbox, "\n    for i in 1 2; do\n        echo $i\n    done\n", "bash") == "1\n2"


def test_the_output_of_a_process_substitution_is_not_lost(sandbox: Sandbox) -> None:
    reads = "until [ -e /tmp/reads ]; do sleep 0.01; done"  # before bash ends
    code = f"printf '2\\n1\\n' > >(touch /tmp/reads; sleep 0.2; sort); {reads}"
    assert printed(sandbox, code, "bash") == "1\n2"
    code = f"rm /tmp/reads; echo a | tee >(cat > >(touch /tmp/reads; sleep 0.2; tr a b)) > /dev/null; {reads}"
    assert printed(sandbox, code, "bash") == "b"


def test_the_output_of_a_coprocess_is_not_lost(sandbox: Sandbox) -> None:
    reads = "until [ -e /tmp/reads ]; do sleep 0.01; done"  # before bash ends
    code = (
        "exec 9>&1; coproc { touch /tmp/reads; cat; sleep 0.2; echo end; } >&9 2>&1; echo start >&${COPROC[1]}; "
        + reads
    )
    assert printed(sandbox, code, "bash") == "start\nend"


def test_a_pipeline_in_the_background_does_not_hold_the_call(sandbox: Sandbox) -> None:
    assert printed(sandbox, "(sleep 0.1; exec sleep 100) | cat & echo started", "bash") == "started"
    assert printed(sandbox, "pgrep -x sleep > /dev/null && echo still there", "bash") == "still there"
