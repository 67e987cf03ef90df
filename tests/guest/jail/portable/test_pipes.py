"""What a program has printed names the sandbox's paths, wherever a read of its pipe ends."""

from __future__ import annotations

import os

import pytest

from podflare_emulator.guest.jail.portable.library import pipes
from podflare_emulator.guest.jail.portable.paths import PathMap

ROOT = "/tmp/state/jails/abc"
PRINTED = "".join(f"{ROOT}/root/{number} {ROOT} {ROOT}/tmp/x\n{ROOT}\n" for number in range(50))


@pytest.mark.parametrize("size", range(2 * len(ROOT) + 1, 5 * len(ROOT)))
def test_a_path_may_be_cut_anywhere(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(pipes.calls, "current", lambda: PathMap(ROOT, ()))
    reader, writer = os.pipe()
    with pipes.Pipe(reader) as pipe:
        os.write(writer, PRINTED.encode())
        os.close(writer)
        read = b"".join(iter(lambda: pipe.read(size), b""))
    assert read.decode() == PRINTED.replace(f"{ROOT}/", "/").replace(ROOT, "/")
