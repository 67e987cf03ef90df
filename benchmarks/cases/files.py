"""How long transfers and comparisons take."""

from __future__ import annotations

import os

from bench import Bench, case
from podflare import Sandbox

_MB = 1_000_000
_FILES = 10_000

_TREE = f"""
import os
for directory in range(100):
    os.makedirs(f"/root/tree/{{directory}}")
    for number in range({_FILES} // 100):
        with open(f"/root/tree/{{directory}}/{{number}}.txt", "w") as file:
            file.write(f"{{directory}}/{{number}}")
"""


@case()
def transfer_1_mb(bench: Bench) -> None:
    _transfer(bench, 1)


@case()
def transfer_10_mb(bench: Bench) -> None:
    _transfer(bench, 10)


@case(seconds=180)
def diff(bench: Bench) -> None:
    with Sandbox(client=bench.client) as parent:
        result = parent.run_code(_TREE)
        assert result.exit_code == 0, result.stderr
        (child,) = parent.fork()
        child.run_code("open('/root/tree/0/0.txt', 'a').write('more'); open('/root/new.txt', 'w').close()")
        for stopwatch in bench.repeat(f"diff of two trees of {_FILES:,} files", most=30):
            with stopwatch:
                difference = parent.diff(child)
            assert difference == {
                "added": ["/root/new.txt"],
                "removed": [],
                "modified": ["/root/tree/0/0.txt"],
            }
        child.close()


def _transfer(bench: Bench, size: int) -> None:
    content = os.urandom(size * _MB)
    with Sandbox(client=bench.client) as sandbox:
        for stopwatch in bench.repeat(f"upload of {size} MB"):
            with stopwatch:
                sandbox.upload(content, "/root/file.bin")
        for stopwatch in bench.repeat(f"download of {size} MB"):
            with stopwatch:
                received = sandbox.download("/root/file.bin")
        assert received == content
