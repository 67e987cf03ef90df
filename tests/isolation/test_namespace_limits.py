"""What a sandbox was ordered with holds: memory, disk; and its open files are its own trouble."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from podflare import Sandbox, ServerError
from podflare_emulator import Emulator

from ..matrix import SLOW

Make = Callable[..., Sandbox]

TAKE_ALL = "x = b'1' * 2**30"
# Each is within the limit, all together are not, and nobody tells them to end.
TAKE_MORE_TOGETHER = """
import os, subprocess, sys
program = "x = bytearray(40 * 2**20); input()"
children = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) for _ in range(5)]
_, status = os.wait()
print(os.WTERMSIG(status))
"""
SHARE_ALL = """
import mmap
shared = mmap.mmap(-1, 2**30)
for page in range(0, len(shared), mmap.PAGESIZE):
    shared[page] = 1
"""
FILL = """
try:
    with open("/data/large", "wb", buffering=0) as file:
        for _ in range(1100):
            file.write(bytes(2**20))
except OSError as error:
    print(error.strerror)
"""
OPEN_ALL = """
files = []
try:
    while len(files) < 10_000:
        files.append(open("/root/file", "a"))
except OSError as error:
    print(error.strerror)
"""


def test_a_process_that_takes_more_memory_gets_memory_error(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox(ram_mib=128)
    result = sandbox.run_code(TAKE_ALL)
    assert result.stderr.splitlines()[-1] == "MemoryError"
    assert sandbox.run_code("print(len(b'1' * 64 * 2**20))").stdout == str(64 * 2**20)


def test_a_child_that_takes_more_memory_gets_memory_error(namespace_sandbox: Make) -> None:
    result = namespace_sandbox(ram_mib=128).run_code(f'python3 -c "{TAKE_ALL}"', language="bash")
    assert result.stderr.splitlines()[-1] == "MemoryError"


def test_processes_that_take_more_memory_together_are_killed(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox(ram_mib=128)
    result = sandbox.run_code(TAKE_MORE_TOGETHER)
    assert result.stdout == "9"
    assert (
        "podflare: the sandbox's processes took more than its 128 MiB of memory: killed process"
        in result.stderr
    )
    assert sandbox.run_code("print('it goes on')").stdout == "it goes on"


def test_a_guest_that_takes_more_shared_memory_is_killed_and_told_why(namespace_sandbox: Make) -> None:
    result = namespace_sandbox(ram_mib=128).run_code(SHARE_ALL)
    assert result.exit_code == 128 + 9
    why, how = result.stderr.splitlines()
    assert "took more than its 128 MiB of memory: killed process" in why
    assert "the sandbox's interpreter was killed by signal 9" in how


def test_without_an_order_there_is_no_limit_of_memory(namespace_sandbox: Make) -> None:
    assert (
        namespace_sandbox().run_code("ulimit -d; ulimit -v", language="bash").stdout == "unlimited\nunlimited"
    )


@SLOW
def test_a_disk_that_is_full_says_so(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox(rootfs_gb=1)
    assert sandbox.run_code(FILL).stdout == "No space left on device"
    assert (
        sandbox.run_code("rm /data/large; echo 1 > /tmp/small; cat /tmp/small", language="bash").stdout == "1"
    )


def test_a_disk_has_the_size_that_was_ordered(namespace_sandbox: Make) -> None:
    code = (
        "import shutil; print({shutil.disk_usage(path).total for path in ('/', '/root', '/tmp', '/dev/shm')})"
    )
    assert namespace_sandbox(rootfs_gb=2).run_code(code).stdout == str({2 * 2**30})


def test_a_disk_of_a_size_holds_what_every_sandbox_does(namespace_sandbox: Make) -> None:
    code = "ls -A / /root /tmp /home /var /etc /.venv/bin; python -c 'import sys; print(sys.path)'"
    sized, other = namespace_sandbox(rootfs_gb=1), namespace_sandbox()
    assert sized.run_code(code, language="bash").stdout == other.run_code(code, language="bash").stdout
    difference = other.diff(sized, paths=["/etc", "/root", "/tmp", "/.venv"])
    assert difference == {"added": [], "removed": [], "modified": []}


def test_a_sandbox_of_a_size_cannot_be_forked(namespace_sandbox: Make) -> None:
    with pytest.raises(ServerError, match="cannot be forked"):
        namespace_sandbox(rootfs_gb=1).fork(1)


@SLOW
def test_ten_thousand_open_files_are_an_error_inside(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    assert sandbox.run_code(OPEN_ALL).stdout == "Too many open files"
    assert "Too many open files" in sandbox.run_code("echo 1", language="bash").stderr
    (child,) = sandbox.fork(1)  # all the same
    assert child.run_code("print(len(files) in (1016, 1017, 1018) or len(files))").stdout == "True"
    child.close()
    assert sandbox.run_code("files.clear(); print('it goes on')").stdout == "it goes on"
    assert sandbox.run_code("echo too", language="bash").stdout == "too"
    assert namespace_sandbox().run_code("print('as others do')").stdout == "as others do"


def test_a_program_can_raise_its_limit_of_open_files_and_keeps_it(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    sandbox.run_code("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 4096))")
    assert sandbox.run_code("print(resource.getrlimit(resource.RLIMIT_NOFILE))").stdout == "(2000, 4096)"
    assert sandbox.run_code("ulimit -n", language="bash").stdout == "2000"
    assert "ValueError" in sandbox.run_code("resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))").stderr


@SLOW
def test_portable_limits_each_process_and_each_file(portable_emulator: Callable[..., Emulator]) -> None:
    emulator = portable_emulator()
    with Sandbox(host=emulator.url, ram_mib=128, rootfs_gb=1) as sandbox:
        assert sandbox.run_code(TAKE_ALL).stderr.splitlines()[-1] == "MemoryError"
        largest = "with open('/root/large', 'wb') as file: file.truncate(2**30 + 1)"
        assert sandbox.run_code(largest).stderr.splitlines()[-1] == "OSError: [Errno 27] File too large"
