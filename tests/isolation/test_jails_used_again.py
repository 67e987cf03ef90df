"""A new sandbox is new, whatever was done in those before it: their directories may be used again."""

from __future__ import annotations

from podflare import Client, Sandbox
from podflare_emulator import Emulator

_DESCRIBE = """
import os
for top in ("/root", "/home", "/data", "/workspace", "/opt", "/srv", "/tmp", "/var", "/run", "/.venv"):
    for directory, directories, files in os.walk(top):
        for path in sorted([directory, *(f"{directory}/{name}" for name in files)]):
            status = os.lstat(path)
            content = open(path, "rb").read() if os.path.isfile(path) else b""
            print(path, oct(status.st_mode), status.st_nlink, status.st_mtime_ns, content[:2000])
"""
_USES = (
    "1 + 1",
    "open('/root/secret', 'w').write('x'); open('/tmp/secret', 'w').close()",
    "import os; os.chmod('/root', 0o777); os.chmod('/tmp', 0o700); os.utime('/data', (0, 0))",
    "import os; os.rmdir('/srv'); os.symlink('/root', '/srv')",
    "import os; os.rmdir('/data'); os.mkdir('/data', 0o700)",
    "import os; os.makedirs('/workspace/a/b/c'); open('/workspace/a/b/c/d', 'w').close()",
    "import glob; path = glob.glob('/.venv/lib/*/site-packages/host.pth')[0]; open(path, 'a').write('/root\\n')",
    "import os; os.link('/.venv/bin/pip', '/.venv/bin/other'); os.chmod('/.venv', 0o500)",
    "import mmap\nwith open('/.venv/bin/pip', 'r+b') as file: mmap.mmap(file.fileno(), 0)[0:2] = b'??'",
    "import os, time; os.chmod('/root', 0); os.chmod('/', 0o700)",
)


def described(sandbox: Sandbox) -> str:
    result = sandbox.run_code(_DESCRIBE)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_whatever_was_done_before(directory_emulator: Emulator) -> None:
    with Client(host=directory_emulator.url) as client:
        with Sandbox(client=client) as first:
            new = described(first)
        for use in _USES * 3:
            with Sandbox(client=client) as sandbox:
                assert sandbox.run_code(use).exit_code == 0
        for _ in range(40):
            with Sandbox(client=client) as sandbox:
                assert described(sandbox) == new


def test_a_child_of_a_fork_too(directory_emulator: Emulator) -> None:
    with Client(host=directory_emulator.url) as client:
        with Sandbox(client=client) as parent:
            new = described(parent)
            parent.run_code("open('/root/inherited', 'w').close()")
            for child in parent.fork(12):
                child.close()
        for _ in range(20):
            with Sandbox(client=client) as sandbox:
                assert described(sandbox) == new
