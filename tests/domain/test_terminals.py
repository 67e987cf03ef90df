"""What a terminal shows of the host's path, however its output arrives."""

from __future__ import annotations

import asyncio

import pytest

from podflare_emulator.domain.terminals import Session

HIDDEN = b"/tmp/state/jails/abc"


@pytest.mark.parametrize("at", range(1, 2 * len(HIDDEN)))
def test_a_hidden_path_may_be_cut_anywhere(at: int) -> None:
    printed = HIDDEN + b"/data " + HIDDEN + b"\r\n"

    async def shown() -> bytes:
        session = Session(1, "bash", HIDDEN, 0)
        session.hear(printed[:at])
        session.hear(printed[at:])
        session.finish(0)
        return session.read(0)[0]

    assert asyncio.run(shown()) == b"/data /\r\n"


def test_what_only_looks_like_its_beginning_is_shown() -> None:
    async def shown() -> list[bytes]:
        session = Session(1, "bash", HIDDEN, 0)
        session.hear(b"cd /tmp/")
        found = [session.read(0)[0]]
        while session.end < len(b"cd /tmp/"):
            await asyncio.sleep(0.001)
        session.hear(b"/")
        session.finish(0)
        return [*found, session.read(0)[0]]

    assert asyncio.run(shown()) == [b"cd ", b"cd /tmp//"]
