"""Whatever writes to the sandbox's descriptors 1 and 2 is heard, not only Python's `print`."""

from podflare import Sandbox

from .printed import printed
from .wire import Wire


def test_os_system_is_heard(sandbox: Sandbox) -> None:
    result = sandbox.run_code("import os; os.system('echo out; echo err >&2')")
    assert (result.stdout, result.stderr) == ("out", "err")


def test_subprocesses_are_heard(sandbox: Sandbox) -> None:
    result = sandbox.run_code("import subprocess; subprocess.run('echo out; echo err >&2', shell=True)")
    assert (result.stdout, result.stderr) == ("out", "err")


def test_c_code_is_heard_before_the_exit(wire: Wire) -> None:
    code = "import ctypes; libc = ctypes.CDLL(None); libc.puts(b'from C'); libc.printf(b'no newline')"
    assert [event["data"] for event in wire.events(wire.create(), code)] == ["from C", "no newline", 0]


def test_raw_writes_are_heard(sandbox: Sandbox) -> None:
    result = sandbox.run_code(r"import os; os.write(1, b'out\n'); os.write(2, b'err\n')")
    assert (result.stdout, result.stderr) == ("out", "err")


def test_python_and_its_children_are_heard_in_order(sandbox: Sandbox) -> None:
    code = "import os\nfor i in range(3):\n    print('print', i); os.system(f'echo system {i}')"
    assert printed(sandbox, code) == "print 0\nsystem 0\nprint 1\nsystem 1\nprint 2\nsystem 2"


def test_logging_is_heard_on_stderr(sandbox: Sandbox) -> None:
    assert sandbox.run_code("import logging; logging.warning('careful')").stderr == "WARNING:root:careful"


def test_a_warning_is_heard_on_stderr(sandbox: Sandbox) -> None:
    assert "UserWarning: careful" in sandbox.run_code("import warnings; warnings.warn('careful')").stderr


def test_output_redirected_by_the_code_is_not_heard(sandbox: Sandbox) -> None:
    code = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as heard: print('secret')"
    assert printed(sandbox, code) == ""
    assert printed(sandbox, "print(heard.getvalue(), end='')") == "secret"


def test_what_a_child_leaves_in_its_buffers_is_not_said_twice(sandbox: Sandbox) -> None:
    code = "import sys; sys.stdout.write('once')\nimport os; os.system('true')\nsys.stdout.write('!')"
    assert printed(sandbox, code) == "once!"
