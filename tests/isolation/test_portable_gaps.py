"""What portable isolation cannot do: the rows of docs/fidelity.md. One that closes fails here, so that its row goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from podflare import Sandbox

from ..serving import serving

GAPS = {
    "a shell starts a script for an interpreter of the sandbox's": (
        "bash",
        "printf '#!/.venv/bin/python3\\nprint(1)\\n' > /root/tool; chmod +x /root/tool; /root/tool",
        "1",
    ),
    "SQL opens a file": (
        "python",
        "import sqlite3; sqlite3.connect('/root/a.db').execute(\"attach '/data/b.db' as b\"); print(1)",
        "1",
    ),
    "a shell captures a path": ("bash", "cd /root; env pwd | wc -c", "6"),
    "the top lists the system": ("python", "import os; print(int('usr' in os.listdir('/')))", "1"),
    "functions are built in": (
        "python",
        "import types; print(int(isinstance(open, types.BuiltinFunctionType)))",
        "1",
    ),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with serving("portable") as emulator, Sandbox(host=emulator.url) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.xfail(strict=True, raises=AssertionError)) for name in GAPS],
)
def test_a_gap(sandbox: Sandbox, name: str) -> None:
    language, code, expected = GAPS[name]
    assert sandbox.run_code(code, language=language).stdout == expected
